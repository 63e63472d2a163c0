"""What systems do differently: process groups, locks, processors, folders and shells. All else is the same."""

import sys

from omniplan.system.folders import CACHE, CONFIGURATION, Folder, folder
from omniplan.system.processors import bind, load_average, processors, ticks
from omniplan.system.shells import SHELL, Shell, shell_of

if sys.platform == "win32":
    from omniplan.system.windows import ASKING, end, group, has_escapes, held, kill, words
else:
    from omniplan.system.posix import ASKING, end, group, has_escapes, held, kill, words

__all__ = [
    "ASKING",
    "CACHE",
    "CONFIGURATION",
    "SHELL",
    "Folder",
    "Shell",
    "bind",
    "end",
    "folder",
    "group",
    "has_escapes",
    "held",
    "kill",
    "load_average",
    "processors",
    "shell_of",
    "ticks",
    "words",
]

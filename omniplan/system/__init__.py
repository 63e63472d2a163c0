"""What operating systems do differently: process groups, locks, processors and folders. All else is the same."""

import sys

from omniplan.system.folders import CACHE, CONFIGURATION, Folder, folder
from omniplan.system.processors import bind, load_average, processors, ticks

if sys.platform == "win32":
    from omniplan.system.windows import ASKING, end, group, has_escapes, held, kill, words
else:
    from omniplan.system.posix import ASKING, end, group, has_escapes, held, kill, words

__all__ = [
    "ASKING",
    "CACHE",
    "CONFIGURATION",
    "Folder",
    "bind",
    "end",
    "folder",
    "group",
    "has_escapes",
    "held",
    "kill",
    "load_average",
    "processors",
    "ticks",
    "words",
]

"""What operating systems do differently: process groups, locks, processors and folders. All else is the same."""

import sys

from omniplan.system.folders import CACHE, CONFIGURATION, Folder, folder
from omniplan.system.processors import bind, load_average, processors

if sys.platform == "win32":
    from omniplan.system.windows import ASKING, end, group, held, kill
else:
    from omniplan.system.posix import ASKING, end, group, held, kill

__all__ = [
    "ASKING",
    "CACHE",
    "CONFIGURATION",
    "Folder",
    "bind",
    "end",
    "folder",
    "group",
    "held",
    "kill",
    "load_average",
    "processors",
]

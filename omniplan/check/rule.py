"""What a rule's function is: asked about one command, or about a whole file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from omniplan.check.case import Case
from omniplan.check.document import File
from omniplan.check.hit import Hit

CommandRule = Callable[[Case], Iterator[Hit]]
FileRule = Callable[[File], Iterator[Hit]]

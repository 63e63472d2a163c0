"""Where a model's file is read, and by what name it is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where the file of a name is read: a path or URL, the token that its host wants, what to try where that refuses.

    An address that begins with ``base`` is shown with ``shown`` in its place.
    """

    place: str | Path
    token: str = ""
    refused: str = ""
    base: str = ""
    shown: str = ""

    def named(self, path: str) -> str:
        """The name of a file of the set, by which it is read again."""
        return self.shown + unquote(path.removeprefix(self.base)) if self.base and path.startswith(self.base) else path

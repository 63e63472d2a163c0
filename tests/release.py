"""What a release says of itself: the section of CHANGELOG.md for a tag.

``python -m tests.release v0.1.0`` prints it, and fails for a tag that is not the version at hand or has no section.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from omniplan.version import __version__

CHANGELOG: Final = Path(__file__).parents[1] / "CHANGELOG.md"
_SECTION: Final = re.compile(r"^## \[(?P<name>[^\]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?$", re.MULTILINE)


def sections(text: str) -> dict[str, tuple[str, str]]:
    """Date and body of every section by its name, newest first; the date of what is not released is empty."""
    heads = list(_SECTION.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return {
        head["name"]: (head["date"] or "", text[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    }


def notes(tag: str, text: str) -> str:
    """What the release of ``tag`` changes; raises ValueError for one that cannot be released as it stands."""
    if tag != f"v{__version__}":
        raise ValueError(f"{tag}: omniplan/version.py says {__version__}")
    date, body = sections(text).get(__version__, ("", ""))
    if not date or not body:
        raise ValueError(f"{tag}: CHANGELOG.md has no section '## [{__version__}] - YYYY-MM-DD' with entries")
    return body


if __name__ == "__main__":
    try:
        print(notes(sys.argv[1], CHANGELOG.read_text(encoding="utf-8")))
    except ValueError as error:
        sys.exit(str(error))

"""A folder of configurations: which of its files are looked at, and what is found in all of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.check.kinds import FileKind, kind_of
from omniplan.check.values import CheckReport, Finding
from omniplan.documents.record import Record
from omniplan.documents.text_file import read_text
from omniplan.domain.progress import Progress, told, unwatched
from omniplan.errors import InputError

# Folders that hold no configuration of the user's own.
_SKIPPED: Final = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", "build", "dist"})
_SPEAKS: Final = re.compile(r"llama|koboldcpp|gguf", re.IGNORECASE)
# Larger files are models, logs and data.
_LARGEST: Final = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderReport(Record):
    """What is found in the files of a folder: a report for each with a command or a mention, and those not read.

    ``n_files`` were looked at; ``unread`` are those of them that nobody can read, each with why.
    """

    folder: str
    n_files: int
    reports: tuple[CheckReport, ...]
    unread: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all files."""
        return tuple(finding for report in self.reports for finding in report.findings)

    @property
    def verdict(self) -> bool | None:
        """Whether nothing is above info; None where nothing is, but what fits is not known.

        A file of a repository may speak of llama.cpp without starting it.
        """
        if not all(report.is_clean for report in self.reports):
            return False
        return None if any(report.unpriced for report in self.reports) else True


def files_of(place: Path) -> Iterator[Path]:
    """``place``, or the files below it that may hold a command, in order; links to folders are not followed."""
    if not place.is_dir():
        yield place
        return
    for root, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and path.stat().st_size <= _LARGEST:
                yield path


def check_places(
    places: Sequence[Path], check: Callable[[Path], CheckReport], progress: Progress = unwatched
) -> FolderReport:
    """Every file at or below ``places`` that speaks of llama.cpp, asked by ``check``."""
    reports, unread, count = [], [], 0
    for path in told([(path.name, path) for place in places for path in files_of(place)], progress):
        text = read_text(path)
        if "\0" in text or not _speaks(path, text):
            continue
        count += 1
        try:
            report = check(path)
        except InputError as error:
            unread.append(str(error))
            continue
        if report.n_commands or report.findings or report.mentioned:
            reports.append(report)
    return FolderReport(folder=" ".join(map(str, places)), n_files=count, reports=tuple(reports), unread=tuple(unread))


def _speaks(path: Path, text: str) -> bool:
    """Whether a file may be about llama.cpp at all."""
    is_named = kind_of(str(path), text) in (FileKind.PRESET, FileKind.MODELS_CONF)
    return is_named or _SPEAKS.search(text) is not None

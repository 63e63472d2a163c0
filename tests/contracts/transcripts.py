"""Commands and their output as documents show them: run again, compared, and renewed with --write.

A block fenced as ``console`` holds commands after ``$``, each followed by what it prints; a line ``...`` stands for any
number of lines left out, and `` ...`` at a line's end for its rest. ``omniplan`` and ``python examples/...`` are run,
``echo $?`` shows the last exit code, and other commands only say what to type. ``> FILE`` saves output for later
commands of the same document.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Final

from omniplan.cli.main import main
from tests.contracts.sources import ROOT

ELLIPSIS: Final = "..."
DOCUMENTS: Final = tuple(
    path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command, what the document shows below it, and the line of the document where that starts."""

    command: str
    shown: tuple[str, ...]
    line: int


def blocks(path: Path, language: str) -> Iterator[tuple[int, list[str]]]:
    """Fenced blocks of a language: index of the first line inside, and the lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = -1
    for number, line in enumerate(lines):
        if start < 0 and line == f"```{language}":
            start = number + 1
        elif start >= 0 and line == "```":
            yield start, lines[start:number]
            start = -1


def steps(path: Path) -> list[Step]:
    """Every command of a document, in order."""
    found = []
    for first, lines in blocks(path, "console"):
        marks = [i for i, line in enumerate(lines) if line.startswith("$ ")]
        for mark, after in zip(marks, [*marks[1:], len(lines)], strict=True):
            last = mark
            while lines[last].endswith("\\"):
                last += 1
            command = " ".join(line.removesuffix("\\").strip() for line in lines[mark : last + 1])
            found.append(Step(command.removeprefix("$ "), tuple(lines[last + 1 : after]), first + last + 1))
    return found


@dataclass(slots=True)
class Session:
    """One document's commands, run in order from the repository's root."""

    folder: Path
    code: int = 0
    saved: set[str] = field(default_factory=set)

    def run(self, command: str) -> list[str] | None:
        """Lines a command prints, None when it is not one to run."""
        words = shlex.split(command)
        if words == ["echo", "$?"]:
            return [str(self.code)]
        target = words.pop() if ">" in words else ""
        words = [str(self.folder / word) if word in self.saved else word for word in words if word != ">"]
        if words[0] == "omniplan":
            text = self._omniplan(words[1:])
        elif words[:1] == ["python"] and words[1].startswith("examples/"):
            text = run_script(ROOT / words[1], words[2:])
        else:
            return None
        if target:
            (self.folder / target).write_text(text, encoding="utf-8")
            self.saved.add(target)
            return []
        return [line.replace(f"{self.folder}/", "") for line in text.splitlines()]

    def _omniplan(self, argv: list[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                self.code = main(argv)
            except SystemExit as stopped:
                self.code = int(stopped.code or 0)
        return out.getvalue()


def run_script(path: Path, argv: Sequence[str] = ()) -> str:
    """What an example prints."""
    out = io.StringIO()
    before = sys.argv
    sys.argv = [str(path), *argv]
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before
    return out.getvalue()


def matches(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether what is shown is what was printed, ``...`` standing for any lines."""
    if not shown:
        return not printed
    if shown[0] == ELLIPSIS:
        return any(matches(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and _same(shown[0], printed[0]) and matches(shown[1:], printed[1:])


def _same(shown: str, printed: str) -> bool:
    if shown.endswith(f" {ELLIPSIS}"):
        return printed.startswith(shown.removesuffix(ELLIPSIS))
    return shown == printed


def renewed(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """What to show now: the same pieces, each where it is most alike in what was printed."""
    pieces = _pieces(shown)
    if len(pieces) == 1:
        return [_cut(new, old) for new, old in zip_longest(printed, shown[: len(printed)], fillvalue="")]
    found: list[list[str]] = []
    start = 0
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        at = _place(piece, printed, start, first=index == 0, last=last)
        found.append([_cut(new, old) for new, old in zip(printed[at : at + len(piece)], piece, strict=False)])
        start = at + len(piece)
    lines = found[0]
    for piece in found[1:]:
        lines += [ELLIPSIS, *piece]
    return lines


def _cut(printed: str, shown: str) -> str:
    """A line, without its rest where the document left that out."""
    if not shown.endswith(f" {ELLIPSIS}") or len(printed) <= len(shown):
        return printed
    return f"{printed[: len(shown) - len(ELLIPSIS)].rpartition(' ')[0]} {ELLIPSIS}"


def _pieces(shown: Sequence[str]) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for line in shown:
        if line == ELLIPSIS:
            pieces.append([])
        else:
            pieces[-1].append(line)
    return pieces


def _place(piece: Sequence[str], printed: Sequence[str], start: int, *, first: bool, last: bool) -> int:
    end = len(printed) - len(piece)
    if first or end <= start or not piece:
        return start
    if last:
        return end
    return max(range(start, end + 1), key=lambda at: _alike(piece, printed[at : at + len(piece)]))


def _alike(a: Sequence[str], b: Sequence[str]) -> float:
    return sum(SequenceMatcher(None, x, y).ratio() for x, y in zip(a, b, strict=True))


def renew(path: Path, folder: Path) -> bool:
    """Run a document's commands and write what they print now; whether anything changed."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    session = Session(folder)
    now = [(step, session.run(step.command)) for step in steps(path)]
    for step, printed in reversed(now):
        if printed is not None and not matches(step.shown, printed):
            lines[step.line : step.line + len(step.shown)] = renewed(step.shown, printed)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return text != path.read_text(encoding="utf-8")


if __name__ == "__main__":
    import os
    import tempfile

    from docs.making import pictures

    os.chdir(ROOT)
    for document in DOCUMENTS:
        with tempfile.TemporaryDirectory() as temporary:
            changed = renew(document, Path(temporary)) if "--write" in sys.argv else False
        sys.stdout.write(f"{document.relative_to(ROOT)}{': renewed' if changed else ''}\n")
    pictures.main()

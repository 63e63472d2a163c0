"""The pictures of docs/pictures: terminals as SVG, from commands run under a terminal of their own, and plots.

``python -m docs.making.pictures --write`` draws those anew whose command answers otherwise today. Each SVG ends with a
digest of that answer, by which a test holds it to today's: how rich or matplotlib draw it may change with them.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs/pictures"
_FONT: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_GLM: Final = "data/models/GLM-4.7-Flash-Q8_0.gguf"
_DESK: Final = "RTX 4090 24GB + RTX 5070 Ti 16GB, Ryzen 7 5800X3D, 64 GB DDR4-3600"


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A command, what its answer is read from, and how that becomes a picture; a terminal is ``columns`` wide."""

    name: str
    command: str
    answer: Callable[[Picture], str]
    draw: Callable[[Picture, str], str]
    columns: int = 80

    @property
    def path(self) -> Path:
        """Where it lies."""
        return FOLDER / f"{self.name}.svg"

    def stamp(self, answer: str) -> str:
        """The last line of the file that shows ``answer``."""
        digest = sha256(f"{self.command}\n{answer}".encode()).hexdigest()
        return f"<!-- docs/making/pictures.py: {digest[:16]} -->\n"

    def is_of_today(self) -> bool:
        """Whether the file shows what the command answers now."""
        return self.path.is_file() and self.path.read_text(encoding="utf-8").endswith(self.stamp(self.answer(self)))


def on_terminal(picture: Picture) -> str:
    """What the command writes to a terminal, escapes included; its progress is not kept."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, picture.columns))
    environment = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    with subprocess.Popen(
        arguments(picture),
        cwd=ROOT,
        env=environment | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ):
        os.close(theirs)
        written = bytearray()
        # Linux ends a terminal nobody writes to any more with an error.
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:
            pass
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def terminal(picture: Picture, answer: str) -> str:
    """The terminal as SVG, in whatever fixed font the reader has: nothing is loaded from elsewhere."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        record=True, width=picture.columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(f"\x1b[1m$ omniplan {picture.command}\x1b[0m"))
    console.print(Text.from_ansi(answer.rstrip("\n")))
    return _FONT.sub("", console.export_svg(title="omniplan", unique_id=picture.name))


def as_json(picture: Picture) -> str:
    """The values that a plot shows."""
    return subprocess.run([*arguments(picture), "--json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def plot(picture: Picture, answer: str) -> str:
    """The plot that the command draws itself."""
    del answer
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plot.svg"
        subprocess.run([*arguments(picture), "--plot", str(path)], cwd=ROOT, capture_output=True, check=True)
        return path.read_text(encoding="utf-8")


def arguments(picture: Picture) -> list[str]:
    """The command as a process of this Python."""
    return [sys.executable, "-m", "omniplan", *shlex.split(picture.command)]


PICTURES: Final = (
    Picture(
        name="plan",
        command=f'plan {_GLM} --machine "{_DESK}"',
        answer=on_terminal,
        draw=terminal,
    ),
    Picture(
        name="frontier",
        command=f"frontier {_GLM} --machine dual-4090-5070ti --ubatch 512 --ctx 16384,65536,202752",
        answer=as_json,
        draw=plot,
    ),
)


def main() -> None:
    """Draw what is not of today, or only name it."""
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        if picture.is_of_today():
            continue
        if "--write" in sys.argv:
            answer = picture.answer(picture)
            drawn = picture.draw(picture, answer).rstrip()
            picture.path.write_text(f"{drawn}\n{picture.stamp(answer)}", encoding="utf-8")
        sys.stdout.write(
            f"{picture.path.relative_to(ROOT)}: {'drawn' if '--write' in sys.argv else 'of another day'}\n"
        )


if __name__ == "__main__":
    main()

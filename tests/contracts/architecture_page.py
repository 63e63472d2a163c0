"""The picture in docs/architecture.md, made from the layer list; run with --write to renew it."""

from __future__ import annotations

import re
import sys
from typing import Final

from tests.contracts.sources import ROOT
from tests.contracts.test_layers import LAYERS

PAGE: Final = ROOT / "docs" / "architecture.md"
_WIDTH: Final = 76
_PICTURE: Final = re.compile(r"(?<=```text\n)┌.*?┘\n(?=```)", re.DOTALL)


def picture() -> str:
    """The rooms, top first, a row per layer: a row imports only rows below it."""
    rows = [f"│{'   '.join(layer).center(_WIDTH)}│" for layer in LAYERS if layer != ("__main__",)]
    between = f"├{'─' * _WIDTH}┤"
    lines = [line for row in rows for line in (between, row)][1:]
    return "\n".join([f"┌{'─' * _WIDTH}┐", *lines, f"└{'─' * _WIDTH}┘"]) + "\n"


def page(text: str) -> str:
    """The page with a new picture."""
    return _PICTURE.sub(picture(), text, count=1)


if __name__ == "__main__":
    current = PAGE.read_text(encoding="utf-8")
    if "--write" in sys.argv:
        PAGE.write_text(page(current), encoding="utf-8")
    else:
        print(picture(), end="")

"""How the dynamic programme's time grows with layers and devices: prints a table, or writes it into ``docs/search.md``.

``python -m benchmarks.growth [--write]``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.timing import seconds
from omniplan.planning.costs import LayerCosts, Partial
from omniplan.planning.ranges import fill
from omniplan.planning.rooms import Bin
from omniplan.units import GIB, MIB

PAGE: Final = Path(__file__).parents[1] / "docs" / "search.md"
BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
LAYERS: Final = (32, 64, 128)
DEVICES: Final = (1, 2, 4, 5, 8)
RUNS: Final = 3


def costs(n: int) -> LayerCosts:
    """A mixture of experts of ``n`` layers and an output, each with 6 GiB of experts that may be cut."""
    movable = (*[6 * GIB] * n, 0)
    cuts = (
        Partial(moved=("up",), size=4 * GIB, share=2 / 3),
        Partial(moved=("up", "gate"), size=2 * GIB, share=1 / 3),
    )
    return LayerCosts(
        base=(*[200 * MIB] * n, 800 * MIB),
        movable=movable,
        on_cpu=movable,
        active_share=1 / 32,
        shared=0,
        tensors="",
        partials=(*[cuts] * n, ()),
    )


def bins(n: int, count: int, *, alike: bool) -> list[Bin]:
    """Devices that together hold half of ``n`` layers, equal or each of a size of its own."""
    each = n * 6 * GIB // (2 * count)
    return [
        Bin(
            name=f"CUDA{index}",
            budget=each + (0 if alike else index * GIB),
            reserve=GIB,
            reserve_first=2 * GIB,
            kept=(*[1e-3] * n, 2e-3),
            part=(*[5e-4] * n, 0.0),
            cpu=(*[5e-3] * n, 0.0),
        )
        for index in range(count)
    ]


def rows() -> Iterator[str]:
    """The table, in milliseconds of one ``fill``."""
    yield "| devices | " + " | ".join(f"{n} layers, alike | {n} layers, all different" for n in LAYERS) + " |"
    yield "|---" * (1 + 2 * len(LAYERS)) + "|"
    for count in DEVICES:
        times = [
            min(seconds(lambda n=n, alike=alike: fill(costs(n), bins(n, count, alike=alike), may_move=True), runs=RUNS))  # type: ignore[misc]  # noqa: B023
            for n in LAYERS
            for alike in (True, False)
        ]
        yield f"| {count} | " + " | ".join(f"{1e3 * value:,.0f}" for value in times) + " |"


def main(arguments: Sequence[str]) -> int:
    """Print the table; with ``--write`` put it between the page's marks."""
    table = "\n".join(rows())
    print(table)
    if "--write" in arguments:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
        PAGE.write_text(f"{before}\n{table}\n{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

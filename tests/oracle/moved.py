"""How far compute buffers move from one build to the next, as rows of ``data/drift.toml``.

``python -m tests.oracle.moved BUILD BUILD...`` prices recorded cases as each of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from omniplan.errors import OmniplanError
from omniplan.llamacpp.build import build_number
from omniplan.llamacpp.nearest import DriftRow
from omniplan.units import MIB
from tests.oracle import cases
from tests.oracle.cases import Case

# Smaller ones are a few activations, whose shares say nothing about gigabytes.
LEAST: Final = 16 * MIB
# What is asked of a build's own rows too: that they are right for 97 of 100.
SHARE: Final = 0.97


def sample(every: int = 2) -> list[Case]:
    """Cases of the oracle, and of what one build was found to do otherwise."""
    return [*cases.load(), *cases.load("b11549")][::every]


def moves(known: Sequence[Case], earlier: int, later: int) -> Iterator[float]:
    """The share by which each compute buffer of ``known`` grew, of cases that both builds take."""
    for case in known:
        try:
            before, after = (cases.price(case, build=build).buffers for build in (earlier, later))
        except OmniplanError:
            continue
        for name, size in before.items():
            if size.compute >= LEAST and name in after:
                yield after[name].compute / size.compute - 1


def row(known: Sequence[Case], earlier: int, later: int) -> DriftRow:
    """What is stated of the way from one build to the next."""
    found = sorted(moves(known, earlier, later))
    return DriftRow(
        since=earlier,
        buffers=len(found),
        changed=sum(share != 0 for share in found),
        grew=round(max(0.0, found[int(SHARE * (len(found) - 1))]), 4),
        source="",
    )


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("builds", type=build_number, nargs="+")
    for earlier, later in pairwise(sorted(parser.parse_args().builds)):
        found = row(sample(), earlier, later)
        print(
            f"[{later}]\nsince = {earlier}\nbuffers = {found.buffers}\nchanged = {found.changed}\ngrew = {found.grew}"
        )


if __name__ == "__main__":
    main()

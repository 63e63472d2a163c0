"""How far compute buffers move from one build to another, as a row of ``data/drift.toml``.

``python -m tests.oracle.moved EARLIER LATER`` prices the recorded cases of the oracle's sample as both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.errors import OmniplanError
from omniplan.llamacpp.build import build_number
from omniplan.units import MIB
from tests.oracle import cases
from tests.oracle.cases import Case

# Smaller ones are a few activations, whose shares say nothing about gigabytes.
LEAST: Final = 16 * MIB


def moves(known: Sequence[Case], earlier: int, later: int) -> Iterator[float]:
    """The share by which each compute buffer of ``known`` differs, of cases that both builds take."""
    for case in known:
        try:
            before, after = (cases.price(case, build=build).buffers for build in (earlier, later))
        except OmniplanError:
            continue
        for name, size in before.items():
            if size.compute >= LEAST:
                yield after[name].compute / size.compute - 1 if name in after else -1.0


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("earlier", type=build_number)
    parser.add_argument("later", type=build_number)
    asked = parser.parse_args()
    found = list(moves(cases.load(), asked.earlier, asked.later))
    changed = [abs(share) for share in found if share]
    print(f"[{asked.later}]\nsince = {asked.earlier}\nbuffers = {len(found)}\nchanged = {len(changed)}")
    print(f"moved = {max(changed, default=0):.4f}")


if __name__ == "__main__":
    main()

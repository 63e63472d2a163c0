"""How large the package is: lines, files and functions of every room, so that growth is seen where it happens.

``python -m benchmarks.size``
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from tests.contracts.sources import body_lines, functions, package

# What the package may have; more should pay for itself elsewhere.
BOUND = 39_273


def main() -> None:
    """Print one line per room and the total."""
    rooms = defaultdict(list)
    for source in package():
        rooms[source.part or "omniplan"].append(source)
    for room, sources in sorted(rooms.items()):
        bodies = [body_lines(function) for source in sources for function in functions(source)]
        typical = f"{len(bodies):5d} functions of {median(bodies):g} lines" if bodies else ""
        print(f"{room:12s} {sum(source.n_lines for source in sources):6,d} lines {len(sources):4d} files {typical}")
    total = sum(source.n_lines for source in package())
    print(f"{'in all':12s} {total:6,d} lines {len(package()):4d} files, {total - BOUND:+,d} lines beside {BOUND:,d}")


if __name__ == "__main__":
    main()

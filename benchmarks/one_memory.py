"""Price published measurements of machines with one memory; write their table into docs/one-memory.md.

Takes half a minute. The rule of what is priced is that of ``benchmarks/accuracy.py``, and never looks at a speed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.accuracy import scores
from benchmarks.measured.headers import ROOT
from benchmarks.measured.rows import Case, cases
from benchmarks.measured.spread import Score
from benchmarks.measured.tables import line

PAGE = ROOT / "docs/one-memory.md"
BEGIN, END = "<!-- speeds -->", "<!-- /speeds -->"
BACKENDS = {"CUDA": "CUDA", "ROCm": "ROCm", "Vulkan": "Vulkan", "MTL": "Metal"}


def kind(case: Case) -> str:
    """The GPU and the back end of a row."""
    (gpu,) = case.machine.gpus
    year = ", builds of 2024" if case.is_old else ""
    return f"{gpu.description}, {BACKENDS[gpu.name.rstrip('0123456789')]}{year}"


def table(known: list[Case], test: str) -> Iterator[str]:
    """Errors of one phase by kind of machine."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in scores(known, test):
        groups[kind(score.case)].append(score)
    yield from (f"| {test}, tokens/s | rows | median | p90 | bias |", "|---|---|---|---|---|")
    yield from (line(name, rows) for name, rows in sorted(groups.items()))
    yield line("**all**", [score for rows in groups.values() for score in rows])


def main() -> None:
    """Write the table between its marks."""
    known = [
        case
        for case in cases()[0]
        if case.engine == "llama.cpp" and len(case.machine.gpus) == 1 and case.machine.gpus[0].is_unified
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    lines = [*table(known, "decode"), "", *table(known, "prompt")]
    shown = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n{shown}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(shown)


if __name__ == "__main__":
    main()

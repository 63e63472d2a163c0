"""How long planning DeepSeek-R1 takes, and how long the package takes to be there at all.

``python -m benchmarks.plan``
"""

from __future__ import annotations

import sys
from pathlib import Path

import omniplan
from benchmarks.timing import forget, output, processes, report, seconds

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "data" / "models" / "DeepSeek-R1-Q4_K_M.gguf"
DENSE = ROOT / "tests" / "data" / "models" / "zoo" / "Llama-3.1-8B-Q4_K_M.gguf"
RUNS = 9
HELP = "from omniplan.cli.main import entry; entry()"
ONCE = f"""
import time
import omniplan
begin = time.process_time()
omniplan.plan({str(MODEL)!r}, omniplan.load_machine("omni-nps1"), n_ctx=32768, baselines=False)
print(time.process_time() - begin)
"""


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    machine = omniplan.load_machine("omni-nps1")
    start = min(processes(["-c", "pass"], runs=RUNS))
    kept = [
        report(
            "omniplan.plan, DeepSeek-R1 on omni-nps1, nothing cached",
            seconds(lambda: omniplan.plan(MODEL, machine, n_ctx=32768), runs=RUNS, before=forget),
            1.000,
        ),
        report(
            "omniplan.plan, Llama 3.1 8B on omni-nps1, nothing cached",
            seconds(lambda: omniplan.plan(DENSE, machine, n_ctx=32768), runs=RUNS, before=forget),
            0.100,
        ),
        report(
            "DeepSeek-R1 without baselines, nothing cached",
            seconds(lambda: omniplan.plan(MODEL, machine, n_ctx=32768, baselines=False), runs=RUNS, before=forget),
            0.300,
        ),
        report(
            "the same, first call of a process",
            [float(output(ONCE)) for _ in range(RUNS)],
            0.300,
        ),
        report(
            "import omniplan, Python's start taken off",
            processes(["-c", "import omniplan"], runs=RUNS),
            0.100,
            less=start,
        ),
        report("omniplan --help, Python's start included", processes(["-c", HELP, "--help"], runs=RUNS), 0.200),
    ]
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())

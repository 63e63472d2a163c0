"""How long plans for many GPUs take, and plans for several quants of one model.

``python -m benchmarks.gpus``
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import omniplan
from benchmarks.timing import forget, report, seconds
from omniplan.cli.main import RARELY

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "tests" / "data" / "models" / "zoo" / "GLM-4.7-Q4_K_M.gguf"
DEEPSEEK = ROOT / "data" / "models" / "DeepSeek-R1-Q4_K_M.gguf"
FIVE = "RTX 4090, RTX 3090, RTX 5090, RTX A6000, RTX 4060 Ti 16GB"
MACHINES = {
    "five different GPUs": f"{FIVE}, 256 GB DDR4",
    "seven different GPUs": f"{FIVE}, RTX 5070 Ti, RTX 3080, 512 GB DDR4",
    "eight RTX 3090": "8x RTX 3090, 512 GB DDR4",
}
QUANTS = ("Q2_K", "Q3_K_M", "Q4_K_S", "Q5_K_M", "Q6_K", "Q8_0")
RUNS = 3


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    # As the command does.
    gc.set_threshold(RARELY)
    model, kept = omniplan.load_model(MODEL), []
    for name, words in MACHINES.items():
        machine = omniplan.machine_from_words(words)
        for baselines in (True, False):
            times = seconds(
                lambda machine=machine, baselines=baselines: omniplan.plan(model, machine, baselines=baselines),  # type: ignore[misc]
                runs=RUNS,
                before=forget,
            )
            kept.append(report(f"GLM-4.7 on {name}{'' if baselines else ', no baselines'}", times, 2.0))
    machine = omniplan.load_machine("omni-nps1")
    quick = seconds(lambda: next(omniplan.plans(DEEPSEEK, machine, n_ctx=32768)), runs=RUNS, before=forget)
    kept.append(report("first answer for DeepSeek-R1 on omni-nps1", quick, 0.4))
    times = seconds(lambda: omniplan.recommend([DEEPSEEK], machine, what_if=QUANTS, n_ctx=32768), runs=1, before=forget)
    kept.append(report("recommend of six quants of DeepSeek-R1", times, 6.0))
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())

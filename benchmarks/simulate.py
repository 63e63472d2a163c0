"""How long one price of DeepSeek-R1 takes: all of it, and again when one layer boundary moved.

``python -m benchmarks.simulate``
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import omniplan
from benchmarks.timing import forget, report, seconds
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load import compute
from omniplan.llamacpp.load.place import place

MODEL = Path(__file__).parents[1] / "data" / "models" / "DeepSeek-R1-Q4_K_M.gguf"
RUNS = 15
EXPERTS = r"blk\.(1[0-9]|[2-5][0-9]|60)\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"


def arguments(boundary: int) -> list[str]:
    """Layers up to ``boundary`` on the first GPU, experts from layer 10 on in RAM."""
    return ["-c", "32768", "-np", "1", "-ngl", "99", "-ts", f"{boundary},{62 - boundary}", "-ot", EXPERTS]


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    model, machine = omniplan.load_model(MODEL), omniplan.load_machine("omni-nps1")
    placement = place(model, machine, parse(arguments(40)))
    boundaries = itertools.cycle(range(20, 50))
    moved = itertools.cycle([place(model, machine, parse(arguments(boundary))) for boundary in range(20, 30)])
    nodes = compute.reserve(model, placement).n_nodes
    print(f"DeepSeek-R1, {nodes:,} nodes for a prompt batch")
    kept = [
        report(
            "build, prepare, schedule and allocate both graphs, cold",
            seconds(lambda: compute.reserve(model, placement), runs=RUNS, before=forget),
            0.150,
        ),
        report(
            "omniplan.footprint, cold",
            seconds(lambda: omniplan.footprint(model, machine, arguments(40)), runs=RUNS, before=forget),
            0.150,
        ),
        report(
            "schedule and allocate both graphs, one layer boundary moved",
            seconds(lambda: compute.reserve(model, next(moved)), runs=2 * RUNS),
            0.020,
        ),
        report(
            "omniplan.footprint, one layer boundary moved: arguments and weights on top",
            seconds(lambda: omniplan.footprint(model, machine, arguments(next(boundaries))), runs=2 * RUNS),
            0.020,
        ),
    ]
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())

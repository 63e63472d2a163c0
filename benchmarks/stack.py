"""How long a stack of eight models on four GPUs takes, and how many places it is chosen from.

``python -m benchmarks.stack``
"""

from __future__ import annotations

import sys
from functools import partial

import omniplan
from benchmarks.timing import forget, report, seconds
from omniplan.stack.asked import Group, StackFile, StackModel
from tests.oracle import cases

RUNS = 3
EIGHT = (
    "Qwen3-8B-Q4_K_M",
    "Qwen3-30B-A3B-Q4_K_M",
    "gemma-2-9b-Q4_K_M",
    "Qwen3-0.6B-Q8_0",
    "GLM-4.7-Flash-Q4_K_M",
    "Llama-3.1-8B-Q4_K_M",
    "Qwen2.5-Coder-7B-Q8_0",
    "gpt-oss-120b-MXFP4_MOE",
)
LARGE = (*EIGHT[:3], "Llama-3.3-70B-Q4_K_M", "Qwen3-Next-80B-A3B-Q4_K_M", "Qwen3-30B-A3B-Q8_0", "Mixtral-8x7B-Q4_K_M")
CASES = {
    "eight models, one of 117B": EIGHT,
    "eight models, five of them larger than a GPU": (*LARGE, EIGHT[-1]),
    "eight times the same": ("Qwen3-8B-Q4_K_M",) * 8,
}


def asked(names: tuple[str, ...]) -> StackFile:
    models = tuple(
        StackModel(name=f"m{at}", path=cases.model(name).header.paths[0], n_ctx=8192) for at, name in enumerate(names)
    )
    return StackFile(name="eight", models=models, groups=(Group(name="all", members=tuple(m.name for m in models)),))


def main() -> int:
    """Print the figures; 1 when a target is missed."""
    machine = omniplan.load_machine("quad-3090")
    kept = []
    for what, names in CASES.items():
        file = asked(names)
        stack = omniplan.stack(file, machine)
        places = " x ".join(str(member.rivals) for member in stack.members)
        print(f"{what}: {'fits' if stack.fits else 'does not fit'}, {stack.seconds:.2f} s, places {places}")
        kept.append(report(what, seconds(partial(omniplan.stack, file, machine), runs=RUNS, before=forget), 5.0))
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())

"""Cases of ``-sm tensor`` that the library really loads over simulated GPUs, each with what every GPU then holds.

``python -m tests.oracle.tensor_split`` has them counted again and writes ``tests/data/oracle/tensor_split.jsonl``.
Every tiny header meets one kind of arguments; real ones, cut to their first layers, two to four GPUs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.oracle import cut, drift
from tests.oracle.cases import DATA, Case

_FLAG: Final = ("-sm", "tensor")
# Two, three and four GPUs: even and uneven shares, slots that share the context and slots that divide it, layers,
# caches and experts in RAM.
_KINDS: Final = (
    ("omni-arch", "-c 4096 -np 1 -ngl 99"),
    ("mixed-3", "-c 4096 -np 2 -kvu -ngl 99 -ts 5,2,1"),
    ("quad-3090", "-c 4096 -np 4 -ngl 99 -ts 1,0,2,1 -ctk q8_0 -ctv q8_0"),
    ("omni-arch", "-c 4096 -np 4 -ngl 2 -ts 1,3 -nkvo"),
    ("mixed-3", "-c 4096 -np 3 -ngl 99 -ot exps=CPU"),
)
_CUT: Final = (
    ("omni", "-c 8192 -np 4 -ngl 99"),
    ("mixed-3", "-c 8192 -np 2 -kvu -ngl 99 -ts 3,2,1 -ub 1024"),
    ("quad-3090", "-c 16384 -np 1 -ngl 99 -ctk q8_0 -ctv q8_0"),
)
_EXPERTS: Final = ("omni", "-c 8192 -np 1 -ngl 99 -cmoe")
_QWEN: Final = (
    ("single-3090", "-c 8192 -np 1"),
    ("dual-4090-5070ti", "-np 4"),
    ("dual-4090-5070ti", "-c 8192 -np 4 -kvu -ts 24,16"),
    ("quad-3090", "-c 8192 -np 1 -dev CUDA2,CUDA0 -ngl 20"),
    ("mixed-3", "-c 8192 -np 2 --embedding -ub 1024 -ts 2,1,1"),
)
_REFUSED: Final = (
    ("archs/llama-dense.gguf", "omni-arch", "-c 4096 -fa off"),
    ("archs/llama-dense.gguf", "omni-arch", "-c 4096 -dev none"),
    ("archs/llama-dense.gguf", "omni-arch", "-c 4096 -ot ffn=CUDA0"),
)
# The first two have another prompt batch in b11549 than ours, and the third's recurrent layers on the CPU take 4 KiB
# less there with four slots: all of them on one GPU too. The last is 110 GiB.
_LEFT_OUT: Final = ("cohere2moe-moe", "qwen4exp-moe", "qwen35-dense", "Step-3.5-Flash-Q4_K_M")


def every() -> Iterator[Case]:
    """The cases without their figures."""
    headers = sorted(path.stem for path in (DATA / "models" / "archs").glob("*.gguf"))
    for i, name in enumerate(headers):
        if name not in _LEFT_OUT:
            yield _case(f"archs/{name}.gguf", *_KINDS[i % len(_KINDS)])
    for name, n_layer in cut.LAYERS.items():
        kinds = (*_CUT, _EXPERTS) if name.startswith(("Qwen3-30B", "Qwen3.5")) else _CUT
        yield from (_case(f"cut/{name}-first{n_layer}.gguf", *kind) for kind in kinds)
    yield from (_case("zoo/Qwen3-0.6B-Q8_0.gguf", *kind) for kind in _QWEN)
    yield from (_case(*refused) for refused in _REFUSED)


def _case(model: str, machine: str, args: str) -> Case:
    return {"model": model, "machine": machine, "args": [*_FLAG, *args.split()], "no_alloc": False}


def main() -> int:
    """Count every case and write the figures; 1 when ours differ."""
    outcomes = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, (DATA / "oracle" / "tensor_split.jsonl").open("w") as file:
        for outcome in pool.map(drift.ask, every()):
            outcomes.append(outcome)
            print(json.dumps(drift.row(outcome), separators=(",", ":")), file=file, flush=True)
    return int(not drift.report(outcomes))


if __name__ == "__main__":
    sys.exit(main())

"""Cases that the library loads for real: CPU memory with bytes, GPUs that take what they are sent and keep nothing.

``python -m tests.oracle.loads`` has them counted again and writes ``tests/data/oracle/loads.jsonl``. Every third tiny
header meets one kind of arguments; Qwen3-0.6B, the smallest real model, one to four GPUs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.oracle import drift
from tests.oracle.cases import DATA, Case

# Two GPUs that pass layers on: with pipeline copies, with attention matrices, with caches in RAM, with experts there.
_KINDS: Final = (
    "-c 4096 -np 1 -ngl 99 -ts 1,2",
    "-c 8192 -np 4 -ngl 99 -ts 1,2 -fa off",
    "-c 4096 -np 2 -ngl 99 -ts 1,2 -nkvo",
    "-c 4096 -np 4 -ngl 99 -ts 1,2 -ot exps=CPU",
)
_QWEN: Final = {
    "single-3090": ("-c 8192 -np 4 -ub 1024 -ngl 99",),
    "dual-4090-5070ti": ("-c 32768 -np 1 -ngl 99", "-c 32768 -np 1 -ngl 20", "-c 8192 -np 1 -ngl 99 -nkvo -fa on"),
    "mixed-3": ("-c 8192 -np 4 -ub 1024 -ngl 99", "-c 8192 -np 4 -ub 1024 -ngl 99 -ctk q8_0 -ctv q8_0"),
    "quad-3090": ("-c 16384 -np 2 -ngl 99", "-c 16384 -np 2 -ngl 99 --no-op-offload -ot ffn=CPU"),
}
# One sequence at the end of a load takes more than several; batches so small that one token takes more than a prompt.
_OTHERS: Final = {
    "kimi-linear-moe": ("-c 4096 -np 4 -ngl 99 -ts 1,2",),
    "minimax-01-moe": ("-c 4096 -np 4 -ngl 99 -ts 1,2", "-c 4096 -np 4 -ngl 0"),
    "llama-moe": ("-c 4096 -np 16 -ub 32 -ngl 1", "-c 4096 -np 64 -ub 16 -ngl 1", "-c 4096 -np 1 -ub 1 -ngl 1"),
}
# Their prompt batch on two GPUs is another one in b11549 than ours already when it is only measured.
_MOVED: Final = ("bailingmoe3-moe", "cohere2moe-moe", "qwen4exp-moe")


def every() -> Iterator[Case]:
    """The cases without their figures."""
    headers = sorted(path.stem for path in (DATA / "models" / "archs").glob("*.gguf"))
    for i, name in enumerate(headers[::3]):
        if name not in _MOVED:
            yield _case(f"archs/{name}.gguf", "omni-arch", _KINDS[i % len(_KINDS)])
    for name, kinds in _OTHERS.items():
        yield from (_case(f"archs/{name}.gguf", "omni-arch", args) for args in kinds)
    for machine, kinds in _QWEN.items():
        yield from (_case("zoo/Qwen3-0.6B-Q8_0.gguf", machine, args) for args in kinds)


def _case(model: str, machine: str, args: str) -> Case:
    return {"model": model, "machine": machine, "args": args.split(), "no_alloc": False}


def main() -> int:
    """Count every case and write the figures; 1 when ours differ."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(drift.ask, every()))
    lines = [json.dumps(drift.row(outcome), separators=(",", ":")) for outcome in outcomes]
    (DATA / "oracle" / "loads.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return int(not drift.report(outcomes))


if __name__ == "__main__":
    sys.exit(main())

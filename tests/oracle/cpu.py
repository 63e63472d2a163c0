"""Cases without a GPU, or without its pinned memory, whose weights the library lays out anew for the CPU.

``python -m tests.oracle.cpu`` has them counted again and writes ``tests/data/oracle/cpu.jsonl``; ``--headers`` writes a
small model of experts for every type of weights under ``tests/data/models/types``. The pinned library is made for AVX2.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.headers import Item, write_gguf
from tests.oracle import drift
from tests.oracle.cases import DATA, Case

FOLDER: Final = DATA / "models" / "types"
TYPES: Final = (
    "f16", "bf16", "q1_0", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq2_xs",
    "iq3_s", "iq4_nl", "iq4_xs", "mxfp4",
)  # fmt: skip
_EMBD, _FF, _VOCAB, _HEAD, _EXPERTS = 512, 768, 128, 64, 4
_KEYS: Final[Mapping[str, Item]] = {
    "vocab_size": _VOCAB,
    "context_length": 4096,
    "embedding_length": _EMBD,
    "block_count": 2,
    "feed_forward_length": _FF,
    "attention.head_count": _EMBD // _HEAD,
    "attention.head_count_kv": 1,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "expert_count": _EXPERTS,
    "expert_used_count": 2,
}
# With the head in RAM as well, in a file of its own or tied to the embedding.
_MODELS: Final = (
    "zoo/Llama-3.1-8B-Q4_K_M.gguf", "zoo/Qwen3-30B-A3B-Q4_K_M.gguf", "zoo/Qwen3-0.6B-Q8_0.gguf",
    "zoo/gpt-oss-20b-MXFP4_MOE.gguf", "zoo/gemma-2-9b-Q4_K_M.gguf", "zoo/GLM-4.7-Flash-Q4_K_M.gguf",
    "zoo/Mamba-Codestral-7B-Q4_K_M.gguf", "zoo/DeepSeek-R1-Q2_K.gguf", "zoo/Qwen3-Next-80B-A3B-Q4_K_M.gguf",
)  # fmt: skip
_KINDS: Final = (
    "-c 4096 -np 1",
    "-c 8192 -np 4 -ub 1024 -fa off",
    "-c 8192 -np 2 -ctk q8_0 -ctv q8_0",
    "-c 4096 -np 4 -kvu -ub 256 --no-repack",
)
# Its graph of b11549 is another one than ours (docs/verbs/certify.md).
_MOVED: Final = ("qwen4exp-moe",)


def write(kind: str, folder: Path) -> Path:
    """A model of two layers whose matrices are all of one type; K and V have too few rows for no kernel to mind."""
    shapes = {"token_embd": (_EMBD, _VOCAB), "output_norm": (_EMBD,)}
    for il in range(2):
        layer = {
            "attn_norm": (_EMBD,),
            **dict.fromkeys(("attn_q", "attn_output"), (_EMBD, _EMBD)),
            **dict.fromkeys(("attn_k", "attn_v"), (_EMBD, _HEAD)),
            "ffn_norm": (_EMBD,),
            "ffn_gate_inp": (_EMBD, _EXPERTS),
            **dict.fromkeys(("ffn_gate_exps", "ffn_up_exps"), (_EMBD, _FF, _EXPERTS)),
            "ffn_down_exps": (_FF, _EMBD, _EXPERTS),
        }
        shapes |= {f"blk.{il}.{name}": shape for name, shape in layer.items()}
    rows = [
        (f"{name}.weight", "f32" if "norm" in name or name.endswith("_inp") else kind, shape)
        for name, shape in shapes.items()
    ]
    metadata: dict[str, Item] = {"general.architecture": "llama", "tokenizer.ggml.model": "none"}
    metadata |= {f"llama.{key}": value for key, value in _KEYS.items()}
    return write_gguf(folder / f"experts-{kind}.gguf", metadata, rows)


def every() -> Iterator[Case]:
    """The cases without their figures."""
    for kind in TYPES:
        yield _case(f"types/experts-{kind}.gguf", "cpu-avx2", _KINDS[0])
    for i, name in enumerate(_MODELS):
        yield from (_case(name, "cpu-avx2", args) for args in (_KINDS[i % 3], _KINDS[3]))
        yield _case(name, "rtx4090-avx2", "-c 4096 -np 1 -ngl 2 --no-host")
    headers = sorted(path.stem for path in (DATA / "models" / "archs").glob("*.gguf"))
    for i, name in enumerate(headers[::6]):
        if name not in _MOVED:
            yield _case(f"archs/{name}.gguf", "cpu-avx2", _KINDS[i % len(_KINDS)])


def _case(model: str, machine: str, args: str) -> Case:
    return {"model": model, "machine": machine, "args": args.split()}


def main() -> int:
    """Count every case and write the figures; 1 when ours differ."""
    if "--headers" in sys.argv:
        FOLDER.mkdir(exist_ok=True)
        for kind in TYPES:
            write(kind, FOLDER)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(drift.ask, every()))
    lines = [json.dumps(drift.row(outcome), separators=(",", ":")) for outcome in outcomes]
    (DATA / "oracle" / "cpu.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return int(not drift.report(outcomes))


if __name__ == "__main__":
    sys.exit(main())

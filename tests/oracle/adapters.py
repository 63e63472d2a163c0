"""Adapters of low rank for models of the oracle, and their cases, counted by the library of b11549 as it loads them.

``python -m tests.oracle.adapters`` asks the library again, and writes what it says; 1 when that is another figure.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import omniplan
from omniplan.api.source import served
from omniplan.certify import library
from omniplan.certify.simulate import simulate
from omniplan.certify.values import Tally, compare
from omniplan.domain.footprint import ContextKind
from omniplan.domain.header import Tensor
from omniplan.domain.model import Model
from omniplan.llamacpp.flags.args import parse
from tests.headers import TensorRow, write_gguf
from tests.oracle import cases
from tests.oracle.cases import Case
from tests.oracle.drift import Outcome, row

FILE: Final = cases.DATA / "oracle" / "adapters.jsonl"
_STEMS: Final = ("attn_", "ffn_", "ssm_in", "ssm_out")
_SECONDS: Final = 600.0
_QWEN, _ARCHS, _ONE, _TWO = "zoo/Qwen3-0.6B-Q8_0.gguf", "archs/{}.gguf", "single-3090", "dual-4090-5070ti"
_ALL: Final = ("-c", "8192", "-np", "1", "-ngl", "99")
_HALF: Final = ("-c", "8192", "-np", "4", "-ngl", "10")
# A model, a machine, arguments, and adapters: rank, type of their factors, scale.
ASKED: Final = (
    (_QWEN, _ONE, _ALL, ((8, "f16", 1.0),)),
    (_QWEN, _ONE, _ALL, ((64, "f32", 0.5),)),
    (_QWEN, _ONE, (*_ALL, "--lora-init-without-apply"), ((8, "f16", 1.0),)),
    (_QWEN, _ONE, _ALL, ((8, "f16", 0.0),)),
    (_QWEN, _TWO, _ALL, ((8, "f16", 1.0),)),
    (_QWEN, _TWO, _ALL, ((8, "f16", 1.0), (64, "f32", 2.0))),
    (_QWEN, _ONE, _HALF, ((64, "f32", 1.0),)),
    (_QWEN, _TWO, (*_HALF, "--control-vector", "v.gguf"), ()),
    *(
        (_ARCHS.format(name), "rtx4090-arch", ("-c", "4096", "-np", "2", "-ngl", "99"), ((16, "f32", 1.0),))
        for name in ("llama-moe", "qwen3moe-moe", "lfm2-dense", "gemma3-dense", "qwen35-dense", "deepseek2-moe",
                     "gpt-oss-moe", "phi3-dense", "falcon-h1-dense")
    ),
)  # fmt: skip


def write(model: Model, path: Path, rank: int, kind: str) -> Path:
    """An adapter for every matrix of attention, feed-forward and state space layers."""
    rows = [row for tensor in model.header.tensors for row in _factors(tensor, rank, kind)]
    metadata = {"general.architecture": model.arch, "general.type": "adapter", "adapter.type": "lora"}
    return write_gguf(path, metadata, rows, header_only=False)


def _factors(tensor: Tensor, rank: int, kind: str) -> Iterator[TensorRow]:
    is_layer = tensor.name.startswith("blk.") and tensor.name.endswith(".weight") and len(tensor.shape) > 1
    if is_layer and tensor.name.split(".")[2].startswith(_STEMS):
        first, second, *rest = tensor.shape
        yield f"{tensor.name}.lora_a", kind, (first, rank, *rest)
        yield f"{tensor.name}.lora_b", kind, (rank, second, *rest)


def loaded(case: Case, folder: Path) -> tuple[Model, tuple[str, ...]]:
    """The model of a case with its adapters, whose files are written, and the arguments that name them."""
    model = cases.model(case["model"])
    args = list(case["args"])
    for at, (rank, kind, scale) in enumerate(case["adapters"]):
        path = write(model, folder / f"{Path(case['model']).stem}-{at}.gguf", rank, kind)
        args += ["--lora-scaled", f"{path}:{scale}"]
    return served(model, parse(args)), tuple(args)


def sizes(tally: Tally) -> dict[str, int]:
    """Bytes of the adapters by buffer type."""
    return {name: size.model for name, size in tally.beside.get(ContextKind.ADAPTERS, {}).items()}


def _ask(case: Case, folder: Path) -> Case:
    model, args = loaded(case, folder)
    machine = cases.machines()[case["machine"]]
    counted = simulate(model, machine, args, env={}, timeout=_SECONDS, no_alloc=False)
    planned = Tally.of(omniplan.footprint(model, machine, args, build=library.BUILD))
    for check in compare(planned, counted):
        if check.planned != check.counted:
            print(f"{cases.label(case)} {case['adapters']}: {check.what} {check.planned} -> {check.counted}")
    return {**row(Outcome(case, counted=counted)), "adapters": case["adapters"], "sizes": sizes(counted)}


def main() -> int:
    """Ask for every case; 1 when a figure has changed."""
    known = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()] if FILE.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        asked = (dict(zip(("model", "machine", "args", "adapters"), row, strict=True)) for row in ASKED)
        rows = [_ask(case, Path(folder)) for case in asked]
    if is_other := json.loads(json.dumps(rows)) != known:
        FILE.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return int(is_other)


if __name__ == "__main__":
    sys.exit(main())

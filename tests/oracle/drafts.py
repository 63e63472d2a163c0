"""Commands that draft, both contexts as llama.cpp's own library has counted them (``tests/data/oracle/drafts.jsonl``).

``python -m tests.oracle.drafts [NAME ...]`` has it count them again, those whose label contains a NAME, and writes the
file when no name is given. ``make certify`` compares without writing.

A model is a header of the tests', or ``nextn:HEADER``, ``heads:HEADER``, ``alone:HEADER``: the same with a nextn layer,
with three of them that have heads of their own, or the nextn layer without the others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import omniplan
from omniplan.certify import library
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import simulate
from omniplan.certify.values import Tally, compare
from omniplan.domain.footprint import BufferSize, ContextKind, Footprint, GraphSplits
from omniplan.domain.model import Companions, Model
from omniplan.errors import ArgumentError
from tests.contracts.sources import ROOT
from tests.oracle import cases
from tests.oracle.nextn import write_nextn
from tests.oracle.recording import record

# A busy machine is no verdict.
SECONDS: Final = 600.0
RECORDED: Final = ROOT / "tests" / "data" / "oracle" / "drafts.jsonl"
Case = dict[str, Any]

_PAIRS: Final = (
    ("Qwen3-8B-Q4_K_M", "Qwen3-0.6B-Q8_0"),
    ("Llama-3.3-70B-Q4_K_M", "Llama-3.1-8B-Q4_K_M"),
    ("gpt-oss-120b-MXFP4_MOE", "gpt-oss-20b-MXFP4_MOE"),
    ("Qwen3.6-27B-MTP-Q4_K_M", "Qwen3-0.6B-Q8_0"),
    ("Qwen3-30B-A3B-Q4_K_M", "gemma-2-9b-Q4_K_M"),
    ("Qwen3-Next-80B-A3B-Q4_K_M", "Mamba-Codestral-7B-Q4_K_M"),
    ("DeepSeek-R1-Q4_K_M", "Qwen3-30B-A3B-Q4_K_M"),
)
_DRAFTING: Final = (
    "-ngl 99 -np 1",
    "-ngl 99 -np 4 -ngld 10",
    "-ngl 20 -np 2 -devd CUDA1 -ctkd q8_0 -ctvd q8_0",
    "-ngl 99 -devd none",
    "-ngl 99 -np 4 -fa on -ctk q8_0 -ctv q8_0 -ctkd q4_0 -ctvd q4_0",
    "-ngl 99 -ts 3,1 -otd ffn_.*=CPU",
    "-ngl 99 -np 3 -sm none -mg 1",
    "-ngl 99 -fa off -ub 256",
    "-ngl 0 -np 2",
    "-ngl 99 -nkvo -fa on -np 1",
    "-ngl 99 -cmoe -cmoed -np 2 --spec-draft-n-max 8",
    "-ngl 99 -np 4 -kvu --no-host",
    "-ngl 30 -ngld 4 -devd CUDA0 -ncmoed 2",
)
_SMALL: Final = (
    "qwen35-dense", "qwen35moe-moe", "qwen3next-moe", "deepseek2-moe", "deepseek32-moe", "glm-dsa-moe", "glm4moe-moe",
    "hy_v3-moe", "cohere2moe-moe", "deepseek4-moe", "mimo2-moe", "bailingmoe3-moe", "nemotron_h_moe-moe",
    "Step-3.5-Flash-Q4_K_M",
)  # fmt: skip
_NEXTN: Final = (
    "-ngl 99 -np 1",
    "-ngl 99 -np 4",
    "-ngl 2 -np 2",
    "-ngl 99 -ctkd q8_0 -ctvd q8_0 -fa on",
    "-ngl 99 -np 2 -fa off --spec-draft-n-max 1",
    "-ngl 99 -nkvo -np 1 -fa on",
    "-ngl 0 -np 2",
    "-ngl 99 -cmoe -np 3 -ub 96",
)
_LARGE: Final = (
    "-ngl 99 -np 4 -c 32768",
    "-ngl 99 -np 1 -ctk q8_0 -ctv q8_0 -ub 1024",
    "-ngl 99 -np 2 -ctkd q8_0 -ctvd q8_0 -fa on --spec-draft-n-max 6",
    "-ngl 30 -np 4 -kvu",
    "-ngl 99 -cmoe -np 1",
    "-ngl 99 -np 4 --spec-draft-n-max 1 -b 512 -ub 128",
)


def _cases() -> Iterator[Case]:
    where = cycle(("dual-4090-5070ti", "quad-3090", "mixed-3"))
    for i, args in enumerate(_DRAFTING):
        for model, draft in (_PAIRS[i % len(_PAIRS)], _PAIRS[(i + 3) % len(_PAIRS)]):
            yield _case(model, next(where), f"{args} --spec-type draft-simple", draft)
    where = cycle(("single-3090", "dual-4090-5070ti", "mixed-3"))
    for i, name in enumerate(_SMALL):
        for args in (_NEXTN[(3 * i + k) % len(_NEXTN)] for k in range(3)):
            yield _case(f"nextn:{name}", next(where), f"{args} --spec-type draft-mtp")
    for name in ("Step-3.5-Flash-Q4_K_M", "hy_v3-moe", "mimo2-moe"):
        yield _case(f"heads:{name}", "dual-4090-5070ti", "-ngl 99 -np 2 --spec-type draft-mtp")
    where = cycle(("dual-4090-5070ti", "quad-3090", "single-3090"))
    for model in ("Qwen3.6-27B-MTP-Q4_K_M", "GLM-4.7-Q4_K_M", "DeepSeek-V3.2-Q3_K_M"):
        for args in _LARGE:
            yield _case(model, next(where), f"{args} --spec-type draft-mtp")
    for args in ("ngram-simple", "ngram-mod -np 8", "ngram-cache,ngram-map-k4v --spec-ngram-map-k4v-size-m 200"):
        yield _case("Qwen3-8B-Q4_K_M", "single-3090", f"-ngl 99 --spec-type {args}")
    yield _case("nextn:qwen35-dense", "dual-4090-5070ti", "-ngl 99 -np 2", "alone:qwen35-dense")
    yield _case("nextn:glm4moe-moe", "single-3090", "-ngl 99 -ngld 1 -np 2", "alone:glm4moe-moe")
    yield _case("nextn:qwen35-dense", "mixed-3", "-ngl 99 -np 1 -devd CUDA2", "nextn:qwen35-dense")
    yield _case("heads:qwen35-dense", "single-3090", "-ngl 99 --spec-type draft-mtp")
    # Its main context is the one figure known to differ (docs/verbs/certify.md).
    for args in ("-np 1", "-np 3 -ctkd q8_0 -ctvd q8_0 -fa on"):
        yield _case("nextn:qwen4exp-moe", "single-3090", f"-ngl 99 {args} --spec-type draft-mtp") | {
            "differs": ["CUDA0 compute"]
        }
    # Loaded, not measured.
    for model in ("qwen35-dense", "glm4moe-moe", "hy_v3-moe", "nemotron_h_moe-moe"):
        for machine, args in (("quad-3090", "-ngl 99 -np 2"), ("single-3090", "-ngl 99 -np 3"), ("mixed-3", "-ngl 1")):
            yield _case(f"nextn:{model}", machine, f"{args} --spec-type draft-mtp") | {"no_alloc": False}
    for machine in ("quad-3090", "dual-4090-5070ti"):
        yield _case("qwen3-dense", machine, "-ngl 99 -np 2 -ctkd q8_0", "llama-dense") | {"no_alloc": False}
    # Refused: no nextn layers, a quantised cache without flash attention, slots that do not fit a draft's blocks.
    yield _case("Qwen3-Next-80B-A3B-Q4_K_M", "single-3090", "-ngl 99 --spec-type draft-mtp")
    yield _case("Qwen3-8B-Q4_K_M", "single-3090", "-ngl 99 -fa off -ctvd q8_0", "Qwen3-0.6B-Q8_0")
    yield _case("nextn:deepseek2-moe", "single-3090", "-ngl 99 -ctkd q8_0 --spec-type draft-mtp")


def _case(model: str, machine: str, args: str, draft: str = "") -> Case:
    words = args.split() if "-c " in args else ["-c", "8192", *args.split()]
    return {"model": model, "draft": draft, "machine": machine, "args": words}


CASES: Final = tuple(_cases())
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "nextn": {},
    "heads": {"count": 3, "own_head": True},
    "alone": {"alone": True},
}


def label(case: Case) -> str:
    """A test id that can be typed back."""
    drafted = f" {case['draft']}" if case["draft"] else ""
    return f"{case['model']}{drafted}-{case['machine']}-{' '.join(case['args'])}"


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="omniplan-nextn-")


@cache
def model_of(name: str) -> Model:
    """A model by its name in a case."""
    kind, _, base = name.rpartition(":")
    if not kind:
        return cases.model(base)
    path = write_nextn(cases.model(base), Path(_folder().name) / f"{kind}-{base}.gguf", **_KINDS[kind])
    return omniplan.load_model(path)


def served(case: Case) -> tuple[Model, list[str]]:
    """The model with its draft beside it, and the arguments that name it."""
    model, args = model_of(case["model"]), list(case["args"])
    if not case["draft"]:
        return model, args
    return replace(model, companions=Companions(draft=model_of(case["draft"]))), [*args, "-md", "draft.gguf"]


def price(case: Case, *, build: int = library.BUILD) -> Footprint:
    """Our footprint of a case."""
    model, args = served(case)
    machine, no_alloc = cases.machines()[case["machine"]], cases.is_measured(case)
    return omniplan.footprint(model, machine, args, build=build, no_alloc=no_alloc)


def count(case: Case) -> Case:
    """The case with what the library says of it."""
    model, args = served(case)
    named = {key: case[key] for key in ("model", "draft", "machine", "args", "no_alloc", "differs") if key in case}
    machine, no_alloc = cases.machines()[case["machine"]], cases.is_measured(case)
    try:
        counted = simulate(model, machine, tuple(args), env={}, timeout=SECONDS, no_alloc=no_alloc)
    except Refused as error:
        return named | {"error": str(error).rpartition("/")[2]}
    splits = counted.graph_splits
    return named | {
        "n_ctx": counted.n_ctx,
        "sched_copies": counted.sched_copies,
        "splits": splits and [splits.prefill, splits.decode],
        "layers": counted.facts["layers"],
        "buffers": _rows(counted.buffers),
        "beside": {str(kind): _rows(sizes) for kind, sizes in counted.beside.items()},
    }


def _rows(sizes: Any) -> dict[str, list[int]]:
    return {name: [size.model, size.context, size.compute] for name, size in sizes.items() if size.total}


def _sizes(rows: dict[str, list[int]]) -> dict[str, BufferSize]:
    return {name: BufferSize(model=m, context=c, compute=x) for name, (m, c, x) in rows.items()}


def differences(case: Case) -> list[str]:
    """What we make of a recorded case otherwise than the library did."""
    try:
        priced = price(case)
    except ArgumentError as error:
        return [] if "error" in case else [f"refused: {error}"]
    if "error" in case:
        return [f"not refused: {case['error']}"]
    prefill, decode = case["splits"]
    recorded = Tally(
        buffers=_sizes(case["buffers"]),
        beside={ContextKind(kind): _sizes(rows) for kind, rows in case["beside"].items()},
        layers=cases.layers(case),
        graph_splits=GraphSplits(prefill=prefill, decode=decode),
        sched_copies=case["sched_copies"],
        n_ctx=case["n_ctx"],
    )
    checks = compare(Tally.of(priced), recorded)
    wrong = [check for check in checks if check.planned != check.counted and check.what not in case.get("differs", ())]
    return [f"{check.what}: {check.planned}, recorded {check.counted}" for check in wrong]


def load() -> list[Case]:
    """Every recorded case."""
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def report(pool: Executor) -> bool:
    """Have the library count every case again, and print how many are as we say; whether all are."""
    found = {label(case): differences(case) for case in pool.map(count, CASES)}
    wrong = {name: lines for name, lines in found.items() if lines}
    print(f"commands that draft: {len(found) - len(wrong)} of {len(found)} agree in every figure")
    for name, lines in wrong.items():
        print(f"{name}: {'; '.join(lines)}")
    return not wrong


def main(names: Sequence[str]) -> int:
    """Count the cases and write them down, or those with one of ``names`` in their label; 1 when any differs."""
    return record(CASES, names, RECORDED, label=label, ask=count, differences=differences)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What ``--fit`` of llama.cpp's own library chooses beside a draft (``tests/data/oracle/fit_drafts.jsonl``).

``python -m tests.oracle.fits`` has it choose again and writes the file; ``make certify`` compares without writing. Each
choice runs in a process of its own (``--one``), because devices are registered for good.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from omniplan.certify import library
from omniplan.certify.devices import SimulatedBackend
from omniplan.certify.job import Asked, Job
from omniplan.certify.parameters import Structs
from omniplan.certify.sparse import complete_file
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import ContextKind
from omniplan.domain.machine import Machine
from omniplan.domain.params import MAX_DEVICES, MAX_OVERRIDES
from omniplan.llamacpp.fit.fit import fit
from omniplan.llamacpp.flags.args import parse
from tests.contracts.sources import ROOT
from tests.oracle import drafts
from tests.oracle.recording import record

RECORDED: Final = ROOT / "tests" / "data" / "oracle" / "fit_drafts.jsonl"
_FIT: Final = (
    "_Z17common_fit_paramsPKcP18llama_model_paramsP20llama_context_paramsPfP32llama_model_tensor_buft_overridePmj"
    "PK22common_fit_extra_model14ggml_log_level"
)
_DECLARED: Final = f"""
struct extra_model {{
    const char * path; struct llama_model_params * model; struct llama_context_params * context; bool shares_model;
}};
int {_FIT}(
    const char *, struct llama_model_params *, struct llama_context_params *, float *, struct buft_override *, size_t *,
    uint32_t, const struct extra_model *, int);
"""
_ERRORS_ONLY: Final = 4  # ggml.h: GGML_LOG_LEVEL_ERROR
Case = dict[str, Any]


_LARGE: Final = (
    ("Qwen3.6-27B-MTP-Q4_K_M", "", 20),
    ("Qwen3-8B-Q4_K_M", "Qwen3-0.6B-Q8_0", 16),
    ("Llama-3.3-70B-Q4_K_M", "Llama-3.1-8B-Q4_K_M", 12),
    ("Qwen3.6-27B-MTP-Q4_K_M", "Qwen3-0.6B-Q8_0", 8),
    ("Qwen3-30B-A3B-Q4_K_M", "Qwen3-0.6B-Q8_0", 3),
    ("GLM-4.7-Q4_K_M", "", 2),
)
_SMALL: Final = (
    "qwen35-dense", "qwen35moe-moe", "qwen3next-moe", "deepseek2-moe", "glm4moe-moe", "hy_v3-moe", "mimo2-moe",
    "bailingmoe3-moe", "nemotron_h_moe-moe", "glm-dsa-moe",
)  # fmt: skip
_SIZES: Final = ((24000,), (16000, 24000), (12000, 8000, 16000), (48000,), (32000, 32000), (6000,))
_ASKED: Final = (
    "-np 4", "-c 16384 -np 1", "", "-c 32768 -np 4 --spec-draft-n-max 6", "-np 2 -ctkd q8_0 -ctvd q8_0 -fa on",
    "-c 8192 -np 8 -ub 1024", "-np 1 -fitt 512 -fitc 8192",
)  # fmt: skip
_SMALL_SIZES: Final = ((24,), (16, 20), (10, 8, 14), (40,), (12, 12))
_SMALL_ASKED: Final = ("-fitt 1 -c 4096 -np 1", "-fitt 1 -np 2 -fitc 512", "-fitt 2 -c 16384 -np 4 -ub 64")

# Found among 120 drawn at random: GPUs without a layer between or behind those with some.
_GAPS: Final = (
    ("hy_v3-moe", (38, 28, 35), "-fitt 2 -c 16384 -np 4 -ub 64"),
    ("nemotron_h_moe-moe", (37, 26), "-fitt 1 -c 4096 -np 1"),
    ("qwen3next-moe", (21, 11, 23), "-fitt 1 -c 4096 -np 1"),
)


def _cases() -> Iterator[Case]:
    sizes, asked, elsewhere = cycle(_SIZES), cycle(_ASKED), cycle(("", " -ngld 5", "", " -devd CUDA0"))
    for model, draft, count in _LARGE:
        for _ in range(count):
            kind = f"draft-simple{next(elsewhere)}" if draft else "draft-mtp"
            yield _case(model, draft, next(sizes), f"{next(asked)} --spec-type {kind}")
    sizes, asked = cycle(_SMALL_SIZES), cycle(_SMALL_ASKED)
    for name in _SMALL:
        for _ in range(5):
            yield _case(f"nextn:{name}", "", next(sizes), f"{next(asked)} --spec-type draft-mtp")
    for name, free, args in _GAPS:
        yield _case(f"nextn:{name}", "", free, f"{args} --spec-type draft-mtp")


def _case(model: str, draft: str, sizes: tuple[int, ...], args: str) -> Case:
    return {"model": model, "draft": draft, "free_mib": list(sizes), "args": args.split()}


CASES: Final = tuple(_cases())


def label(case: Case) -> str:
    """A test id that can be typed back."""
    return f"{case['model']} {case['draft']} {case['free_mib']} {' '.join(case['args'])}"


def machine(case: Case) -> Machine:
    """RTX 3090s with so much free."""
    usual = {"description": "RTX 3090", "compute_capability": "8.6"}
    gpus = [
        {"name": f"CUDA{i}", "total_mib": mib + 512, "free_mib": mib, **usual} for i, mib in enumerate(case["free_mib"])
    ]
    return Machine.from_dict({"name": "fit", "gpus": gpus})


def ours(case: Case, *, build: int = library.BUILD) -> FitResult:
    """Our choice for a case."""
    model, args = drafts.served(case)
    return fit(model, machine(case), parse(args, build=build))


def differences(case: Case) -> list[str]:
    """What we choose otherwise than recorded."""
    chosen, said = ours(case), case["fit"]
    mine = _plain(
        chosen.n_ctx, chosen.n_gpu_layers, chosen.tensor_split, ((o.pattern, o.buffer_type) for o in chosen.overrides)
    )
    return [f"{key}: {mine[key]}, recorded {said[key]}" for key in mine if mine[key] != said[key]]


def _plain(n_ctx: int, n_gpu_layers: int, split: Any, overrides: Any) -> Case:
    return {
        "n_ctx": n_ctx,
        "n_gpu_layers": n_gpu_layers,
        # All zeros is what it looks like before, too.
        "tensor_split": [int(count) for count in split] if any(split) else [],
        "overrides": [list(pair) for pair in overrides],
    }


def choose(case: Case) -> Case:
    """The case with the library's choice."""
    command = [sys.executable, "-m", "tests.oracle.fits", "--one"]
    done = subprocess.run(command, input=json.dumps(case), capture_output=True, text=True, check=True, cwd=ROOT)
    return {key: case[key] for key in ("model", "draft", "free_mib", "args")} | {"fit": json.loads(done.stdout)}


def _one(case: Case) -> Case:
    """The choice, in this process."""
    model, args = drafts.served(case)
    ffi, lib = library.load()
    ffi.cdef(_DECLARED)
    lib.llama_backend_init()
    with TemporaryDirectory(prefix="omniplan-") as folder:
        job = Job.of(lambda header: str(complete_file(header, Path(folder))), model, machine(case), tuple(args), {})
        structs = Structs(ffi, lib, SimulatedBackend(ffi, lib, job.gpus))
        params = parse(job.main.args)
        own, context = _pair(structs, job.main, params.n_ctx_asked)
        assert job.beside is not None
        other, drafting = _pair(structs, job.beside, 0)
        path = ffi.new("char[]", (job.beside.path or job.main.path).encode())
        extra = ffi.new("struct extra_model *", (path, other, drafting, job.beside_kind is ContextKind.MTP))
        split, overrides = ffi.new("float[]", MAX_DEVICES), ffi.new("struct buft_override[]", MAX_OVERRIDES)
        margins = ffi.new("size_t[]", list(params.fit_target))
        own.tensor_split = split
        getattr(lib, _FIT)(
            job.main.path.encode(), own, context, split, overrides, margins, params.fit_ctx, extra, _ERRORS_ONLY
        )
        found = []
        for row in overrides:
            if not row.pattern:
                break
            found.append((ffi.string(row.pattern).decode(), ffi.string(lib.ggml_backend_buft_name(row.buft)).decode()))
        return _plain(context.n_ctx, own.n_gpu_layers, list(split)[: len(job.gpus)], found)


def _pair(structs: Structs, asked: Asked, n_ctx: int) -> tuple[Any, Any]:
    """Pointers to both structs of a context."""
    params = parse(asked.args)
    context = structs.context(params, asked, structs.ffi.NULL)
    context.n_ctx = n_ctx
    model = structs.model(params, no_alloc=True)
    return structs.ffi.new("struct llama_model_params *", model), structs.ffi.new(
        "struct llama_context_params *", context
    )


def load() -> list[Case]:
    """Every recorded case."""
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def report(pool: Executor) -> bool:
    """Have the library choose for every case again, and print how often we choose the same; whether always."""
    wrong = {label(case): lines for case in pool.map(choose, CASES) if (lines := differences(case))}
    print(f"--fit beside a draft: {len(CASES) - len(wrong)} of {len(CASES)} choices are the same")
    for name, lines in wrong.items():
        print(f"{name}: {'; '.join(lines)}")
    return not wrong


def main(names: list[str]) -> int:
    """Choose for the cases and write them down, or those with one of ``names`` in their label."""
    if names == ["--one"]:
        print(json.dumps(_one(json.load(sys.stdin))))
        sys.stdout.flush()
        os._exit(0)
    return record(CASES, names, RECORDED, label=label, ask=choose, differences=differences)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

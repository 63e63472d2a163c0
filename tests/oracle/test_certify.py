"""llama.cpp's own library on simulated GPUs, for real: the oracle's figures again, and everything it may refuse.

The whole sample is ``make certify``; here are the cases that each need something else of the callbacks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.certify import library
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import simulate
from omniplan.errors import InputError
from omniplan.units import MIB
from tests.contracts.sources import ROOT
from tests.oracle import cases, drift, fit_params
from tests.oracle.cases import Case

pytestmark = pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")

ALL = {cases.label(case): case for case in cases.load()}
# Experts on the CPU, whose routing CUDA fuses; recurrent states and pipeline copies on two GPUs.
CHOSEN = (
    "granite-moe-rtx4090-arch--c 4096 -np 1 --no-op-offload -ot exps=CPU -ngl 99",
    "mamba-dense-omni-arch--c 8192 -np 1 -ts 1,1 -ngl 99",
)
TINY = cases.DATA / "models" / "archs" / "llama-dense.gguf"


@pytest.mark.parametrize("label", CHOSEN)
def test_the_library_counts_what_the_oracle_did(label: str) -> None:
    """Layers, all three columns of every buffer, splits and copies, to the byte."""
    outcome = drift.ask(ALL[label])

    assert outcome.theirs == ""
    assert [check for check in outcome.checks if check.planned != check.counted] == []
    assert len(outcome.checks) > 10


def test_an_abort_is_one_line() -> None:
    """Weights on a device that takes no part make llama.cpp abort; the process dies, and we say why."""
    case: Case = next(case for label, case in ALL.items() if "GLM-4.7-Flash-Q4_K_M" in label and "error" in case)
    args = tuple(case["args"])

    with pytest.raises(Refused, match=r"aborts \(SIGABRT\).*ffn_down_exps.*CUDA0") as caught:
        simulate(cases.model(case["model"]), cases.machines()[case["machine"]], args, env={}, timeout=60)

    assert "\n" not in str(caught.value)


def test_no_answer_in_time_is_an_error_that_says_so() -> None:
    """A hanging library cannot hang the command."""
    machine = cases.machines()["single-3090"]

    with pytest.raises(InputError, match=r"no answer within 0\.01 s; allow more"):
        simulate(omniplan.load_model(TINY), machine, ("-c", "512"), env={}, timeout=0.01)


@pytest.mark.parametrize(
    ("found", "has_cffi", "says"),
    [
        (None, True, "xllamacpp: is not installed"),
        (library.VERSION, False, "cffi: is not installed"),
        ("2026.9.11063", True, "xllamacpp 2026.9.11063: its interface is not the declared one"),
    ],
)
def test_any_other_wheel_is_refused(found: str | None, has_cffi: bool, says: str) -> None:
    """The version is what the declarations were checked against; the way out is named."""
    reason = library.refusal(found, has_cffi=has_cffi)

    assert reason is not None
    assert reason.startswith(says)
    assert 'pip install "omniplan[certify]"' in reason


def test_any_other_library_is_refused(tmp_path: Path) -> None:
    """Neither a text file nor a library without llama.cpp's functions is driven."""
    import _cffi_backend

    text = tmp_path / "library.so"
    text.write_text("not a library", encoding="utf-8")
    for path in (text, Path(_cffi_backend.__file__)):
        with pytest.raises(InputError, match=f"{path.name}: .*not driven as b{library.BUILD}"):
            library.load(library.Library(name="a file", build=library.BUILD, path=str(path)))


def test_another_layout_is_refused() -> None:
    """With a field left out of the declarations, or another interface version, the checks find the mismatch."""
    code = """
from omniplan.certify import abi
from omniplan.certify import library
right = abi.TYPES
def load():
    try:
        library.load()
    except library.InputError as error:
        print(error)
abi.TYPES = right.replace("void * abort_callback_data;", "")
load()
abi.TYPES = right.replace("int32_t flags;", "int64_t flags;", 1)
load()
abi.TYPES, library.INTERFACES = right, {8672: 4}
load()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    found = done.stdout.splitlines()
    expected = ("the context parameter offload_kqv is", "tensor struct is laid out", "interface is version 3, not 4")
    assert [says in line for says, line in zip(expected, found, strict=True)] == [True] * len(expected), found


def test_a_callback_that_fails_is_an_error_and_no_verdict() -> None:
    """llama.cpp would go on with whatever the callback returned; the process ends instead."""
    code = """
from omniplan.certify import library
from omniplan.certify.devices import SimulatedBackend
ffi, lib = library.load()
backend = SimulatedBackend(ffi, lib, ())
backend._set(lib.ggml_backend_cpu_buffer_type(), get_alignment=lambda _: 1 // 0)
ffi.cdef("size_t ggml_backend_buft_get_alignment(buft_t);")
lib.ggml_backend_buft_get_alignment(backend.types["CPU"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)

    last = done.stderr.splitlines()[-1]
    assert (2, "a simulated device failed: ZeroDivisionError: integer division or modulo by zero") == (
        done.returncode,
        last,
    )


@pytest.fixture(scope="module")
def plan() -> omniplan.Plan:
    """A plan that shares a small model between two GPUs, which it would not do by itself."""
    machine, args = cases.machines()["omni-arch"], ("-c", "4096", "-np", "1", "-ngl", "99", "-ts", "2,1")
    made = omniplan.plan(TINY, machine, n_ctx=4096)
    return replace(made, server_args=args, footprint=omniplan.footprint(TINY, machine, args))


def test_a_plan_is_certified(plan: omniplan.Plan) -> None:
    """Figure by figure to the byte, with the source named, and as JSON that keeps its schema."""
    import jsonschema

    from omniplan.api.documents import schema

    found = omniplan.certify(plan, simulate=True)

    assert found.agrees
    assert [check for check in found.checks if check.planned != check.counted] == []
    assert library.VERSION in found.source
    jsonschema.validate(json.loads(found.to_json()), schema("certificate"))


def test_a_gpu_that_shares_the_ram_is_priced_like_any_other() -> None:
    """CUDA has no GPU read weights of the RAM in place, so those are copied and cut the graph as elsewhere."""
    gpu = {"name": "CUDA0", "description": "NVIDIA GB10", "total_mib": 122000, "free_mib": 115000, "unified": True}
    machine = omniplan.Machine.from_dict({"name": "unified", "gpus": [gpu], "memory": {"total_mib": 122000}})
    model = ROOT / "tests/data/models/archs/qwen2moe-moe.gguf"
    made = omniplan.plan(model, machine, n_ctx=4096)
    args = ("-c", "4096", "-np", "1", "-ngl", "99", "-ot", "exps=CPU")

    found = omniplan.certify(
        replace(made, server_args=args, footprint=omniplan.footprint(model, machine, args)), simulate=True
    )

    assert found.agrees, found.differences


@pytest.fixture
def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """llama-fit-params, its lines printed by llama.cpp, on the plan's GPUs."""
    monkeypatch.setenv("MACHINE", "omni-arch")
    return str(fit_params.install(tmp_path))


def test_the_binary_counts_the_same(plan: omniplan.Plan, binary: str) -> None:
    """Whole MiB per device and for all RAM, with logits for a whole batch."""
    found = omniplan.certify(plan, fit_params=binary)

    assert found.agrees, found.differences
    assert (binary in found.source, found.resolution) == (True, MIB)
    assert {"CUDA0 compute", "CUDA1 compute", "Host compute"} <= {check.what for check in found.checks}


def test_other_devices_are_refused(plan: omniplan.Plan, binary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count on another machine is no certificate."""
    monkeypatch.setenv("MACHINE", "single-3090")

    with pytest.raises(InputError, match="its devices are CUDA0, the plan's are CUDA0, CUDA1; run it on the machine"):
        omniplan.certify(plan, fit_params=binary)

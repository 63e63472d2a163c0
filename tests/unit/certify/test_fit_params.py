"""llama-fit-params as a program: what it is told, what it may answer, and what is not an answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.certify import fit_params
from omniplan.certify.measure import Refused
from omniplan.cli.main import main
from omniplan.errors import InputError
from omniplan.llamacpp.flags.args import parse
from tests.contracts.sources import ROOT

TINY = ROOT / "tests/data/models/archs/llama-dense.gguf"
ARGS = (
    "-c", "4096", "-np", "2", "--no-kv-unified", "-b", "1024", "-ub", "256", "-fa", "on", "-ctk", "q8_0", "-ctv",
    "q4_0", "-ngl", "3", "-sm", "layer", "-mg", "1", "-ts", "3,1.5", "-dev", "CUDA1,CUDA0", "-ot",
    "exps=CPU,attn=CUDA0", "--override-kv", "llama.block_count=int:2", "--override-kv", "a.b=bool:true", "-nkvo",
    "--no-op-offload", "--swa-full", "--no-host",
)  # fmt: skip

Program = Callable[[str], str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Writes a program that runs the given Python, and returns its path."""

    def write(code: str) -> str:
        path = tmp_path / fit_params.PROGRAM
        path.write_text(f"#!{sys.executable}\nimport sys, time\n{code}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture(scope="module")
def plan() -> omniplan.Plan:
    """A plan for one GPU."""
    return omniplan.plan(TINY, omniplan.load_machine("single-3090"), n_ctx=4096)


@pytest.mark.parametrize("args", [(), ("-c", "0"), ARGS], ids=["none", "c-0", "every"])
def test_arguments_mean_the_same_to_the_tool(args: tuple[str, ...]) -> None:
    """What decides about memory reads back equal; a model's own context is spelled out."""
    params, model = parse(args), omniplan.load_model(TINY)

    told = fit_params.arguments(params, model)

    assert ("--no-repack", "-fitp", "on") == told[-3:]
    again = parse(told[:-2])
    asked = replace(params, n_ctx=again.n_ctx, n_ctx_given=True, fit_ctx=again.fit_ctx, repack=False)
    assert replace(asked, n_parallel=params.n_seq_max, kv_unified=None) == again
    assert again.n_ctx == (params.n_ctx or model.hparams.n_ctx_train)


def test_a_buffer_that_grew_is_found(plan: omniplan.Plan, program: Program) -> None:
    """Three MiB more than planned in one column, everything else as planned."""
    binary = program("print('CUDA0 4 8 99 '); print('Host 0 0 22 ')")

    found = omniplan.certify(plan, fit_params=binary)

    assert not found.agrees
    assert "CUDA0 compute" in found.differences
    assert "CUDA0 model" not in found.differences


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('CUDA0 1 1 1 ')", "printed no 'Host' line"),
        ("print('error: unknown argument')", "printed no 'Host' line"),
        ("print('CUDA0 1 1 1 \\nCUDA1 1 1 1 \\nHost 1 1 1 ')", "its devices are CUDA0, CUDA1, the plan's are CUDA0"),
        ("print('Host 1 1 1 ')", "its devices are none"),
        ("time.sleep(9)", "no answer within 0.2 s; allow more"),
    ],
    ids=["no-host", "another-program", "one-more", "none", "hangs"],
)
def test_what_is_no_answer_is_refused(plan: omniplan.Plan, program: Program, code: str, says: str) -> None:
    """One line: what came, and what to try."""
    with pytest.raises(InputError) as caught:
        omniplan.certify(plan, fit_params=program(code), timeout=0.2 if "sleep" in code else 10)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_llama_cpp_s_own_refusal_is_the_verdict(plan: omniplan.Plan, program: Program) -> None:
    """An exit code is a refusal, with the last line it printed."""
    found = omniplan.certify(plan, fit_params=program("print('note', file=sys.stderr); sys.exit('no such device')"))

    assert (False, "llama-fit-params ends with 1: no such device") == (found.agrees, found.refused)
    assert issubclass(Refused, omniplan.OmniplanError)


def test_slots_that_share_a_cache_are_beyond_the_tool(plan: omniplan.Plan, program: Program) -> None:
    """It has no --kv-unified, so its count would be of something else."""
    shared = replace(plan, server_args=("-c", "4096", "-np", "4", "--kv-unified"))

    with pytest.raises(InputError, match=r"--kv-unified: .*simulated GPUs"):
        omniplan.certify(shared, fit_params=program(""))


def test_a_named_program_must_be_there() -> None:
    """The one on PATH may be missing, a named one may not."""
    assert fit_params.find(None) is None or fit_params.PROGRAM in str(fit_params.find(None))
    with pytest.raises(InputError, match="nowhere: is not a program that can be run"):
        fit_params.find("nowhere")


def test_the_verb(plan: omniplan.Plan, program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 when it agrees and 1 when it does not; text or JSON; the plan's model may lie elsewhere; bad input is 2."""
    path = tmp_path / "plan.json"
    path.write_text(replace(plan, model=replace(plan.model, path="gone.gguf")).to_json(), encoding="utf-8")
    verb = ["certify", str(path), "--fit-params", program("print('CUDA0 4 8 8 '); print('Host 0 0 6 ')")]

    assert main(verb) == 2
    assert "gone.gguf" in capsys.readouterr().err
    assert main([*verb, "--model", str(TINY), "--simulate"]) == 2
    assert "give one of them" in capsys.readouterr().err
    assert main([*verb, "--model", str(ROOT / "data/models/GLM-4.7-Flash-Q8_0.gguf")]) == 2
    assert "--model" in capsys.readouterr().err
    main([*verb, "--model", str(TINY), "--json"])
    assert json.loads(capsys.readouterr().out)["source"].endswith("on this machine's devices")
    program("print('CUDA0 4 80 8 '); print('Host 0 0 6 ')")
    assert main([*verb, "--model", str(TINY)]) == 1
    assert "differs in " in capsys.readouterr().out

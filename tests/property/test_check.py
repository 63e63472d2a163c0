"""The critic has nothing to say against a plan, and an answer to any text."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import omniplan
from omniplan.check.case import Case
from omniplan.check.document import read
from omniplan.check.options import GivenOption
from omniplan.check.values import Severity
from omniplan.documents.text_file import to_bytes
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.formats.pasted import is_pasted
from omniplan.formats.registry import FORMATS
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.table import spellings
from omniplan.llamacpp.ggml.buffers import is_host
from tests.launches import plan_of
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, placements
from tests.property.test_plan import PROBLEMS, Problem, found

NAMES = {
    "argv": "argv",
    "shell": "run.sh",
    "models.conf": "models.conf",
    "preset": "presets.ini",
    "llama-swap": "config.yaml",
    "compose": "compose.yaml",
    "systemd": "model.service",
    "env": ".env",
    "k8s": "deployment.yaml",
}


# All on the GPUs; experts in RAM, on one GPU and on two in another order; RAM nearly full; --fit's own layout
# over alike GPUs; two GPUs that are pinned by PCI order; no GPU.
PLANNED = (
    ("GLM-4.7-Flash-Q8_0", "dual-4090-5070ti"),
    ("gpt-oss-120b-MXFP4_MOE", "single-3090"),
    ("gpt-oss-120b-MXFP4_MOE", "dual-4090-5070ti"),
    ("Llama-3.3-70B-Q8_0", "single-3090"),
    ("Llama-3.3-70B-Q8_0", "quad-3090"),
    ("Llama-3.3-70B-Q8_0", "omni-nps4"),
    ("Qwen3-0.6B-Q8_0", "cpu-only"),
)


@pytest.mark.parametrize("planned", PLANNED, ids="-on-".join)
@pytest.mark.parametrize("name", FORMATS)
def test_emitted_files_are_clean(name: str, planned: tuple[str, str], tmp_path: Path) -> None:
    """Every format says the plan's command or does not offer to, and nothing above info is found in it.

    No pattern is without a tensor, which would be an info.
    """
    plan = plan_of(*planned, n_ctx=32768)
    path = tmp_path / NAMES[name]
    try:
        path.write_bytes(to_bytes(omniplan.emit(plan, format=name)))
    except omniplan.InputError:
        assert name == "env"
        return

    for machine in (None, plan.machine):
        report = omniplan.check(path, model=cases.model(planned[0]), machine=machine)
        assert report.n_commands == 1
        assert [finding for finding in report.findings if finding.severity is not Severity.INFO] == []
        assert report.of("override-matches-nothing") == ()
        assert report.diff == ""


@examples(5)
@given(problem=PROBLEMS, name=st.sampled_from(sorted(FORMATS)))
def test_plans_are_clean(tmp_path_factory: pytest.TempPathFactory, problem: Problem, name: str) -> None:
    """Nothing above info, in a file of any format with model and machine at hand, and in bare arguments without.

    What the user decided may be warned of: pins to the CPU, and a policy that keeps less for a screen.
    """
    _, machine, request = problem
    screens = [gpu for gpu in machine.gpus if gpu.is_display]
    assume(not any(is_host(pin.buffer_type) for pin in request.pins))
    assume(all(request.headroom.growth_of(gpu) >= Headroom().growth_display for gpu in screens))
    plan = found(problem)
    path = tmp_path_factory.getbasetemp() / NAMES[name]
    try:
        path.write_bytes(to_bytes(omniplan.emit(plan, format=name)))
    except omniplan.InputError:
        assume(condition=False)

    for report in (
        omniplan.check(path, model=cases.model(problem[0]), machine=problem[1]),
        omniplan.check(plan.server_args, machine=problem[1], env=plan.environment),
        omniplan.check(plan.server_args),
    ):
        assert [finding for finding in report.findings if finding.severity is not Severity.INFO] == []
        assert report.diff == ""


@pytest.mark.parametrize("build", ["b6303", "b8022"])
@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"argv"}))
def test_files_for_older_builds_are_clean(name: str, build: str, tmp_path: Path) -> None:
    """What an older llama.cpp takes is no error in a file that says it is for one; bare arguments have no place for it.

    b6303 has -fa without a value and no --fit; neither has --load-mode.
    """
    plan = plan_of("gpt-oss-120b-MXFP4_MOE", "single-3090", n_ctx=32768)
    path = tmp_path / NAMES[name]
    try:
        path.write_bytes(to_bytes(omniplan.emit(plan, format=name, llama_cpp=build)))
    except omniplan.OmniplanError:
        assert name not in {"shell", "compose", "systemd", "k8s"}
        return

    report = omniplan.check(path, machine=plan.machine)
    assert report.n_commands == 1
    assert report.is_clean
    assert report.diff == ""


# What people write: decisions, and things that llama-server refuses, ignores or reads otherwise than meant.
WORDS = st.sampled_from(
    (
        "-c 8k;-c 64k;-c 4096;-c 0;-np 1;-ub 4096;-b 2048 -ub 2048;-b 4k -ub 2k;-fa;-fa off;-ctv q8_0;-ctk f8;"
        "--no-mmap;--mlock;--draft-max 4;--fit on;--fit off;-fitt 512;-t 512;-cram 999999;-ngl 0;-ngl 9;-sm row;"
        "-sm none -ts 3,1;-ot blk.1.=CPU;-ot blk.(0|1).ffn.=CUDA0"
    ).split(";")
)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Machine, list[str]]:
    """A model, a machine, and a command as somebody might have written it for them."""
    machine = draw(machines(most=2))
    extra = draw(st.lists(WORDS, min_size=2, max_size=6, unique=True))
    return draw(names()), machine, [*draw(placements(machine)), *" ".join(extra).split()]


@examples(20)
@given(case=written())
def test_mending_makes_no_worse(case: tuple[str, Machine, list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """The mended command takes every decision as before, the same tensors, fits if it did, and is as fast.

    What may change is what llama-server refused or read otherwise than meant, and what it does not look at.
    """
    name, machine, args = case
    path = tmp_path_factory.getbasetemp() / "mended.sh"
    path.write_text(f"llama-server {shlex.join(args)}\n")
    diff = omniplan.check(path, model=cases.model(name), machine=machine).diff
    before = _case(path, name, machine)
    subprocess.run(["patch", "--binary", "-s", str(path)], input=diff.encode(), cwd=path.parent, check=True)
    after = _case(path, name, machine)

    faulty = {"remarks", *({"load_mode"} if {"--mlock", "--no-mmap"} & set(args) else ())}
    faulty |= {"draft", "ngram"} if "--draft-max" in args else set()
    faulty |= {option.row.param for option in before.reading.options if option.row and _is_faulty(option)}
    faulty |= {"tensor_split"} if before.params.split_mode is SplitMode.NONE else set()
    changed = {field.name for field in fields(ServerParams) if _field(before, field.name) != _field(after, field.name)}
    assert changed <= faulty
    assert after.priced is not None or before.priced is None
    if before.priced is not None and after.priced is not None:
        assert not before.priced.fits or after.priced.fits is not False
        now, then = before.speed(before.settled), after.speed(after.settled)
        assert now is not None
        assert then is not None
        assert then.request_seconds.value <= now.request_seconds.value
    assert omniplan.check(path, model=cases.model(name), machine=machine).diff == ""


def _case(path: Path, name: str, machine: Machine) -> Case:
    (command,) = read(str(path), path.read_text()).commands
    return Case(command=command, model=cases.model(name), given_machine=machine)


def _is_faulty(option: GivenOption) -> bool:
    return option.value.endswith("k") or not option.values


def _field(case: Case, name: str) -> object:
    return getattr(case.params, name)


SCALE = int(os.environ.get("OMNIPLAN_EXAMPLES", "1"))
FLAGS = sorted(spellings())
PIECES = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from("llama-server numactl --membind=0 [one] MODEL=a EXTRA_ARGS= CTX_SIZE=8k = # ; & ( ) |".split()),
    st.sampled_from(["\\", "'", '"', "$(x)", "${Y}", "\n", "\r\n", "\t"]),
    st.sampled_from(["```", "$a =", "& ", "@(", ")", "set A=", "%A%", "^", "`", "[", "]", ","]),
    st.sampled_from(["x=", "${", "''", "<<EOF", "EOF"]),
    st.sampled_from(["[Service]", "ExecStart=", "[Container]", "Image=", "[program:a]", "command=", "FROM a", "CMD "]),
    st.sampled_from(["services:", "models:", "  a:", "    cmd: ", "    command: ", "- ", "LLAMA_ARG_FIT=", "exps=CPU"]),
    st.sampled_from(
        [r"blk\.1=CPU", "blk.1.=CUDA1", "8k", "-1", "99", "3,1", "f8", "q8_0", "on", "none", "GiB 17 size"]
    ),
    st.text(max_size=6),
)
TEXTS = st.one_of(
    st.text(max_size=200), st.lists(PIECES, max_size=30).map(" ".join), st.lists(PIECES, max_size=30).map("\n".join)
)
FILES = (
    *("a.sh", "models.conf", "a.ini", ".env", "a.yaml", "Dockerfile", "a.log", "a", "a.ps1", "a.bat", "a.md", "a.py"),
    *("a.nix", "a.json", "a.service", "a.container", "a.desktop", "a.plist", "supervisord.conf", "Makefile"),
)


@settings(max_examples=50 * SCALE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), text=TEXTS)
def test_any_text_has_an_answer(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    """Findings with lines that exist and a diff that reads, or one clear error."""
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    report = _checked(path)
    if isinstance(report, str):
        assert "\n" not in report
        return

    assert all(1 <= finding.line <= max(1, text.count("\n") + 1) for finding in report.findings)
    assert all("\n" not in finding.message for finding in report.findings)
    (report.to_json() + report.diff).encode()


def _checked(path: Path) -> omniplan.CheckReport | str:
    try:
        return omniplan.check(path, model=cases.model("Qwen3-0.6B-Q8_0"))
    except omniplan.InputError as error:
        return str(error)


@settings(max_examples=15 * SCALE, deadline=None)
# No argument of a process holds a NUL.
@given(args=st.lists(PIECES.filter(lambda piece: "\0" not in piece), max_size=12))
def test_any_arguments_have_an_answer(args: list[str]) -> None:
    """An error finding where llama-server would refuse, and the other rules all the same; a command is read as one."""
    args = ["--verbose", *args] if is_pasted(args) else args
    report = omniplan.check(args, model=cases.model("Qwen3-0.6B-Q8_0"), machine="dual-4090-5070ti")
    try:
        parse(args)
    except omniplan.ArgumentError:
        assert [finding for finding in report.findings if finding.severity is Severity.ERROR]

"""The critic has nothing to say against a plan, and an answer to any text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import omniplan
from omniplan.check.values import Severity
from omniplan.documents.text_file import to_bytes
from omniplan.formats.registry import FORMATS
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.table import spellings
from tests.launches import plan_of
from tests.oracle import cases
from tests.property.strategies import examples
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


@pytest.mark.parametrize("name", FORMATS)
def test_emitted_files_are_clean(name: str, tmp_path: Path) -> None:
    """Every format says the plan's command, and nothing above info is found in it."""
    plan = plan_of("GLM-4.7-Flash-Q8_0", "dual-4090-5070ti")
    path = tmp_path / NAMES[name]
    path.write_bytes(to_bytes(omniplan.emit(plan, format=name)))
    report = omniplan.check(path, model=cases.model("GLM-4.7-Flash-Q8_0"))

    assert report.n_commands == 1
    assert [finding for finding in report.findings if finding.severity is not Severity.INFO] == []


@examples(5)
@given(problem=PROBLEMS, name=st.sampled_from(sorted(FORMATS)))
def test_plans_are_clean(tmp_path_factory: pytest.TempPathFactory, problem: Problem, name: str) -> None:
    """Nothing above info, in a file of any format with model and machine at hand, and in bare arguments without."""
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


def test_files_for_older_builds_are_clean(tmp_path: Path) -> None:
    """What an older llama.cpp takes is no error in a file that says it is for one."""
    plan = plan_of("GLM-4.7-Flash-Q8_0", "dual-4090-5070ti")
    path = tmp_path / "run.sh"
    path.write_text(omniplan.emit(plan, format="shell", llama_cpp="b8022"))

    assert omniplan.check(path, machine=plan.machine).is_clean


SCALE = int(os.environ.get("OMNIPLAN_EXAMPLES", "1"))
FLAGS = sorted(spellings())
PIECES = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from("llama-server numactl --membind=0 [one] MODEL=a EXTRA_ARGS= CTX_SIZE=8k = # ; & ( ) |".split()),
    st.sampled_from(["\\", "'", '"', "$(x)", "${Y}", "\n", "\r\n", "\t"]),
    st.sampled_from(["services:", "models:", "  a:", "    cmd: ", "    command: ", "- ", "LLAMA_ARG_FIT=", "exps=CPU"]),
    st.sampled_from(
        [r"blk\.1=CPU", "blk.1.=CUDA1", "8k", "-1", "99", "3,1", "f8", "q8_0", "on", "none", "GiB 17 size"]
    ),
    st.text(max_size=6),
)
TEXTS = st.one_of(
    st.text(max_size=200), st.lists(PIECES, max_size=30).map(" ".join), st.lists(PIECES, max_size=30).map("\n".join)
)
FILES = ("a.sh", "models.conf", "a.ini", ".env", "a.yaml", "Dockerfile", "a.log", "a")


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
    """An error finding where llama-server would refuse, and the other rules all the same."""
    report = omniplan.check(args, model=cases.model("Qwen3-0.6B-Q8_0"), machine="dual-4090-5070ti")
    try:
        parse(args)
    except omniplan.ArgumentError:
        assert [finding for finding in report.findings if finding.severity is Severity.ERROR]

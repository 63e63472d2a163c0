"""Builds as values: what a row inherits, what is refused, and that a footprint says whose bytes it has."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.cli.main import main
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.errors import InputError, TableError
from omniplan.llamacpp.build import Fusions, build_number, builds, doubtful, known, read_builds, release, rows
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.graph.graph import Batch
from omniplan.llamacpp.load.context import resolve
from tests.contracts.sources import ROOT

MODEL = ROOT / "tests/data/models/archs/gpt-oss-moe.gguf"
ROWS = """
[1001]
source = "sources"
[1001.fusions]
routing = { value = true, source = "sources" }
reduced_experts = { value = 15, source = "sources" }
[1001.graphs.llama]
rows = "end"
rope = "none"
source = "sources"
[1002]
based_on = 1001
source = "library"
[1002.fusions.reduced_experts]
value = 31
source = "library"
[1002.graphs.llama]
rows = "last"
source = "library"
"""


def test_a_build_is_the_one_it_is_based_on_but_for_its_rows() -> None:
    """Facts of an architecture and fusions are replaced one by one."""
    found = read_builds(tomllib.loads(ROWS))

    assert found[1002].name == "b1002"
    assert found[1002].fusions == Fusions(routing=True, reduced_experts=31)
    assert found[1002].graphs == {"llama": {"rows": "last", "rope": "none"}}
    assert found[1001].graphs == {"llama": {"rows": "end", "rope": "none"}}


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("based_on = 1001", "based_on = 1000", "1002.based_on: no build 1000 stands above"),
        ("based_on = 1001", "", "1002.based_on: is missing"),
        ("routing", "rooting", "rooting: unknown key; did you mean 'routing'"),
        ('source = "library"\n[1002.g', "[1002.g", "1002.fusions.reduced_experts.source: is missing"),
        ("[1002.graphs", "[1002.graph", "1002.graph: unknown key; did you mean 'graphs'"),
    ],
)
def test_a_row_that_cannot_be_read(right: str, wrong: str, says: str) -> None:
    """The place and the way out are named."""
    with pytest.raises(InputError, match=says):
        read_builds(tomllib.loads(ROWS.replace(right, wrong)))


def test_a_fact_that_no_graph_has_is_a_fault_of_the_table() -> None:
    """It would otherwise change nothing in silence."""
    model = omniplan.load_model(MODEL)
    wrong = replace(known(DEFAULT_BUILD), graphs={model.arch: {"columns": "last"}})
    context = replace(resolve(model, parse(["-c", "512"]), flash_attn=True), build=wrong)

    with pytest.raises(TableError, match=r"builds.toml: 11434.graphs.gpt-oss: .*columns"):
        families.build(model, context, Batch.prefill(context))


@pytest.mark.parametrize(
    "name",
    [
        "b8022",
        8022,
        "8022",
        "server-b8022",
        "ghcr.io/ggml-org/llama.cpp:server-cuda-b8022",
        "llama.cpp:b8022",
        "localhost:5000/llama.cpp:full-cuda-b8022@sha256:0123456789abcdef",
    ],
)
def test_builds_by_name(name: int | str) -> None:
    """With or without the letter, or as an image's tag ends."""
    assert build_number(name) == 8022
    assert release(build_number(name)).name == "b8022"


@pytest.mark.parametrize("name", ["", "8", "master", "b80x", "b8022-1", -11434, "server-cuda", "b\u0668\u0660\u0662"])
def test_what_is_no_build(name: int | str) -> None:
    """The form is shown."""
    with pytest.raises(InputError, match="such as b8022"):
        build_number(name)


def test_the_default_has_a_row() -> None:
    """It is one of those that are known, and so a release with a row is the same value everywhere."""
    assert all(known(number) is release(number) is build for number, build in builds().items())
    assert DEFAULT_BUILD in builds()


@pytest.mark.parametrize("build", [DEFAULT_BUILD, "b11549"])
def test_a_footprint_says_whose_bytes_it_has(build: int | str, capsys: pytest.CaptureFixture[str]) -> None:
    """As a field, in JSON and in the text of the command."""
    machine, args = omniplan.load_machine("single-3090"), ["-c", "4096", "-ngl", "99"]
    name = known(build_number(build)).name
    command = ["footprint", str(MODEL), "--machine", "single-3090", "--llama-cpp", str(build), "--", *args]

    assert omniplan.footprint(MODEL, machine, args, build=build).llama_cpp == name
    assert main(command) == 0
    assert f"simulation of llama.cpp {name}" in capsys.readouterr().out


def test_a_plan_is_of_the_build_that_was_asked() -> None:
    """Its bytes, its name, its reasons, and the line in an emitted file that makes it again."""
    machine = omniplan.load_machine("single-3090")

    plan = omniplan.plan(MODEL, machine, n_ctx=4096, build=11549, baselines=False)

    assert plan.footprint == omniplan.footprint(MODEL, machine, plan.server_args, build=11549)
    assert (plan.llama_cpp, plan.request.build) == ("b11549", 11549)
    assert {reason.source for reason in plan.reasons if "simulation" in reason.source} <= {plan.footprint.source}
    assert "--llama-cpp b11549" in omniplan.emit(plan, format="shell")


@given(number=st.integers(8929, 11434))
def test_a_build_between_two_has_each_rule_that_holds_for_it(number: int) -> None:
    """Up to the last build that is known to have a value, and from the first that is known to have the next one on."""
    found = known(number)
    for older, row in rows().items():
        if (row.based_on or 0) < older or not older <= number <= (row.based_on or 0):
            continue
        for name, rule in row.rules.items():
            if number <= rule.last:
                assert getattr(found.rules, name) == rule.value
            elif number >= rule.until:
                assert getattr(found.rules, name) == getattr(builds()[row.based_on or 0].rules, name)


@given(number=st.integers(1, 20_000))
def test_what_is_in_doubt_lies_around_a_build(number: int) -> None:
    """Nothing is of a build with rows, and of one between two only what changed around it."""
    low, high = doubtful(number)

    assert low < number < high or low == number == high
    if number in builds():
        assert low == high

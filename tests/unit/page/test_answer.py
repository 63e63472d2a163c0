"""The page is told what the command says: the same plans, refusals with ways out, and a line for whatever is wrong."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import omniplan
from omniplan.cli.main import main
from omniplan.documents.record import plain
from omniplan.machines.files import machine_toml
from omniplan.page import answer as page
from omniplan.page.headers import Shelf, catalogue
from omniplan.page.tables import page_tables
from omniplan.page.values import PageChoice, PageQuestion
from omniplan.report.build import report_of
from omniplan.report.plan import plan_sheet
from tests.headers import Item, write_gguf

SMALL = PageQuestion(model="Qwen3-0.6B-Q8_0", machine="RTX 3060 12GB, 32 GB")
TINY = Path(__file__).parents[2] / "data/models/archs/llama-dense.gguf"


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_SHELF", Shelf())


def ask(question: PageQuestion) -> list[dict[str, Any]]:
    return [json.loads(text) for text in page.answers(json.dumps(plain(question)))]


def show(place: str, path: Path, *, name: str = "", size: int | None = None) -> dict[str, Any]:
    data = path.read_bytes()
    found = json.loads(page.show(place, name or path.name, size or len(data), memoryview(data)))
    assert isinstance(found, dict)
    return found


def test_a_quick_answer_and_the_plan_itself() -> None:
    """The last answer is the plan of the same request, to the byte, and its line asks the same in a terminal."""
    asked = replace(SMALL, n_ctx=8192, n_parallel=2, cache_type="q8_0", n_ubatch=0, headroom="10%")
    quick, last = ask(asked)
    model = page._SHELF.model(asked.model, "")
    plan = omniplan.plan(
        model, omniplan.load_machine(asked.machine), n_ctx=8192, n_parallel=2, cache_type_k="q8_0",
        cache_type_v="q8_0", n_ubatch=None, headroom=omniplan.Headroom.parse("10%"),
    )  # fmt: skip

    assert (quick["is_last"], last["is_last"]) == (False, True)
    assert last["plan"] == plan.to_json()
    assert shlex.split(last["command"])[:3] == ["omniplan", "plan", "Qwen3-0.6B-Q8_0.gguf"]
    assert last["n_ctx"] == 8192
    assert {"value": "8192", "text": "8,192"} in last["contexts"]


def test_a_command_asks_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typed into a terminal beside the file, the line gives that plan."""
    asked = replace(SMALL, n_ctx=4096, cache_type="q8_0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Qwen3-0.6B-Q8_0.gguf").symlink_to(catalogue()[asked.model])
    *_, last = ask(asked)

    assert main([*shlex.split(last["command"])[1:], "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {**printed, "machine_file": None} == {**json.loads(last["plan"]), "machine_file": None}


def test_what_does_not_fit_says_what_would() -> None:
    """A refusal is an answer: the line, and questions that are answered with a plan."""
    (refused,) = ask(replace(SMALL, model="Qwen3-8B-Q4_K_M", machine="GTX 1060 6GB, 4 GB RAM", n_ctx=40960))
    problem = refused["problem"]

    assert problem["does_not_fit"]
    assert refused["sheet"] is None
    assert problem["ways"]
    for way in problem["ways"]:
        assert ask(PageQuestion(**way["question"]))[-1]["problem"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": "no such"}, "model"),
        ({"model": "dropped.gguf"}, "model"),
        ({"machine": "a toaster"}, "machine"),
        ({"machine": ""}, "machine"),
        ({"machine": "this-host"}, "machine"),
        ({"quant": "Q9_X"}, "quant"),
        ({"cache_type": "q9"}, ""),
        ({"headroom": "lots"}, "headroom"),
        ({"build": "yesterday"}, "build"),
        ({"n_parallel": 0}, "n_parallel"),
    ],
)
def test_what_nobody_can_answer(changes: dict[str, Any], field: str) -> None:
    """Is one line about the field."""
    (answer,) = ask(replace(SMALL, **changes))

    assert answer["problem"]["text"]
    assert answer["problem"]["field"] == field
    assert not answer["problem"]["does_not_fit"]


@given(text=st.text() | st.dictionaries(st.sampled_from(list(plain(SMALL))), st.text() | st.integers()).map(json.dumps))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_an_answer(text: str) -> None:
    """Whatever a link was turned into, there is an answer, and it is the last."""
    assert json.loads(list(page.answers(text))[-1])["is_last"]


def test_another_quant_is_an_estimate() -> None:
    """The plan says so, and no command names a file that there is not."""
    last = ask(replace(SMALL, quant="Q4_K_M"))[-1]

    assert last["quant"] == "Q4_K_M"
    assert last["command"] == ""
    assert any("an estimate" in row["statement"] for row in json.loads(last["plan"])["assumptions"])


def test_a_header_that_was_shown() -> None:
    """The plan is that of the file, by the name or the address it was shown under."""
    url = "https://example.org/models/tiny.gguf"
    native = json.loads(omniplan.plan(str(TINY), omniplan.load_machine(SMALL.machine)).to_json())
    for place, name in (("llama-dense.gguf", "llama-dense.gguf"), (url, url)):
        assert show(place, TINY, name=name) == {"more": False, "problem": None}
        found = json.loads(ask(replace(SMALL, model=place))[-1]["plan"])
        assert found["model"]["path"] == place
        assert {**found, "model": {**found["model"], "path": native["model"]["path"]}} == {
            **native,
            "machine_file": None,
        }


def test_a_file_of_that_name_may_be_another() -> None:
    """What is shown last under a name counts."""
    show("model.gguf", TINY, name="model.gguf")
    before = ask(replace(SMALL, model="model.gguf"))[-1]
    show("model.gguf", catalogue()["Qwen3-0.6B-Q8_0"], name="model.gguf")
    after = ask(replace(SMALL, model="model.gguf"))[-1]

    assert json.loads(before["plan"])["model"]["architecture"] == "llama"
    assert json.loads(after["plan"])["model"]["architecture"] == "qwen3"


def test_data_behind_the_header_is_known_of() -> None:
    """A file with tensor data is no header alone, though only its header was shown."""
    show("model.gguf", TINY, name="model.gguf", size=400_000_000_000)

    assert not json.loads(ask(replace(SMALL, model="model.gguf"))[-1]["plan"])["model"]["header_only"]


def parts(folder: Path) -> Iterator[Path]:
    """A model in two parts."""
    base: dict[str, Item] = {"general.architecture": "llama", "split.count": 2, "split.tensors.count": 2}
    for number in range(2):
        name = f"tiny-{number + 1:05d}-of-00002.gguf"
        row = ("token_embd.weight" if number else "output.weight", "f16", (64, 64))
        yield write_gguf(folder / name, {**base, "split.no": number}, [row])


def test_a_set_is_read_by_its_parts(tmp_path: Path) -> None:
    """Parts that were shown are one model; one that was not is named."""
    first, second = parts(tmp_path)
    show(first.name, first)
    missing = ask(replace(SMALL, model=first.name))[-1]["problem"]["text"]
    show(first.name, first)
    show(first.name, second)

    assert second.name in missing
    assert "are missing" not in ask(replace(SMALL, model=first.name))[-1]["problem"]["text"]


def test_a_machine_file_that_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is that of the machine in the file, in either form; one that nobody has shown is asked for."""
    monkeypatch.setattr(page, "_MACHINES", {})
    machine = omniplan.load_machine("dual-4090-5070ti")
    for name, text in (("rig.toml", machine_toml(machine)), ("rig.json", json.dumps(plain(machine)))):
        asked = replace(SMALL, machine=name)
        assert "choose the machine file again" in ask(asked)[-1]["problem"]["text"]
        assert json.loads(page.show_machine(name, text)) == {"more": False, "problem": None}
        last = ask(asked)[-1]
        assert json.loads(last["plan"])["machine"] == plain(machine)
        assert f"--machine {name}" in last["command"]


@given(
    name=st.sampled_from(["a.json", "a.toml"]), text=st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps)
)
@settings(deadline=None, max_examples=50)
def test_any_machine_file_has_an_answer(name: str, text: str) -> None:
    """Whatever is in it, there is a line that names it."""
    assert name in json.loads(page.show_machine(name, text))["problem"]["text"]


def test_a_report_of_what_is_shown() -> None:
    """Is a file that draws the same document as --report's, but for the grid around the plan."""
    if not (Path(omniplan.__file__).parent / "web/report.js").is_file():
        pytest.skip("the report's script is not built here: run `make web`")
    sheet = ask(SMALL)[-1]["sheet"]
    model = page._SHELF.model(SMALL.model, "")
    plan = omniplan.plan(model, omniplan.load_machine(SMALL.machine))
    saved = re.search(r'id="report-data">(.*?)</script>', page.report(json.dumps(sheet)), re.DOTALL)

    assert saved
    assert json.loads(saved[1]) == plain(report_of(plan_sheet(plan, model)))


@pytest.mark.parametrize("name", ["", "..", ".", "a/..", "%2e%2e", "x%00"])
def test_a_file_without_a_name(name: str) -> None:
    """Is refused: nothing is written elsewhere."""
    assert show("https://example.org/" + name, TINY)["problem"] is None
    assert show("x", TINY, name="https://example.org/" + name)["problem"] is not None


TABLES = page_tables()


@given(gpu=st.sampled_from(TABLES.gpus), cpu=st.sampled_from(TABLES.cpus), memory=st.sampled_from(TABLES.memories))
@settings(deadline=None)
def test_machines_built_from_the_tables_are_understood(gpu: PageChoice, cpu: PageChoice, memory: PageChoice) -> None:
    """Every GPU, processor and size is a word of machines."""
    machine = omniplan.machine_from_words(f"{gpu.value}, {memory.value}")

    assert [found.description for found in machine.gpus] == [gpu.value]
    assert omniplan.machine_from_words(f"{cpu.value}, {memory.value}").cpu


def test_whatever_the_tables_offer_can_be_asked() -> None:
    """Every choice is one, and what whoever comes first is shown is a plan."""
    assert {model.value for model in TABLES.models} == set(catalogue())
    asked = (
        *(replace(SMALL, cache_type=choice.value) for choice in TABLES.cache_types),
        *(replace(SMALL, headroom=choice.value) for choice in TABLES.headrooms),
    )
    for question in asked:
        assert json.loads(next(page.answers(json.dumps(plain(question)))))["problem"] is None
    assert ask(TABLES.start)[-1]["problem"] is None

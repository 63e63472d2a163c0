"""What is not priced ends every verb with exit code 3, is named in the first line, and is null in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import omniplan
from omniplan.api.documents import load_plan
from omniplan.cli.main import main
from omniplan.errors import ExitCode

Run = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[3]
TINY = str(ROOT / "tests" / "data" / "models" / "archs" / "llama-dense.gguf")
VULKAN = """
name = "ascend"

[memory]
total_mib = 65536

[[gpus]]
name = "CANN0"
total_mib = 16384
"""


@pytest.fixture
def ascend(tmp_path: Path) -> str:
    """A machine whose only GPU belongs to a back end that is not priced."""
    path = tmp_path / "ascend.toml"
    path.write_text(VULKAN, encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every column of a table has room."""
    monkeypatch.setenv("COLUMNS", "200")


def head(text: str) -> str:
    """What a screen begins with, as one line."""
    return " ".join(text.partition("\n\n")[0].split())


def run(args: Sequence[str], capsys: Run) -> tuple[int, str]:
    """Exit code and standard output."""
    code = main(list(args))
    return code, capsys.readouterr().out


PRICED = ["-c", "4096", "-ngl", "99"]
LORA = [*PRICED, "--lora", "adapter.gguf"]
VERBS = {
    "footprint": ["footprint", TINY, "--machine", "single-3090"],
    "fit": ["fit", TINY, "--machine", "single-3090"],
    "compare": ["compare", TINY, "--machine", "single-3090"],
    "check": ["check", "--model", TINY, "--machine", "single-3090"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_with_an_adapter(verb: str, capsys: Run) -> None:
    """Each verb that takes llama-server's arguments."""
    code, text = run([*VERBS[verb], "--", *LORA], capsys)

    assert code == ExitCode.NOT_KNOWN
    assert "Not known whether it fits; not counted: the adapters' weights" in head(text)
    assert "(--lora)" in head(text)


@pytest.mark.parametrize("verb", ["footprint", "fit", "check"])
def test_json_says_null(verb: str, capsys: Run) -> None:
    """And lists what is missing, with its source."""
    found = [json.loads(run([*VERBS[verb], "--json", "--", *args], capsys)[1]) for args in (PRICED, LORA)]

    assert [item["fits"] for item in found] == [True, None]
    assert [[row["subject"] for row in item["unpriced"]] for item in found] == [[], ["--lora"]]


def test_rows_of_a_comparison_differ_where_one_is_not_priced(capsys: Run) -> None:
    """Neither its verdict nor its speed is that of the command beside it; one that fits is enough for 0."""
    code, text = run([*VERBS["compare"], "--", *PRICED, "--", *LORA, "--", *PRICED, "--rpc", "10.0.0.1:50052"], capsys)
    rows = [line.split() for line in text.splitlines() if line[:1] in ("1", "2", "3") and ":" not in line]

    assert code == ExitCode.GOOD
    assert [line[:2] for line in text.partition("\n\n")[0].splitlines() if line[0] != " "] == ["2:", "3:"]
    assert "not" not in rows[0]
    assert ">" in rows[1]
    assert (rows[1].count("known"), rows[2].count("known")) == (4, 6)


def test_a_plan_for_another_back_end(ascend: str, tmp_path: Path, capsys: Run) -> None:
    """Plan, explain and every file made of it."""
    code, text = run(["plan", TINY, "--machine", ascend, "--json"], capsys)
    plan = tmp_path / "plan.json"
    plan.write_text(text, encoding="utf-8")
    written = [run(["emit", str(plan), "--as", form], capsys) for form in ("shell", "models.conf", "systemd", "argv")]
    explained = run(["explain", str(plan)], capsys)

    assert json.loads(text)["footprint"]["fits"] is None
    assert {code, explained[0], *(code for code, _ in written)} == {ExitCode.NOT_KNOWN}
    assert "CANN0" in head(explained[1])
    assert ["Not known whether it fits" in text for _, text in written] == [True, True, True, False]
    assert "  yes " not in explained[1]


def test_a_plan_for_another_back_end_is_read_back_as_it_was(ascend: str, tmp_path: Path) -> None:
    """The verdict is part of the value."""
    plan = omniplan.plan(TINY, ascend)
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json(), encoding="utf-8")

    assert load_plan(path) == plan
    assert plan.footprint.fits is None


def test_a_refusal_names_what_is_not_priced(tmp_path: Path, capsys: Run) -> None:
    """It is in CUDA's figures, too."""
    path = tmp_path / "small.toml"
    path.write_text(VULKAN.replace("16384", "16").replace("65536", "16"), encoding="utf-8")

    assert main(["plan", TINY, "--machine", str(path)]) == ExitCode.BAD
    assert "(not counted: what the back end cann does otherwise than CUDA (CANN0))" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["frontier", "recommend", "stack"])
def test_further_verbs_that_plan(verb: str, ascend: str, tmp_path: Path, capsys: Run) -> None:
    """Their plans are no better."""
    stack = tmp_path / "stack.toml"
    stack.write_text(f'name = "one"\n\n[[models]]\nname = "a"\npath = "{TINY}"\nctx = 4096\n', encoding="utf-8")
    asked = {
        "frontier": ["frontier", TINY, "--ctx", "4096"],
        "recommend": ["recommend", TINY, "--ctx", "4096"],
        "stack": ["stack", str(stack)],
    }
    code, text = run([*asked[verb], "--machine", ascend], capsys)

    assert code == ExitCode.NOT_KNOWN
    assert text.startswith("Not known whether it fits")

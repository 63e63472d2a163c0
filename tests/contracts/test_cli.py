"""The command: exit codes, one-line errors, JSON that keeps its schema, help for every verb."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from omniplan.api.documents import SCHEMAS
from omniplan.cli.main import VERBS, main
from omniplan.errors import ExitCode
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

DEEPSEEK = str(ROOT / "data/models/DeepSeek-R1-Q4_K_M.gguf")
GLM = str(ROOT / "data/models/GLM-4.7-Flash-Q8_0.gguf")
TINY = str(ROOT / "tests/data/models/archs/llama-dense.gguf")
ONE = ["--machine", "single-3090"]
SERVED = str(ROOT / "examples/logs/glm-served.log")

Run = pytest.CaptureFixture[str]

BAD = [
    pytest.param(["frobnicate"], "frobnicate", id="unknown-verb"),
    pytest.param(["inspect"], "MODEL", id="no-model"),
    pytest.param(["inspect", "nowhere.gguf"], "nowhere.gguf", id="missing-file"),
    pytest.param(["inspect", str(ROOT)], "directory", id="directory"),
    pytest.param(["inspect", str(ROOT / "README.md")], "not a GGUF file", id="not-gguf"),
    pytest.param(["inspect", TINY, "--", "-c", "512"], "footprint", id="server-arguments-elsewhere"),
    pytest.param(["inspect", TINY, "--loud"], "--loud", id="unknown-option"),
    pytest.param(["plan", TINY, "--machine", "nowhere"], "omni-nps1", id="unknown-machine"),
    pytest.param(
        ["plan", TINY, "--machine", str(ROOT / "pyproject.toml")],
        "pyproject.toml: build-system: unknown key",
        id="not-a-machine",
    ),
    pytest.param(["plan", TINY, *ONE, "--ctx", "many"], "--ctx", id="ctx-is-a-number"),
    pytest.param(["plan", TINY, *ONE, "--ctx", "-5"], "-5", id="ctx-is-positive"),
    pytest.param(["plan", TINY, *ONE, "--parallel", "0"], "--parallel", id="no-slots"),
    pytest.param(["plan", TINY, *ONE, "--cache-type", "f8"], "q8_0", id="unknown-cache-type"),
    pytest.param(["plan", TINY, *ONE, "--headroom", "lots"], "10%", id="headroom"),
    pytest.param(["footprint", TINY, *ONE, "--", "--no-mmapp"], "--no-mmap", id="unknown-flag"),
    pytest.param(["footprint", TINY, *ONE, "--", "--ctx-sise", "512"], "--ctx-size", id="misspelt-flag"),
    pytest.param(["footprint", TINY, *ONE, "--", "-ngl"], "expected a value", id="value-missing"),
    pytest.param(["footprint", TINY, *ONE, "--", "-ot", "a=CUDA1"], "CUDA1", id="no-such-device"),
    pytest.param(["footprint", TINY, *ONE, "--", "-fa", "off", "-ctv", "q8_0"], "-fa on", id="quantised-v-needs-fa"),
    pytest.param(["explain", "nowhere.json"], "nowhere.json", id="missing-plan"),
    pytest.param(["explain", str(ROOT / "README.md")], "not JSON", id="plan-is-json"),
    pytest.param(["verify", "nowhere.log"], "nowhere.log", id="missing-log"),
    pytest.param(["verify", str(ROOT / "LICENSE")], "llama-server", id="not-a-log"),
    pytest.param(["verify", SERVED, "--plan", "nowhere.json"], "nowhere.json", id="verify-missing-plan"),
    pytest.param(["verify", SERVED, "--nvidia-smi", str(ROOT / "LICENSE")], "memory.used", id="not-a-csv"),
    pytest.param(["calibrate", *ONE[1:], "--log", SERVED], "RTX 4090", id="another-machine-s-log"),
    pytest.param(["calibrate", "--log", SERVED, SERVED, "--nvidia-smi", "x.csv"], "x.csv", id="calibrate-missing-csv"),
    pytest.param(["plan", TINY, *ONE, "--calibration", "nowhere.toml"], "nowhere.toml", id="missing-calibration"),
    pytest.param(["schema", "nothing"], "machine", id="unknown-schema"),
]


def test_what_words_leave_open_is_said_beside_the_answer(capsys: Run) -> None:
    """The answer itself is the same as without it."""
    words = ["footprint", TINY, "--machine", "Tesla V100 32GB, 64 GB", "--", "-c", "64", "-ngl", "99"]
    assert main(words) == ExitCode.GOOD
    shown = capsys.readouterr()

    assert "note: Tesla V100: taken for Tesla V100 PCIe 32GB, the slowest; it could be" in shown.err
    assert "note:" not in shown.out


def test_without_a_machine_it_is_this_host(capsys: Run) -> None:
    """The host at hand is probed, and what could not be seen stands beside the answer."""
    assert main(["footprint", TINY, "--", "-c", "64", "-ngl", "0"]) in (ExitCode.GOOD, ExitCode.BAD)
    shown = capsys.readouterr()

    assert "RAM" in shown.out
    assert all(line.startswith("note: ") for line in shown.err.splitlines())


@pytest.mark.parametrize(("argv", "says"), BAD)
def test_bad_input_is_one_line_and_2(argv: list[str], says: str, capsys: Run) -> None:
    """Nothing on stdout; one line on stderr that names what is wrong or what to write instead."""
    check_refused(argv, says, capsys)


def test_what_fits_is_0(capsys: Run) -> None:
    """A footprint that fits."""
    assert main(["footprint", TINY, *ONE, "--", "-c", "512", "-ngl", "99"]) == 0
    assert capsys.readouterr().out.startswith("Fits: ")


def test_what_does_not_fit_is_1_and_says_by_how_much(capsys: Run) -> None:
    """The table is still printed; the pool that is short is named."""
    assert main(["footprint", DEEPSEEK, *ONE, "--", "-c", "4096", "-ngl", "99"]) == 1
    assert "CUDA0: short by " in capsys.readouterr().out


def test_a_refused_plan_is_1(capsys: Run) -> None:
    """DeepSeek-R1 has no placement on a machine with 64 GB of RAM; the refusal begins with the shortfall."""
    assert main(["plan", DEEPSEEK, "--machine", "dual-4090-5070ti"]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("omniplan: ")
    assert "short by" in shown.err.partition("\n- ")[0]


def test_debug_shows_the_traceback() -> None:
    """``--debug`` raises the error instead of printing it."""
    with pytest.raises(Exception, match=r"nowhere\.gguf"):
        main(["--debug", "inspect", "nowhere.gguf"])


DOCUMENTS = [
    pytest.param("inspection", ["inspect", GLM, "--json"], id="inspect"),
    pytest.param("footprint", ["footprint", TINY, *ONE, "--json", "--", "-c", "512"], id="footprint"),
    pytest.param("plan", ["plan", TINY, *ONE, "--json"], id="plan"),
    pytest.param("verification", ["verify", SERVED, "--json"], id="verify"),
]


def document(argv: list[str], capsys: Run) -> object:
    main(argv)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("name", "argv"), DOCUMENTS)
def test_json_keeps_its_schema(name: str, argv: list[str], capsys: Run) -> None:
    """What ``--json`` prints is valid by what ``omniplan schema`` prints."""
    schema = document(["schema", name], capsys)
    written = document(argv, capsys)

    jsonschema.Draft202012Validator.check_schema(schema)  # type: ignore[arg-type]
    jsonschema.validate(written, schema)  # type: ignore[arg-type]


def test_machines_as_json_are_machine_files(capsys: Run) -> None:
    """``omniplan machines --json`` is a list of what a machine file may hold."""
    from omniplan import Machine

    machines = document(["machines", "--json"], capsys)

    assert isinstance(machines, list)
    assert [Machine.from_dict(raw).name for raw in machines] == [raw["name"] for raw in machines]


def test_machines_are_listed(capsys: Run) -> None:
    """One line each, under a header."""
    assert main(["machines"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:] if line[:1].strip()] == sorted(
        path.stem for path in (ROOT / "data/machines").iterdir()
    )


def test_a_plan_explains_itself_again(tmp_path: Path, capsys: Run) -> None:
    """A saved plan gives the same text and the same JSON, without the model or the machine."""
    main(["plan", TINY, *ONE])
    text = capsys.readouterr().out
    main(["plan", TINY, *ONE, "--json"])
    saved = capsys.readouterr().out
    path = tmp_path / "plan.json"
    path.write_text(saved, encoding="utf-8")

    assert main(["explain", str(path)]) == 0
    assert capsys.readouterr().out == text
    assert main(["explain", str(path), "--json"]) == 0
    assert capsys.readouterr().out == saved


def test_a_plan_of_another_version_is_refused(tmp_path: Path, capsys: Run) -> None:
    """A plan file says which schema it follows."""
    path = tmp_path / "plan.json"
    path.write_text('{"schema_version": 99}', encoding="utf-8")

    assert main(["explain", str(path)]) == 2
    assert "plan again" in capsys.readouterr().err


def test_every_verb_has_help(capsys: Run) -> None:
    """``--help`` goes to stdout and exits with 0."""
    for verb in ("", *(verb.name for verb in VERBS)):
        with pytest.raises(SystemExit) as stopped:
            main([verb, "--help"] if verb else ["--help"])

        shown = capsys.readouterr()
        assert (stopped.value.code, shown.err) == (0, ""), verb
        assert f"usage: omniplan {verb}".rstrip() in shown.out


def test_every_verb_has_its_page() -> None:
    """``docs/verbs/`` holds one page per verb, linked from the page of all."""
    verbs = ROOT / "docs/verbs"
    every = (verbs / "README.md").read_text(encoding="utf-8")
    pages = [f"{verb.name}.md" for verb in VERBS]

    assert [page for page in pages if not (verbs / page).is_file() or f"({page})" not in every] == []


def test_the_page_of_schema_names_every_document() -> None:
    """``docs/verbs/schema.md`` lists what ``omniplan schema`` knows."""
    page = (ROOT / "docs/verbs/schema.md").read_text(encoding="utf-8")

    assert [name for name in SCHEMAS if f"`{name}`" not in page] == []

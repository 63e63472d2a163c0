"""What a release is made of: the changelog, the container file and the workflows name what there is."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import pairwise
from typing import Any

import pytest
from ruamel.yaml import YAML

from omniplan.version import __version__
from tests.contracts.sources import ROOT
from tests.release import CHANGELOG, notes, sections

KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_changelog_has_its_form() -> None:
    """Unreleased first, then versions, newest first, each dated; groups of entries as Keep a Changelog names them."""
    found = sections(CHANGELOG.read_text(encoding="utf-8"))
    released = [tuple(map(int, name.split("."))) for name in found if name != "Unreleased"]
    dates = [date for date, _ in found.values()]

    assert next(iter(found)) == "Unreleased"
    assert dates[0] == ""
    assert all(dates[1:])
    assert all(newer > older for newer, older in pairwise(released))


def test_entries_of_the_changelog_stand_once_in_a_group() -> None:
    for name, (_, body) in sections(CHANGELOG.read_text(encoding="utf-8")).items():
        groups = re.findall(r"^### (.*)$", body, re.MULTILINE)
        entries = re.findall(r"^- .*(?:\n  .*)*", body, re.MULTILINE)

        assert [group for group in groups if group not in KINDS] == [], name
        assert groups == sorted(set(groups), key=KINDS.index), name
        assert len(set(entries)) == len(entries), name


TEXT = f"# C\n\n## [Unreleased]\n\n## [{__version__}] - 2026-12-01\n\n### Added\n\n- One.\n\n## [0.0.1] - 2026-01-01\n"


def test_a_tag_has_its_section_for_notes() -> None:
    assert notes(f"v{__version__}", TEXT) == "### Added\n\n- One."


@pytest.mark.parametrize(
    ("tag", "text", "says"),
    [
        ("v999.0.0", TEXT, "version.py"),
        (f"v{__version__}", TEXT.replace(" - 2026-12-01", ""), "no section"),
        (f"v{__version__}", TEXT.replace("### Added\n\n- One.\n", ""), "no section"),
        (f"v{__version__}", "## [Unreleased]\n\n### Added\n\n- One.\n", "no section"),
    ],
)
def test_a_release_without_notes_is_none(tag: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        notes(tag, text)


def _instructions() -> list[tuple[str, list[str]]]:
    """Every instruction of the container file and its words."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], shlex.split(line)[1:]) for line in lines]


def test_the_container_copies_what_there_is() -> None:
    """From the tree, what is not ignored; from another stage, what that one makes."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    stages = {words[2] for name, words in _instructions() if name == "FROM" and words[1:2] == ["AS"]}
    copies = [words for name, words in _instructions() if name == "COPY"]
    own = [word for words in copies if not words[0].startswith("--") for word in words[:-1]]

    assert own
    assert [word for word in own if not (ROOT / word).exists() or f"!{word}" not in ignored] == []
    assert {words[0].removeprefix("--from=") for words in copies if words[0].startswith("--")} <= stages


def test_the_container_holds_all_that_a_wheel_is_built_of() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    copied = {word for name, words in _instructions() if name == "COPY" for word in words}

    needed = {*build["wheel"]["packages"], *build["wheel"]["force-include"], PROJECT["readme"], "pyproject.toml"}
    assert {*needed, *PROJECT["license-files"]} <= copied


def test_the_container_runs_the_command_as_nobody_special() -> None:
    last = dict(_instructions())

    assert last["ENTRYPOINT"] == ["[omniplan]"]
    assert last["USER"] not in (["root"], ["0"])
    assert [name for name, _ in _instructions()].index("USER") < [name for name, _ in _instructions()].index(
        "ENTRYPOINT"
    )


def _steps(path: str) -> list[dict[str, Any]]:
    jobs = YAML(typ="safe").load((ROOT / ".github/workflows" / path).read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job.get("steps", ())]


def test_workflows_run_every_python_that_is_promised() -> None:
    promised = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    jobs = YAML(typ="safe").load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]

    assert promised[0] == PROJECT["requires-python"].removeprefix(">=")
    assert [jobs[name]["strategy"]["matrix"]["python"] for name in ("linux", "elsewhere")] == [promised, promised]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_workflows_run_is_there(path: Any) -> None:
    """Files by their path, modules of tests, targets of make."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for step in _steps(path.name) for word in shlex.split(step.get("run", ""))]
    commands = [step["run"] for step in _steps(path.name) if "run" in step]

    assert commands
    assert [w for w in words if re.match(r"(tests|examples|\.ci)/", w) and not (ROOT / w).exists()] == []
    assert [w for w in words if w.startswith("tests.") and not (ROOT / f"{w.replace('.', '/')}.py").is_file()] == []
    assert {target for run in commands for target in re.findall(r"make ([a-z]+)", run)} <= set(targets)

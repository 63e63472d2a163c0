"""Documents tell the truth: their commands print what they show, their Python runs, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.contracts.sources import ROOT
from tests.contracts.transcripts import DOCUMENTS, Session, blocks, matches, renewed, run_script, steps

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if steps(path)], ids=name)
def test_commands_print_what_is_shown(path: Path, tmp_path: Path) -> None:
    """Renew the documents with ``python -m tests.contracts.transcripts --write``, and read the difference."""
    session = Session(tmp_path)

    for step in steps(path):
        printed = session.run(step.command)
        if printed is not None:
            assert matches(step.shown, printed), "\n".join((f"{name(path)}: $ {step.command}", *printed))


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if list(blocks(path, "python"))], ids=name)
def test_python_in_documents_runs(path: Path) -> None:
    """All blocks of one document run in order, in one namespace."""
    code = "\n".join("\n".join(lines) for _, lines in blocks(path, "python"))

    exec(compile(code, name(path), "exec"), {"__name__": "document"})  # noqa: S102 - our own documents


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments, in any folder, on what comes with omniplan or lies beside them; and they print something."""
    monkeypatch.chdir(tmp_path)
    assert run_script(path).strip()


def test_links_lead_somewhere() -> None:
    """Every relative link names a file of the repository."""
    links = [(path, target) for path in DOCUMENTS for target in _LINK.findall(path.read_text(encoding="utf-8"))]

    assert [f"{name(path)}: {target}" for path, target in links if not (path.parent / target).exists()] == []


def test_every_page_is_reached_from_the_index() -> None:
    """A page nobody links is a page nobody reads."""
    docs = ROOT / "docs"
    ahead, reached = [docs / "index.md"], set[Path]()
    while ahead:
        if (page := ahead.pop()) not in reached:
            reached.add(page)
            ahead += [
                (page.parent / target).resolve()
                for target in _LINK.findall(page.read_text(encoding="utf-8"))
                if target.endswith(".md")
            ]

    assert set(docs.rglob("*.md")) - reached == set()


def test_every_page_has_its_place_in_the_site() -> None:
    """The navigation of mkdocs.yml names each page; decisions stand on the page of all."""
    docs = ROOT / "docs"
    places = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [str(path.relative_to(docs)) for path in docs.rglob("*.md") if not path.match("decisions/0*")]

    assert [page for page in pages if f" {page}\n" not in places] == []


def test_the_readme_is_short() -> None:
    """Under 120 lines."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_make_demo_is_the_readme_s_plan() -> None:
    """``make demo`` runs the command whose output the README shows."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^demo:.*\n\t\$\(RUN\)(omniplan .*)$", makefile, re.MULTILINE)

    assert recipe is not None
    assert recipe[1] in [step.command for step in steps(ROOT / "README.md")]


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["a", "..."], ["a", "b", "c"], True),
        (["...", "c"], ["a", "b", "c"], True),
        (["a", "...", "c"], ["a", "c"], True),
        (["a", "...", "d"], ["a", "b", "c"], False),
        ([], ["a"], False),
    ],
)
def test_dots_stand_for_lines_left_out(shown: list[str], printed: list[str], expected: bool) -> None:
    """The comparison itself."""
    assert matches(shown, printed) is expected


def test_renewing_keeps_the_pieces() -> None:
    """What was left out stays left out; a piece moves with the lines it is most like."""
    shown = ["plan", "...", "CUDA0 10", "...", "end"]
    printed = ["Plan", "new", "other", "CUDA0 11", "x", "end"]

    assert renewed(shown, printed) == ["Plan", "...", "CUDA0 11", "...", "end"]

"""Reports as values and as a file: pieces add up, texts are data, and what cannot be written is refused in one line."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import omniplan
from omniplan.api.documents import schema
from omniplan.cli.main import main
from omniplan.documents.document import from_text
from omniplan.domain.footprint import ContextKind
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.footprint import placed
from omniplan.llamacpp.load.held import held
from omniplan.report import page
from omniplan.report.page import check_report, report_html, write_report
from omniplan.report.plan import plan_sheet
from omniplan.report.style import contrast
from omniplan.report.values import Report
from omniplan.text.palette import palette

ROOT = Path(__file__).parents[3]
# A third of them, of which each kind of layer has some.
ARCHS = sorted((ROOT / "tests/data/models/archs").glob("*.gguf"))[::3]
TINY = str(ROOT / "tests/data/models/archs/llama-moe.gguf")
# Tensors begin at multiples of so many bytes at most, wherever they lie.
PADDING = 256


@pytest.fixture(scope="module")
def report() -> Report:
    model = omniplan.load_model(TINY)
    plan = omniplan.plan(model, "single-3090", n_ctx=512)
    return Report(verb="plan", title="a plan", version="0", sheets=(plan_sheet(plan, model),))


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script and a style sheet that draw nothing."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "report.js").write_text("const end = '</script>'", encoding="utf-8")
    (folder / "report.css").write_text("", encoding="utf-8")
    monkeypatch.setattr(page, "_BUNDLE", folder)


@pytest.mark.parametrize("split", [["-ngl", "99"], ["-ngl", "2", "-nkvo"]])
def test_pieces_are_what_buffers_hold(split: list[str]) -> None:
    """Whatever the architecture, weights and caches by role add up to llama.cpp's own columns, but for padding."""
    machine = omniplan.load_machine("dual-4090-5070ti")
    wrong = []
    for path in ARCHS:
        model = omniplan.load_model(path)
        params = parse(["-c", "512", *split], env={})
        try:
            placement, priced = placed(model, machine, params)
        except omniplan.ArgumentError:
            continue
        sizes: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        for piece in held(model, placement, mtp=params.load_mtp):
            sizes[piece.buffer] += piece.nbytes
        counts.update(placement.weights.buffer_of.values())
        for buffer, size in priced.contexts[ContextKind.MAIN].items():
            rest = size.model + size.context - sizes[buffer]
            if not 0 <= rest <= PADDING * (counts[buffer] + 64):
                wrong.append((path.stem, buffer, rest))

    assert wrong == []


def test_a_report_is_valid_by_its_schema_and_read_again(report: Report) -> None:
    """What the script draws is described, to the last key."""
    text = report.to_json()

    jsonschema.Draft202012Validator(schema("report")).validate(json.loads(text))
    assert from_text(Report, text, where="report.json", what="report") == report


@pytest.mark.usefixtures("bundle")
def test_nothing_in_a_report_ends_its_script(report: Report) -> None:
    """Titles, commands and the bundle itself may hold what ends a script: it stands there escaped."""
    hostile = "</script><!--<script>\u2028&lt;"
    html = report_html(replace(report, title=hostile, sheets=(replace(report.sheets[0], title=hostile),)))
    data = html.partition('id="report-data">')[2].partition("</script>")[0]

    assert html.count("</script>") == 2
    assert json.loads(data)["title"] == hostile
    assert not set("<>&") & set(data)


@pytest.mark.usefixtures("bundle")
def test_only_a_report_is_written_over(report: Report, tmp_path: Path) -> None:
    """Making it again is no surprise; a page of somebody else's is."""
    path = tmp_path / "plan.html"
    write_report(report, path)
    write_report(report, path)
    path.write_text("<!doctype html><title>mine</title>", encoding="utf-8")

    with pytest.raises(omniplan.InputError, match="no report of omniplan"):
        check_report(path)


@pytest.mark.parametrize(("name", "said"), [("plan.pdf", ".html"), ("nowhere/plan.html", "folder does not exist")])
def test_what_cannot_be_written_is_refused_before_the_work(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, and nothing is written."""
    code = main(["plan", TINY, "--machine", "single-3090", "--report", str(tmp_path / name)])
    seen = capsys.readouterr()

    assert (code, seen.out) == (2, "")
    assert said in seen.err
    assert list(tmp_path.iterdir()) == []


def test_without_the_bundle_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that was built without it plans all the same."""
    monkeypatch.setattr(page, "_BUNDLE", tmp_path)

    with pytest.raises(omniplan.InputError, match="make web"):
        check_report(tmp_path / "plan.html")


def test_colours_can_be_told_from_their_background() -> None:
    """Where something of a plan lies, in light and dark (WCAG 2.2, 1.4.11), and words can be read on them."""
    others = {"free", "margin", "reserved"} | {"bad", "command", "good", "quiet", "title", "warning"}
    rows = [row for row in palette().values() if row.name not in others]

    assert [row.name for row in rows if contrast(row.light, "#fbfaf7") < 3 or contrast(row.dark, "#16181b") < 3] == []
    inks = ("#ffffff", "#16181b")
    assert [row.name for row in rows if max(contrast(ink, row.light) for ink in inks) < 4.5] == []

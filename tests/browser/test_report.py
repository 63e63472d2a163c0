"""Reports in a browser: they open without a network, say what the plan's JSON says, and can be used by everybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import omniplan
from omniplan.report.page import report_html
from omniplan.report.plan import plan_sheet
from omniplan.report.values import Report
from tests.stacks import small

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
TINY = str(ROOT / "tests/data/models/archs/llama-moe.gguf")
GLM = str(ROOT / "data/models/GLM-4.7-Flash-Q8_0.gguf")
MODELS = {
    "DeepSeek-R1-Q4_K_M": ("omni-nps1", "omni-nps4", "2x RTX 3090, EPYC 7532, 512 GB DDR4-3200 8 channels"),
    "GLM-4.7-Flash-Q8_0": ("dual-4090-5070ti", "single-3090", "quad-3090", "cpu-only", "Strix Halo 128 GB"),
    "Qwen3.6-27B-MTP-Q4_K_M": ("single-3090", "h100", "RTX 3060 12GB, 64 GB", "Apple M3 Max, 64 GB"),
}
PLANS = [(model, machine) for model, machines in MODELS.items() for machine in machines]
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30, "ms": 1e-3, "s": 1.0, "tokens/s": 1.0, "tokens": 1.0, "": 1.0}
HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><b>&lt;"


@dataclass(slots=True)
class Shown:
    """A report in a tab: what stands beside each figure's name, and what the console said."""

    page: Page
    told: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def figures(self) -> Mapping[str, str]:
        """The text of every figure by its name, the first where one stands several times."""
        pairs = self.page.eval_on_selector_all(
            "[data-figure]", "all => all.map(each => [each.dataset.figure, each.textContent])"
        )
        return dict(reversed(pairs))


def quantity(text: str) -> float:
    """What a figure says, in bytes, seconds or tokens."""
    number, _, unit = text.partition(" ")
    return float(number.replace(",", "")) * UNITS[unit]


def says(text: str, value: float) -> bool:
    """Whether ``text`` is ``value`` to the last digit that it shows."""
    number = re.match(r"[\d,]+(?:\.(\d+))?", text)
    assert number
    step = 10.0 ** -len(number[1] or "") * UNITS[text.partition(" ")[2]]
    return abs(quantity(text) - value) <= max(step, 0.006 * value)


@pytest.fixture(scope="module")
def show(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Opens a report as a reader does, from a file; axe-core may be put into it, which its own policy forbids."""
    context = browser.new_context(bypass_csp=True)

    def opened(report: Report) -> Shown:
        path = tmp_path_factory.mktemp("report") / "report.html"
        try:
            path.write_text(report_html(report), encoding="utf-8")
        except omniplan.InputError:
            pytest.skip("what draws reports is not built here: run `make web`")
        shown = Shown(context.new_page())
        shown.page.on("console", lambda line: shown.told.append(f"{line.type}: {line.text}"))
        shown.page.on("pageerror", lambda error: shown.told.append(f"error: {error}"))
        shown.page.on("request", lambda request: shown.asked.append(request.url))
        shown.page.goto(path.as_uri())
        shown.page.wait_for_selector("h1")
        return shown

    yield opened
    context.close()


@pytest.fixture(scope="module")
def whole() -> Report:
    """Everything that a report of a plan can have, of a model that is planned at once."""
    model = small(4, 2048)
    return omniplan.report(omniplan.plan(model, "2x RTX 3060 12GB, 16 GB DDR4-3200", n_ctx=8192), model=model)


@pytest.mark.parametrize(("name", "machine"), PLANS, ids=[f"{name} on {machine}" for name, machine in PLANS])
def test_a_report_says_what_the_plan_says(show: Any, name: str, machine: str) -> None:
    """Every figure of it is the plan's JSON, to the digits shown, nothing is fetched, and the console stays empty."""
    model = omniplan.load_model(ROOT / f"data/models/{name}.gguf")
    plan = omniplan.plan(model, machine, n_ctx=8192, baselines=machine == "quad-3090")
    shown = show(Report(verb="plan", title="plan", version="0", sheets=(plan_sheet(plan, model),)))
    figures, expected = shown.figures, dict(_expected(json.loads(plan.to_json())))

    assert {key: (figures[key], value) for key, value in expected.items() if not says(figures[key], value)} == {}
    assert len(expected) > 10
    assert shown.told == []
    assert len(shown.asked) == 1


def _expected(plan: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Figures by the name they stand under, as the JSON of a plan has them."""
    prediction, priced = plan["prediction"], plan["footprint"]
    yield "decode", prediction["decode_tokens_per_second"]["value"]
    yield "prompt", prediction["prompt_tokens_per_second"]["value"]
    yield "request", prediction["request_seconds"]["value"]
    yield "context", priced["n_ctx"]
    yield "time.token", sum(prediction["terms"].values())
    yield "time.prompt", sum(prediction["prompt_terms"].values())
    yield from ((f"time.token.{cause}", seconds) for cause, seconds in prediction["terms"].items() if seconds)
    yield from ((f"time.prompt.{cause}", seconds) for cause, seconds in prediction["prompt_terms"].items() if seconds)
    for margin in plan["margins"]:
        if margin["growth"]:
            yield f"{margin['pool']}.kept for growth", margin["growth"]
        if margin["pool"] in priced["buffers"] and margin["pool"] != "RAM":
            size = priced["contexts"]["main"][margin["pool"]]
            yield from ((f"{margin['pool']}.{label}", size[key]) for key, label in COLUMNS.items() if size[key])
    for baseline, found in plan["baselines"].items():
        if found["loads"]:
            yield f"{baseline}.decode", found["prediction"]["decode_tokens_per_second"]["value"]


COLUMNS = {"context": "KV cache", "compute": "compute buffers"}


def test_bars_add_up(whole: Report) -> None:
    """The pieces of a memory are the whole of it, and weights by role are all weights."""
    bars = [bar for group in whole.sheets[0].memory for bar in group.bars]

    assert [bar.name for bar in bars if sum(each.value for each in bar.segments) != bar.limit] == []
    assert len(bars) == 3


@pytest.fixture(scope="module")
def unfolded(show: Any, whole: Report) -> Page:
    """A report with all of it open, and axe-core in it."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run `make web`")
    page: Page = show(whole).page
    page.evaluate("() => { for (const each of document.querySelectorAll('details')) each.open = true }")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_everybody_can_read_it(unfolded: Page, width: int, scheme: Any) -> None:
    """axe-core finds nothing serious, in light and dark, from a phone to a wide screen; nothing is cut off."""
    unfolded.set_viewport_size({"width": width, "height": 900})
    unfolded.emulate_media(color_scheme=scheme)
    found = unfolded.evaluate("() => axe.run()")

    assert [(row["id"], row["nodes"][0]["html"]) for row in found["violations"] if row["impact"] != "minor"] == []
    assert unfolded.evaluate("() => document.documentElement.scrollWidth") <= width


def test_the_keyboard_moves_over_the_points(show: Any, whole: Report) -> None:
    """The slider of the context takes arrows, and figures and command are those of the point it stands at."""
    tradeoffs = whole.sheets[0].tradeoffs
    assert tradeoffs
    start = tradeoffs.points[tradeoffs.start]
    page = show(whole).page
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    before = tradeoffs.contexts[tradeoffs.contexts.index(start.n_ctx) - 1]
    point = next(
        each
        for each in tradeoffs.points
        if (each.n_ctx, each.cache_type, each.n_ubatch) == (before, start.cache_type, start.n_ubatch)
    )

    assert page.locator(".readout [data-figure=decode]").inner_text() == point.figures[0].text
    assert page.locator(".readout code").inner_text() == point.command.line if point.command else None


def test_no_text_becomes_markup(show: Any, whole: Report) -> None:
    """A model may be called anything: it is shown as it is written, and nothing of it runs."""
    sheet = replace(whole.sheets[0], title=HOSTILE)
    shown = show(replace(whole, title=HOSTILE, sheets=(sheet,)))

    assert shown.page.locator("h1").inner_text() == HOSTILE
    assert shown.page.title() == HOSTILE
    assert shown.page.locator("img").count() == 0
    assert shown.told == []


def test_no_other_script_runs(browser: Browser, whole: Report, tmp_path: Path) -> None:
    """Even one that had got into the file: the policy knows the report's own by its hash."""
    try:
        html = report_html(whole)
    except omniplan.InputError:
        pytest.skip("what draws reports is not built here: run `make web`")
    path = tmp_path / "report.html"
    path.write_text(html.replace("<noscript>", "<script>document.title = 'taken'</script><noscript>"), "utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("h1")

    assert page.title() == whole.title
    context.close()


def test_on_paper_everything_is_unfolded(show: Any, whole: Report) -> None:
    """What is folded on a screen opens before printing, and what cannot be used on paper is left out."""
    page = show(whole).page
    page.emulate_media(media="print")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")

    assert page.locator("details:not([open])").count() == 0
    assert not any(each.is_visible() for each in page.locator("button, input").all())
    assert page.locator("table").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_other_verbs_are_drawn(show: Any, tmp_path: Path) -> None:
    """A comparison, a frontier, a stack and a verification open without a word on the console."""
    stack = tmp_path / "stack.toml"
    stack.write_text(
        "".join(f'[[models]]\nname = "{name}"\npath = "{TINY}"\nctx = 512\n' for name in ("a", "b")), "utf-8"
    )
    compared = omniplan.compare(TINY, "single-3090", [["-c", "512", "-ngl", "99"], ["-c", "512", "-ngl", "0"]])
    frontier = omniplan.frontier(TINY, "single-3090", contexts=(4096, 8192), ubatches=(512,))
    stacked = omniplan.stack(stack, "single-3090")
    verified = omniplan.verify(ROOT / "examples/logs/glm-served.log", model=GLM)
    found = [omniplan.report(compared), omniplan.report(frontier, model=TINY)]
    found += [omniplan.report(stacked), omniplan.report(verified)]

    for report in found:
        shown = show(report)
        assert shown.page.locator("article").count() == len(report.sheets)
        assert shown.told == []

"""The page in a browser: it says what a plan says, to the digit, to everybody, offline, and whatever it is given."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from omniplan.documents.record import plain
from omniplan.machines.files import load_machine, machine_toml
from omniplan.page import answer as native
from omniplan.page.headers import catalogue
from omniplan.page.server import PageFile
from omniplan.page.values import PageQuestion
from tests.browser.visit import Site, Visit, fragment, memory_of, serving, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, Route

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
SMALL = PageQuestion(model="Qwen3-0.6B-Q8_0", machine="RTX 3060 12GB, 32 GB")
QUESTIONS = (
    SMALL,
    replace(SMALL, n_ctx=8192, n_parallel=4, cache_type="q8_0"),
    replace(SMALL, quant="Q4_K_M", headroom="10%"),
    replace(SMALL, n_ubatch=0, build="b11549"),
    PageQuestion(model="Qwen3-8B-Q4_K_M", machine="RTX 4090 (display) + RTX 5070 Ti, Ryzen 7 5800X3D, 64 GB"),
    PageQuestion(model="GLM-4.7-Flash-Q8_0", machine="dual-4090-5070ti", n_ctx=10240),
    PageQuestion(model="gpt-oss-20b-MXFP4_MOE", machine="Strix Halo 128 GB"),
    PageQuestion(model="gpt-oss-120b-MXFP4_MOE", machine="2x RTX 3090, EPYC 7532, 256 GB", n_ctx=16384),
    PageQuestion(model="Qwen3-30B-A3B-Q4_K_M", machine="Apple M3 Max, 64 GB"),
    PageQuestion(model="gemma-3-27b-Q4_K_M", machine="RX 7900 XTX, 64 GB", cache_type="q8_0"),
    PageQuestion(model="Llama-3.3-70B-Q4_K_M", machine="single-3090"),
    PageQuestion(model="Llama-3.1-8B-Q4_K_M", machine="GTX 1060 6GB, 8 GB RAM"),
)
# What a file of 400 GB may cost.
MOST_READ = 16 << 20
MOST_MEMORY = 500 << 20


@pytest.fixture(scope="module")
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    with visiting(browser, site.url + fragment(SMALL)) as found:
        found.wait(fragment(SMALL))
        yield found


def test_nobody_is_told_anything(site: Site, visit: Visit) -> None:
    """All that is asked for are the page's own files, and nothing is kept but those."""
    kept = "async () => [localStorage.length, document.cookie, (await indexedDB.databases()).length]"

    assert visit.asked
    assert all(url.startswith(site.url) for url in visit.asked)
    assert visit.page.evaluate(kept) == [0, "", 0]


def answered(question: PageQuestion) -> dict[str, Any]:
    """The last answer, natively."""
    *_, last = native.answers(json.dumps(plain(question)))
    return dict(json.loads(last))


COUNTED = """() => {
    window.bytesRead = 0;
    const slice = Blob.prototype.slice;
    Blob.prototype.slice = function (...given) {
        const part = slice.apply(this, given);
        window.bytesRead += part.size;
        return part;
    };
}"""


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A file of 400 GB, whose header has a vocabulary of 300,000 words."""
    path = tmp_path / "huge-Q8_0.gguf"
    path.write_bytes(with_vocabulary(catalogue()["Qwen3-0.6B-Q8_0"].read_bytes()))
    os.truncate(path, 400_000_000_000)
    return path


def with_vocabulary(header: bytes) -> bytes:
    """The header with one more key: an array of 300,000 texts."""
    word = b"\x14\0\0\0\0\0\0\0" + b"twenty bytes of text"
    key = b"tokenizer.ggml.merges"
    more = len(key).to_bytes(8, "little") + key + (9).to_bytes(4, "little") + (8).to_bytes(4, "little")
    count = int.from_bytes(header[16:24], "little")
    return (
        header[:16]
        + (count + 1).to_bytes(8, "little")
        + more
        + (300_000).to_bytes(8, "little")
        + word * 300_000
        + header[24:]
    )


@pytest.mark.parametrize("text", ["", "[]", "{", "name = 1", '{"name": "x", "gpus": 7}', "x" * 2_000_000])
def test_a_hostile_machine_file_ends_in_a_message(visit: Visit, text: str) -> None:
    """Whatever is chosen, the page names it, and lives on."""
    visit.ask(SMALL)
    file: FilePayload = {"name": "rig.json", "mimeType": "", "buffer": text.encode()}
    visit.page.get_by_label("Machine file", exact=True).set_input_files(file)
    visit.page.wait_for_function("() => document.querySelector('.trouble')?.innerText.includes('rig.json')")
    visit.page.get_by_label("Cache type").select_option("q8_0")
    visit.wait(fragment(replace(SMALL, cache_type="q8_0")))

    assert "It fits" in visit.text


def test_a_machine_file_is_a_machine(visit: Visit) -> None:
    """Chosen, it is planned for, and its name stands where the words do."""
    visit.ask(SMALL)
    text = machine_toml(load_machine("dual-4090-5070ti"))
    file: FilePayload = {"name": "rig.toml", "mimeType": "", "buffer": text.encode()}
    visit.page.get_by_label("Machine file", exact=True).set_input_files(file)
    visit.wait(fragment(replace(SMALL, machine="rig.toml")))

    assert "--machine rig.toml" in visit.text
    assert json.loads(visit.plan)["machine"]["name"] == "dual-4090-5070ti"


def test_a_report_is_saved(visit: Visit, tmp_path: Path) -> None:
    """It opens without the page, and shows what the page showed."""
    visit.ask(SMALL)
    with visit.page.expect_download() as found:
        visit.page.get_by_role("button", name="Save as report").click()
    path = tmp_path / found.value.suggested_filename
    found.value.save_as(path)
    with visit.another(path.as_uri()) as other:
        shown = other.page.locator("main").inner_text()

    for figure in answered(SMALL)["sheet"]["figures"]:
        assert figure["text"] in shown


def test_a_huge_file_is_read_as_far_as_its_header(browser: Browser, visit: Visit, huge: Path) -> None:
    """Of 400 GB that are chosen at most 16 MiB are read, and the page, which has planned little else, stays small."""
    visit.ask(SMALL)
    visit.page.evaluate(COUNTED)
    visit.page.get_by_label("GGUF file").set_input_files(huge)
    visit.wait(fragment(replace(SMALL, model=huge.name)))

    assert "It fits" in visit.text
    assert 0 < visit.page.evaluate("() => bytesRead") <= MOST_READ
    assert memory_of(browser) < MOST_MEMORY


def rounded(plan: str) -> Any:
    """The plan, its seconds to nine digits: WebAssembly's powers and logarithms may differ in the last ones."""
    return json.loads(plan, parse_float=lambda text: float(f"{float(text):.9g}"))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.model)
def test_the_page_says_what_the_plan_says(visit: Visit, question: PageQuestion) -> None:
    """Every figure is the native plan's, to the digit, and so is the file that is given away."""
    visit.ask(question)
    expected = answered(question)
    shown = " ".join(visit.text.split())

    assert visit.page.locator("h1").inner_text() == expected["title"]
    for figure in expected["sheet"]["figures"]:
        assert f"{figure['text']} {figure['unit']}".strip() in shown
    for command in expected["sheet"]["commands"]:
        assert " ".join(command["line"].split()) in shown
    assert rounded(visit.plan) == rounded(expected["plan"])
    assert visit.told == []


def test_a_link_restores_the_question(site: Site, visit: Visit) -> None:
    """Whoever opens a link sees its question and its answer; what is changed is in the link at once."""
    asked = replace(QUESTIONS[1], machine="RTX 3090 & more")
    with visit.another(site.url + fragment(asked)) as other:
        other.wait(fragment(asked))
        assert other.page.get_by_label("In words").input_value() == "RTX 3090 & more"
        assert "is no GPU, CPU or RAM" in other.text

        other.page.get_by_label("In words").fill(SMALL.machine)
        other.page.keyboard.press("Enter")
        other.wait(fragment(QUESTIONS[1]))
        assert other.page.get_by_label("Cache type").input_value() == "q8_0"
        assert other.page.get_by_label("Slots").input_value() == "4"
        assert other.page.url == site.url + fragment(QUESTIONS[1])


def test_a_slider_is_moved_by_keys(visit: Visit) -> None:
    """The context has a slider, whose steps are those of the model; the keyboard moves it."""
    visit.ask(replace(SMALL, n_ctx=8192))
    slider = visit.page.get_by_role("slider", name="Context")
    slider.focus()
    visit.page.keyboard.press("ArrowRight")
    visit.wait(fragment(replace(SMALL, n_ctx=16384)))

    assert slider.get_attribute("aria-valuetext") == "16,384 tokens"


def test_what_does_not_fit_offers_a_way(visit: Visit) -> None:
    """A refusal says what would fit, and one press asks it."""
    visit.ask(PageQuestion(model="Qwen3-8B-Q4_K_M", machine="GTX 1060 6GB, 4 GB RAM", n_ctx=40960))
    assert "does not fit" in visit.text
    visit.page.locator(".ways button").first.click()
    visit.page.wait_for_selector("main[aria-busy=false] article")

    assert "It fits" in visit.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_everybody_can_use_it(visit: Visit, width: int, scheme: Any) -> None:
    """axe-core finds nothing serious, in light and dark, from a phone to a wide screen; nothing is cut off."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run `make web`")
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.page.emulate_media(color_scheme=scheme)
    visit.ask(QUESTIONS[5])
    visit.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = visit.page.evaluate("() => axe.run()")
    serious = [row for row in found["violations"] if row["impact"] in {"serious", "critical"}]

    assert [(row["id"], [node["target"] for node in row["nodes"]]) for row in serious] == []
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_it_works_offline_after_the_first_visit(browser: Browser, files: Mapping[str, PageFile]) -> None:
    """With its server gone the page opens again, and plans."""
    with serving(files) as site, visiting(browser, site.url + fragment(SMALL)) as visit:
        visit.wait(fragment(SMALL))
        visit.page.evaluate("() => navigator.serviceWorker.ready")
        site.stop()
        visit.page.reload()
        visit.wait(fragment(SMALL))

        assert "It fits" in visit.text
        assert visit.page.evaluate("() => crossOriginIsolated")


def test_a_huge_file_elsewhere_is_read_by_ranges(visit: Visit, huge: Path) -> None:
    """Of 400 GB in a repository at most 16 MiB are asked for, and the command downloads from there."""
    with huge.open("rb") as file:
        data = file.read(MOST_READ)
    sent = []

    def give(route: Route) -> None:
        if "/api/" in route.request.url:
            listing = {"siblings": [{"rfilename": "huge-Q8_0.gguf"}]}
            route.fulfill(json=listing, headers={"Access-Control-Allow-Origin": "*"})
            return
        start, end = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", route.request.headers["range"]).groups())  # type: ignore[union-attr]
        sent.append(end + 1 - start)
        headers = {"Content-Range": f"bytes {start}-{end}/400000000000", "Access-Control-Allow-Origin": "*"}
        route.fulfill(status=206, body=data[start : end + 1], headers={**headers, "Access-Control-Expose-Headers": "*"})

    model = visit.page.get_by_label("Name, owner/repo")
    visit.page.context.route("https://huggingface.co/**", give)
    visit.ask(SMALL)
    model.fill("some/model-GGUF:Q8_0")
    model.press("Enter")
    visit.wait(fragment(replace(SMALL, model="hf:some/model-GGUF/huge-Q8_0.gguf")))

    assert "llama-server -hf some/model-GGUF:Q8_0" in visit.text
    assert 0 < sum(sent) <= MOST_READ


def hostile() -> Iterator[bytes]:
    """Headers damaged as in tests/property/test_header_hostile.py: cut, with flipped bits, with extreme numbers."""
    chance = random.Random(20)
    header = catalogue()["Qwen3-0.6B-Q8_0"].read_bytes()
    for _ in range(8):
        yield header[: chance.randrange(len(header))]
        damaged = bytearray(header)
        for _ in range(chance.randrange(1, 20)):
            damaged[chance.randrange(2000)] ^= 1 << chance.randrange(8)
        yield bytes(damaged)
        at, number = chance.randrange(2000), chance.choice([0, 1 << 31, (1 << 40), (1 << 63), (1 << 64) - 1])
        yield header[:at] + number.to_bytes(8, "little") + header[at + 8 :]
    yield b""
    yield b"GGUF"
    yield b"<!doctype html>"


def test_hostile_headers_end_in_a_message(visit: Visit) -> None:
    """Whatever is chosen, the page says something about it and lives on."""
    for number, data in enumerate(hostile()):
        file: FilePayload = {"name": f"hostile-{number}.gguf", "mimeType": "", "buffer": data}
        visit.page.get_by_label("GGUF file").set_input_files(file)
        visit.page.wait_for_function(
            "name => document.querySelector('main').ariaBusy === 'false' && document.body.innerText.includes(name)",
            arg=file["name"],
        )
    visit.ask(SMALL)

    assert "It fits" in visit.text
    assert [line for line in visit.told if "error" in line] == []

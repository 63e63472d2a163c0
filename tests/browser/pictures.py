"""The pictures of docs/report.md: a report in light and dark, on a screen and a phone; `--write` takes them again."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image
from playwright.sync_api import sync_playwright

import omniplan
from omniplan.report.page import report_html
from tests.browser.conftest import ARGUMENTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Scheme = Literal["light", "dark"]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/assets"
# Name, width and height in pixels, scheme, and the heading that stands at the top.
PICTURES: tuple[tuple[str, int, int, Scheme, str], ...] = (
    ("report-light.png", 1120, 1180, "light", "h1"),
    ("report-dark.png", 1120, 1180, "dark", "h1"),
    ("report-context-light.png", 1120, 640, "light", "What the context costs"),
    ("report-context-dark.png", 1120, 640, "dark", "What the context costs"),
)
# Flat areas of few colours: so many are enough, and the site stays small.
COLOURS = 96


def page_of_report() -> str:
    """A model that two unlike GPUs and RAM share."""
    # As it is written from the root of a checkout.
    os.chdir(ROOT)
    model = omniplan.load_model("data/models/GLM-4.7-Flash-Q8_0.gguf")
    plan = omniplan.plan(model, "dual-4090-5070ti", n_ctx=131072)
    return report_html(omniplan.report(plan, model=model))


def take(browser: Browser, path: Path, width: int, height: int, scheme: Scheme, top: str) -> Image.Image:
    """What a reader with such a screen sees from the heading ``top`` on."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    found = page.locator("h1") if top == "h1" else page.get_by_role("heading", name=top)
    above = 0 if top == "h1" else 24
    offset = found.evaluate("(each, above) => each.getBoundingClientRect().top - above", above) if above else 0
    clip = {"x": 0, "y": offset, "width": width, "height": height}
    taken = page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]
    context.close()
    return Image.open(BytesIO(taken)).convert("RGB").quantize(COLOURS)


def main() -> None:
    """Take every picture, and keep it with ``--write``."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder, "report.html")
        path.write_text(page_of_report(), encoding="utf-8")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=[*ARGUMENTS, "--no-sandbox"])
        for name, width, height, scheme, top in PICTURES:
            picture = take(browser, path, width, height, scheme, top)
            if "--write" in sys.argv:
                picture.save(FOLDER / name, optimize=True)
            print(name, picture.size)
        browser.close()


if __name__ == "__main__":
    main()

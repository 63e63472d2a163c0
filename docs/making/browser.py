"""The picture of the page of ``omniplan serve``, as a browser shows it.

``python -m docs.making.browser`` takes it anew. It needs Chromium and what ``make web`` built: no test asks for it.
"""

from __future__ import annotations

import shutil
from io import BytesIO
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

from docs.making.pictures import FOLDER
from omniplan.page.server import page_files
from omniplan.page.values import PageQuestion
from tests.browser.visit import fragment, serving, visiting

QUESTION: Final = PageQuestion(
    model="GLM-4.7-Flash-Q8_0", machine="RTX 4090 24GB + RTX 5070 Ti 16GB, Ryzen 7 5800X3D, 64 GB DDR4-3600"
)
# Flat areas of few colours: so many are enough, and the site stays small.
COLOURS: Final = 96


def main() -> None:
    """The page with the answer to a question that its link says, by the Chromium that is installed."""
    link = fragment(QUESTION)
    with serving(page_files()) as site, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with visiting(browser, site.url + link) as visit:
            visit.page.set_viewport_size({"width": 1280, "height": 1000})
            visit.wait(link)
            taken = Image.open(BytesIO(visit.page.screenshot()))
        browser.close()
    taken.convert("RGB").quantize(COLOURS).save(FOLDER / "page.png", optimize=True)


if __name__ == "__main__":
    main()

"""Pictures that only a browser shows: a report, and the page of ``omniplan serve``.

``python -m docs.making.browser`` takes them anew. It needs Chromium and what ``make web`` built: no test asks for them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from docs.making.pictures import FOLDER, ROOT
from omniplan.page.server import page_files
from omniplan.page.values import PageQuestion
from tests.browser.visit import fragment, serving, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MACHINE: Final = "RTX 4090 24GB + RTX 5070 Ti 16GB, Ryzen 7 5800X3D, 64 GB DDR4-3600"
REPORT: Final = ("plan", "data/models/GLM-4.7-Flash-Q8_0.gguf", "--machine", MACHINE, "--ctx", "32768")


def report(browser: Browser) -> None:
    """The first screen of a plan's report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        subprocess.run([sys.executable, "-m", "omniplan", *REPORT, "--report", str(path)], cwd=ROOT, check=True)
        with visiting(browser, path.as_uri()) as visit:
            visit.page.set_viewport_size({"width": 1100, "height": 1310})
            visit.page.screenshot(path=FOLDER / "report.png")


def page(browser: Browser) -> None:
    """The page, with the answer to a question that its link says."""
    link = fragment(PageQuestion(model="GLM-4.7-Flash-Q8_0", machine=MACHINE))
    with serving(page_files()) as site, visiting(browser, site.url + link) as visit:
        visit.page.set_viewport_size({"width": 1280, "height": 1000})
        visit.wait(link)
        visit.page.screenshot(path=FOLDER / "page.png")


def main() -> None:
    """Both, by the Chromium that is installed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        report(browser)
        page(browser)
        browser.close()


if __name__ == "__main__":
    main()

"""How long the page takes to be ready, to answer, and to follow a slider, in a browser and from this host.

``make web`` first. Beside the seconds stand those that the browser's own process computed, for a host that does other
things too: ``python -m benchmarks.page``
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from omniplan.page.server import page_files
from omniplan.page.tables import page_tables
from omniplan.page.values import PageQuestion
from tests.browser.conftest import ARGUMENTS
from tests.browser.visit import Visit, fragment, serving, visiting

START: Final = page_tables().start
DEEPSEEK: Final = PageQuestion(model="DeepSeek-R1-Q4_K_M", machine="omni-nps1")
SMALL: Final = PageQuestion(model="Qwen3-0.6B-Q8_0", machine="RTX 3060 12GB, 32 GB")
# Seconds from a moved slider until its answer is drawn, as a user sees it: how long it takes to ask a browser that from
# outside does not count.
MOVED: Final = """link => new Promise(drawn => {
    const begin = performance.now(), main = document.querySelector('main');
    const look = () => main.dataset.answered === link ? requestAnimationFrame(() => drawn(performance.now() - begin))
        : requestAnimationFrame(look);
    location.hash = link;
    look();
})"""
# A quick answer is there as soon as the page says whose it is; the last one when nobody waits any more.
QUICK: Final = "link => document.querySelector('main').dataset.answered === link"
READY: Final = "() => !/Starting|Loading|Reading/.test(document.querySelector('.progress').innerText)"
# Seconds in which it should happen.
LIMITS: Final = {
    "ready, first visit": 6.0,
    "ready, second visit": 2.0,
    "gpt-oss-120b, quick": 1.0,
    "gpt-oss-120b, exact": 1.0,
    "DeepSeek-R1, quick": 2.0,
    "DeepSeek-R1, exact": 5.0,
    "gpt-oss-120b, slider": 0.2,
    "DeepSeek-R1, slider": 0.2,
}


class Clock:
    """Seconds that pass, and those that the browser's pages compute."""

    def __init__(self, browser: Browser) -> None:
        self._session = browser.new_browser_cdp_session()
        self.is_kept = True

    def _computed(self) -> float:
        """Of all pages that are still there: one that is left may take its own with it."""
        rows = self._session.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(float(row["cpuTime"]) for row in rows if row["type"] == "renderer")

    def time(self, name: str, act: Callable[[], float | None]) -> None:
        """Do ``act`` and print how long it took, in its own words if it has any."""
        computed, begin = self._computed(), time.perf_counter()
        measured = act()
        seconds = time.perf_counter() - begin if measured is None else measured
        computed = self._computed() - computed
        self.is_kept &= seconds <= LIMITS[name]
        print(f"{name:24} {seconds:6.2f} s, {computed:6.2f} s computed, at most {LIMITS[name]} s wanted")


def _asked(visit: Visit, question: PageQuestion, condition: str) -> None:
    link = fragment(question)
    visit.page.evaluate("link => { location.hash = link }", link)
    visit.page.wait_for_function(condition, arg=link)


def _answers(clock: Clock, visit: Visit, name: str, question: PageQuestion) -> None:
    """Both answers to a question whose model was not asked for before."""
    clock.time(f"{name}, quick", lambda: _asked(visit, question, QUICK))
    visit.wait(fragment(question))
    # The same again with another context, from the question to the last answer.
    other = replace(question, n_ctx=16384)
    clock.time(f"{name}, exact", lambda: visit.ask(other))
    moved = replace(question, n_ctx=65536)
    clock.time(f"{name}, slider", lambda: visit.page.evaluate(MOVED, fragment(moved)) / 1000)
    visit.wait(fragment(moved))


def main() -> int:
    """Print the figures; 1 when one is missed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    print(f"load of this host: {Path('/proc/loadavg').read_text().split()[0]}, {os.cpu_count()} processors")
    with sync_playwright() as driver, serving(page_files()) as site:
        browser = driver.chromium.launch(executable_path=program, args=[*ARGUMENTS, *sandbox])
        clock = Clock(browser)
        with visiting(browser, "about:blank") as visit:
            for name in ("ready, first visit", "ready, second visit"):
                clock.time(name, lambda: _ready(visit, site.url))
                visit.wait()
                visit.page.evaluate("() => navigator.serviceWorker.ready")
                visit.page.goto("about:blank")
            _ready(visit, site.url)
            visit.wait()
            _answers(clock, visit, "gpt-oss-120b", replace(START, machine="2x RTX 3090, EPYC 7532, 256 GB"))
            _answers(clock, visit, "DeepSeek-R1", DEEPSEEK)
        browser.close()
    return 0 if clock.is_kept else 1


def _ready(visit: Visit, url: str) -> None:
    visit.page.goto(url + fragment(SMALL))
    visit.page.wait_for_function(READY)


if __name__ == "__main__":
    sys.exit(main())

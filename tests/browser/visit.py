"""Visits of the page: a server of it, a question by its link, and what the page then shows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from omniplan.page.server import PageFile, page_server
from omniplan.page.tables import page_tables
from omniplan.page.values import PageQuestion

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# A machine that runs other tests beside it is slow.
PATIENCE = 120_000
# As web/src/page/link.ts writes them.
WORDS = {"n_ctx": "ctx", "n_parallel": "slots", "cache_type": "cache", "n_ubatch": "ubatch"}


@dataclass(slots=True)
class Site:
    """The page at ``url``; ``stop`` takes its server away."""

    url: str
    server: ThreadingHTTPServer

    def stop(self) -> None:
        """PageAnswer nobody any more."""
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def serving(files: Mapping[str, PageFile]) -> Iterator[Site]:
    """The page, served by `omniplan serve`'s own server."""
    server = page_server(files, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site = Site(url=f"http://127.0.0.1:{server.server_address[1]}/", server=server)
    try:
        yield site
    finally:
        site.stop()
        thread.join()


def fragment(question: PageQuestion) -> str:
    """The end of the link that asks ``question``."""
    usual = page_tables().start
    always = {"model", "machine", "build"}
    said = {item.name: getattr(question, item.name) for item in fields(question)}
    words = {name: value for name, value in said.items() if name in always or value != getattr(usual, name)}
    order = ("model", "quant", "machine", "n_ctx", "n_parallel", "cache_type", "n_ubatch", "headroom", "build")
    return "#" + urlencode({WORDS.get(name, name): words[name] for name in order if name in words})


def memory_of(browser: Browser) -> int:
    """Bytes of the browser's largest process: the page with its worker."""
    session = browser.new_browser_cdp_session()
    pids = [row["id"] for row in session.send("SystemInfo.getProcessInfo")["processInfo"] if row["type"] == "renderer"]
    session.detach()
    return max(1024 * int(re.search(r"Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[1]) for pid in pids)  # type: ignore[index]


@dataclass(slots=True)
class Visit:
    """One tab; ``told`` is what its console said, ``asked`` the addresses that it fetched."""

    page: Page
    told: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def another(self, url: str) -> Iterator[Visit]:
        """A second tab of the same browser, at ``url``."""
        other = Visit(self.page.context.new_page())
        other.page.goto(url)
        yield other
        other.page.close()

    def ask(self, question: PageQuestion) -> None:
        """Ask by the link, and wait for the last answer."""
        link = fragment(question)
        self.page.evaluate("link => { location.hash = link }", link)
        self.wait(link)

    def wait(self, link: str = "") -> None:
        """Wait until the page is at rest, with the answer to ``link`` where one is given."""
        at_rest = "link => { const {ariaBusy, dataset} = document.querySelector('main'); \
            return ariaBusy === 'false' && (!link || dataset.answered === link) }"
        self.page.wait_for_function(at_rest, arg=link, timeout=PATIENCE)

    @property
    def plan(self) -> str:
        """The plan that the page gives away as a file."""
        with self.page.expect_download() as found:
            self.page.get_by_role("button", name="Save plan.json").click()
        return found.value.path().read_text(encoding="utf-8")

    @property
    def text(self) -> str:
        """All that is said beside the question."""
        return self.page.locator("main").inner_text()


@contextmanager
def visiting(browser: Browser, url: str) -> Iterator[Visit]:
    """A tab at ``url``, in a browser that has never been there."""
    context = browser.new_context(accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    visit = Visit(context.new_page())
    context.on("request", lambda request: visit.asked.append(request.url))
    visit.page.on("console", lambda line: visit.told.append(f"{line.type}: {line.text}"))
    visit.page.on("pageerror", lambda error: visit.told.append(f"error: {error}"))
    visit.page.goto(url)
    try:
        yield visit
    finally:
        context.close()

"""A browser without a window, and the page that `make web` built, served as `omniplan serve` does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from omniplan.errors import InputError
from omniplan.page.server import PageFile, page_files
from tests.browser.visit import Site, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# It looks for updates and for other things that are no part of a test.
ARGUMENTS = (
    "--disable-background-networking", "--disable-component-update", "--disable-gpu", "--disable-quic",
    "--disable-sync", "--no-first-run", "--enable-precise-memory-info",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: .ci/run installs Debian's")
    # As root it runs only without its sandbox.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=[*ARGUMENTS, *sandbox])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def files() -> Mapping[str, PageFile]:
    try:
        return page_files()
    except InputError:
        pytest.skip("the page is not built here: run `make web`")


@pytest.fixture(scope="session")
def site(files: Mapping[str, PageFile]) -> Iterator[Site]:
    with serving(files) as found:
        yield found

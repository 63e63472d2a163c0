"""What the site adds to the pages of docs/; that it is whole is checked as it is built, by ``make site``."""

from __future__ import annotations

import pytest

import omniplan

pytest.importorskip("mkdocs", reason="the site's tools are the dependency group docs")

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.making.site import GROUPS, names, on_page_markdown, on_post_page


@pytest.fixture
def config() -> MkDocsConfig:
    """One that knows where a page would lie."""
    made = MkDocsConfig()
    made.load_dict({"site_name": "omniplan", "docs_dir": "docs", "site_dir": "site"})
    assert made.validate() == ([], [])
    return made


def page(config: MkDocsConfig, path: str) -> Page:
    """A page of the site."""
    return Page(None, File(path, "docs", "site", use_directory_urls=False), config)


def test_every_public_name_is_on_one_page() -> None:
    """Functions, values and errors are all there is beside the version."""
    assert sorted(name for group in GROUPS for name in names(group)) == sorted({*omniplan.__all__} - {"__version__"})


@pytest.mark.parametrize(
    ("path", "link", "expected"),
    [
        ("python.md", "(../CHANGELOG.md)", "(CHANGELOG.md)"),
        ("verbs/emit.md", "(../../examples/emit_files.py)", "(../examples/emit_files.py)"),
        ("verbs/emit.md", "(../hosts.md)", "(../hosts.md)"),
        ("CHANGELOG.md", "(docs/drafts.md)", "(drafts.md)"),
        ("tests/data/measurements/README.md", "(../../../docs/accuracy.md)", "(../../../accuracy.md)"),
    ],
)
def test_links_lead_to_where_files_stand_in_the_site(config: MkDocsConfig, path: str, link: str, expected: str) -> None:
    """docs/ is the root of the site, and files beside docs/ stand beside its pages."""
    assert on_page_markdown(f"[x]{link}", page(config, path), config, Files([])) == f"[x]{expected}"


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://example.com/a.js"></script>',
        '<link rel="stylesheet" href="//example.com/a.css">',
        "<img alt='' src=https://example.com/a.png>",
    ],
)
def test_a_page_that_loads_from_elsewhere_ends_the_build(config: MkDocsConfig, element: str) -> None:
    """A link that a reader may follow does not."""
    shown = page(config, "index.md")

    assert on_post_page('<a href="https://example.com">', shown, config) == '<a href="https://example.com">'
    with pytest.raises(PluginError, match=r"index\.md loads .*example\.com"):
        on_post_page(f"<p>{element}</p>", shown, config)

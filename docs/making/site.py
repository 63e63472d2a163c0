"""What the site has beside the pages of docs/: files of the repository that pages link to, and the public names.

mkdocs calls these functions while it builds. A page that would load anything from elsewhere ends the build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import omniplan.api

ROOT: Final = Path(__file__).parents[2]
# Each stands in the site where it stands beside docs/.
BESIDE: Final = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "tests/data/measurements/README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "examples").glob("*.py"))),
)
GROUPS: Final = {
    "functions": "What each verb of the command does, as a function. [From Python](../python.md) is the way in.",
    "values": "What functions take and give: immutable, with sizes in bytes and times in seconds.",
    "errors": "What a user can act on. Each is an `OmniplanError`, and its text is one line.",
}
_LOADED: Final = re.compile(
    r"<(?:script|img|iframe|source|link(?![^>]*canonical))\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    for path in BESIDE:
        files.append(File.generated(config, path, content=(ROOT / path).read_text(encoding="utf-8")))
    for group in GROUPS:
        files.append(File.generated(config, f"api/{group}.md", content=names_page(group)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site has them: docs/ is its root, and what stands beside docs/ is in it."""
    del config, files
    root = "../" * page.file.src_uri.count("/")
    outside = f"{root}docs/" if page.file.src_uri in BESIDE else f"{root}../"
    return markdown.replace(f"]({outside}", f"]({root}")


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that asks another host for anything."""
    del config
    if elsewhere := _LOADED.findall(output):
        raise PluginError(f"{page.file.src_uri} loads {', '.join(elsewhere)}: keep it in docs/assets")
    return output


def names_page(group: str) -> str:
    """The page of one kind of public names; mkdocstrings puts each one's docstring in its place."""
    blocks = "\n\n".join(f"::: {place(name)}" for name in names(group))
    return f"# {group.capitalize()}\n\n{GROUPS[group]}\n\n{blocks}\n"


def names(group: str) -> Iterator[str]:
    """Public names of one kind, as ``omniplan.__all__`` has them."""
    for name in omniplan.__all__:
        public = getattr(omniplan, name)
        if not isinstance(public, str) and group == kind(public):
            yield name


def place(name: str) -> str:
    """Where mkdocstrings finds a public name: some verbs are called as the rooms below ``omniplan`` are."""
    return f"omniplan.api.{name}" if name in omniplan.api.__all__ else f"omniplan.{name}"


def kind(public: object) -> str:
    """The group that a public name belongs to."""
    if not isinstance(public, type):
        return "functions"
    return "errors" if issubclass(public, Exception) else "values"

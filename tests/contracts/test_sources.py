"""Sources can be followed: what rows and reasons rest on is an address, or a lesson that this repository tells."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

from tests.contracts.sources import ROOT, package

# Names of diaries and numbers of their entries, which say nothing to who has not read them.
_UNSAID = re.compile(r"GLM diary|Protocol OMNI|\b[FS]-\d{3}\b|\blessons? \d")
_ANCHOR = re.compile(r"docs/lessons\.md#([\w-]+)")


def texts() -> Iterator[tuple[str, str]]:
    """Every text of the tables, and every text and docstring of the package, with its file."""
    for path in sorted((ROOT / "data").glob("*.toml")):
        yield from ((path.name, text) for text in _strings(tomllib.loads(path.read_text(encoding="utf-8"))))
    for source in package():
        nodes = (node for node in ast.walk(source.tree) if isinstance(node, ast.Constant))
        yield from ((source.path, node.value) for node in nodes if isinstance(node.value, str))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def test_a_lesson_is_named_by_its_place_on_the_lessons_page() -> None:
    """Nobody can look up a number of a diary; ``docs/lessons.md#f-005`` is read in the repository."""
    assert [(where, text) for where, text in texts() if _UNSAID.search(text)] == []


def test_every_place_on_the_lessons_page_is_there() -> None:
    """A source that leads nowhere is no source."""
    known = set(re.findall(r'<a id="([\w-]+)">', (ROOT / "docs" / "lessons.md").read_text(encoding="utf-8")))
    named = {anchor for _, text in texts() for anchor in _ANCHOR.findall(text)}

    assert named
    assert sorted(named - known) == []

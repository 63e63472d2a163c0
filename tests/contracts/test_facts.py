"""Code branches on facts of an architecture's row, never on its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from omniplan.gguf.model.architectures import ArchRow, known, rows
from omniplan.llamacpp.graph.families import FAMILIES, recipes
from tests.contracts.sources import ROOT

PACKAGE: Final = ROOT / "omniplan"
GRAPHS: Final = PACKAGE / "llamacpp" / "graph" / "families"
# From the name of an architecture to its graph: what these two files are for.
TABLES: Final = (GRAPHS / "__init__.py", GRAPHS / "recipes.py")


def names_in(source: str) -> Iterator[str]:
    """Architectures that string constants consist of, one or a list of words; a sentence may mention them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and set(node.value.split()) <= known():
            yield from node.value.split()


def test_no_code_names_an_architecture() -> None:
    """A difference between architectures is a field of their rows."""
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path not in TABLES
        for name in names_in(path.read_text(encoding="utf-8"))
    }

    assert found == set()


def test_a_name_is_found_however_it_stands() -> None:
    """In a comparison, in a collection, in a list of words; documentation may name what it likes."""
    source = '"""About llama."""\nif arch == "grok" or "bert" in arch:\n    late = frozenset("qwen3 gemma".split())\n'

    assert ["bert", "gemma", "grok", "qwen3"] == sorted(names_in(source))


def test_graphs_are_in_order_and_known() -> None:
    """One place for every architecture, none of them misspelt."""
    own = [name for name in FAMILIES if name not in recipes.ROWS]

    assert (sorted(recipes.ROWS), sorted(own)) == (list(recipes.ROWS), own)
    assert set(FAMILIES) - known() == set()


def test_recipes_name_their_upstream_file() -> None:
    """Who knows llama.cpp's sources finds the row, and the other way round."""
    assert [name for name, row in recipes.ROWS.items() if not row.upstream.endswith(".cpp")] == []


def test_rows_say_something() -> None:
    """A row that only repeats the general rule would hide that nothing is known."""
    silent = [name for name, row in rows().items() if replace(row, source="") == ArchRow()]

    assert silent == []

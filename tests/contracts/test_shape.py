"""Small files, short functions, docstrings: the numbers the package keeps."""

from __future__ import annotations

import ast
from statistics import median, quantiles

from tests.contracts.sources import body_lines, functions, package, public

MAX_FILE = 300
MAX_BODY = 60
MAX_MEDIAN = 8
MAX_P90 = 25


def test_every_module_says_what_it_knows() -> None:
    """A module starts with a docstring."""
    assert [source.path for source in package() if not ast.get_docstring(source.tree)] == []


def test_files_are_short() -> None:
    """No module is longer than 300 lines."""
    assert {source.path: source.n_lines for source in package() if source.n_lines > MAX_FILE} == {}


def test_functions_are_short() -> None:
    """Bodies, docstrings not counted: none over 60 lines, nine of ten at most 25, half at most 8."""
    sizes = {f"{s.path}:{f.lineno} {f.name}": body_lines(f) for s in package() for f in functions(s)}

    assert {name: size for name, size in sizes.items() if size > MAX_BODY} == {}
    assert median(sizes.values()) <= MAX_MEDIAN
    assert quantiles(sizes.values(), n=10)[-1] <= MAX_P90


def test_public_names_have_docstrings() -> None:
    """Every public function and class, and every public method of a public class."""
    missing = [f"{s.path}:{node.name}" for s in package() for node in public(s) if not ast.get_docstring(node)]

    assert missing == []


def test_a_class_name_is_one_thing() -> None:
    """No two classes of the package share a public name: who reads it need not ask which one is meant."""
    places: dict[str, list[str]] = {}
    for source in package():
        for node in public(source):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(source.path)

    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}

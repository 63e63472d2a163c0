"""Errors in one voice: what, where, what to try."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tests.contracts.sources import Source, package

ERRORS: Final = {"InputError", "RequestError", "HeaderError", "ArgumentError", "OutputError"}
# How a text says what to try: what was expected, or a clause of its own after what is wrong.
TRY: Final = re.compile(r"expected |; \S|; $|\bone of\b")
# Names of what is put into a text and says it: another error, or a part made elsewhere.
PARTS: Final = {"error", "problem", "remedy", "hint", "meant", "near_file", "needs", "reason", "reasons", "_unknown"}


def raised(source: Source) -> Iterator[ast.Call]:
    """Every one of our errors that is raised where it is made."""
    for node in ast.walk(source.tree):
        call = node.exc if isinstance(node, ast.Raise) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ERRORS:
            yield call


def is_telling(call: ast.Call) -> bool:
    """Whether the text says what to try, or has a part that does."""
    texts = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    remedies = [item.value for item in call.keywords if item.arg == "remedy"]
    return any(map(TRY.search, texts)) or bool(PARTS & names) or bool(remedies)


# Reasons that another error or a note puts together.
INSIDE: Final = {"omniplan/machines/probe/programs.py"}


def test_every_error_says_what_to_try() -> None:
    silent = [
        f"{source.path}:{call.lineno}: {ast.unparse(call)}"
        for source in package()
        if source.path not in INSIDE
        for call in raised(source)
        if not is_telling(call)
    ]

    assert silent == []

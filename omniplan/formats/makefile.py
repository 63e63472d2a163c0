"""Makefiles and justfiles: the lines of their recipes, each for a shell of its own."""

from __future__ import annotations

import re
from typing import Final

from omniplan.formats.contents import Contents, together
from omniplan.formats.shell.scope import Scope, Variable
from omniplan.formats.shell.script import read_script
from omniplan.formats.traced import LONGEST, Source, Traced

_ASSIGNMENT: Final = re.compile(
    r"^(?:export\s+)?([A-Za-z_][\w.-]*)\s*(?::{0,3}|\?)=\s*([^\n#]*?)[ \t]*(?:#[^\n]*)?$", re.MULTILINE
)
_RECIPE: Final = re.compile(r"^(?:\t| {2,})[@+-]*((?:[^\\\n]|\\\r?\n|\\.)*)", re.MULTILINE)
_VARIABLE: Final = re.compile(r"\$\$|\$[({]([\w.-]+)[)}]|\{\{\s*([\w-]+)\s*\}\}|\$\([^)]*\)|\{\{[^}]*\}\}")
_NESTED: Final = 8


def read(source: Source) -> Contents:
    """What the recipes start; make's own variables are put in."""
    values = {match[1]: _bare(source.span(*match.span(2))) for match in _ASSIGNMENT.finditer(source.text[:LONGEST])}
    parts: list[Contents] = []
    for match in _RECIPE.finditer(source.text[:LONGEST]):
        line = _filled(source.span(*match.span(1)), values)
        scope = Scope(variables={name: Variable((value,)) for name, value in values.items() if not value.is_open})
        parts.append(read_script(source.inside(line), scope=scope))
    return together(parts)


def _bare(value: Traced) -> Traced:
    """A value without the quotes of a justfile."""
    text = value.text
    return value.slice(1, len(text) - 1) if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else value


def _filled(text: Traced, values: dict[str, Traced], depth: int = 0) -> Traced:
    def choose(match: re.Match[str]) -> Traced:
        if match[0] == "$$":
            return text.slice(match.start() + 1, match.end())
        known = values.get(match[1] or match[2] or "")
        if known is None or depth > _NESTED or len(known.text) > 10_000:
            return text.slice(*match.span()).saying("_" * len(match[0])).opened()
        return _filled(known, values, depth + 1)

    return text.replaced(_VARIABLE, choose) if "$" in text.text or "{{" in text.text else text

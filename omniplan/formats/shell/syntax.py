"""The syntax tree of a shell script, by tree-sitter's grammar of bash."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from omniplan.errors import InputError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

# The grammar counts bytes; a letter for every other character makes them characters, and none of these is syntax.
_OTHER: Final = re.compile(r"[^\x00-\x7f]")


_BRACKET: Final = re.compile(r"[(){}]")
_DEPTH: Final = 300


@cache
def _parser() -> Parser:
    try:
        import tree_sitter_bash
        from tree_sitter import Language, Parser
    except ImportError as error:
        raise InputError("shell scripts need tree-sitter; install tree-sitter and tree-sitter-bash") from error
    return Parser(Language(tree_sitter_bash.language()))


def tree(text: str) -> Node:
    """The root of the tree, whose bytes are characters of ``text``; raises InputError for one made to do harm."""
    depth = 0
    for match in _BRACKET.finditer(text):
        depth = depth + 1 if match[0] in "({" else max(0, depth - 1)
        if depth > _DEPTH:
            raise InputError(f"a script that is nested more than {_DEPTH} times is not read; check the inner one alone")
    return _parser().parse(_OTHER.sub("x", text).encode("ascii")).root_node

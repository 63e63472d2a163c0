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
# A script of more characters is no start script; its tree would take hundreds of megabytes.
LONGEST: Final = 2_000_000


@cache
def _parser() -> Parser:
    try:
        import tree_sitter_bash
        from tree_sitter import Language, Parser
    except ImportError as error:
        raise InputError("shell scripts need tree-sitter; install tree-sitter and tree-sitter-bash") from error
    return Parser(Language(tree_sitter_bash.language()))


def tree(text: str) -> Node:
    """The root of the tree, whose bytes are characters of ``text``; raises InputError for one that is too long."""
    if len(text) > LONGEST:
        raise InputError(f"a script of {len(text):,} characters; {LONGEST:,} are read at most")
    return _parser().parse(_OTHER.sub("x", text).encode("ascii")).root_node

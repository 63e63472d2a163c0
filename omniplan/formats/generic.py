"""JSON, and YAML of no kind of its own: argument lists, and lines for a shell under names that say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.formats.contents import Contents, together
from omniplan.formats.launchers import started
from omniplan.formats.shell.script import read_script
from omniplan.formats.starts import of_started
from omniplan.formats.traced import Source, Traced
from omniplan.formats.yaml_tree import Items, Node, Scalar, Table

# What tools call a program, its arguments, and a line for a shell.
_PROGRAMS: Final = ("command", "program", "cmd", "executable", "exec", "path", "binary", "bin")
_ARGUMENTS: Final = ("args", "arguments", "argv", "extra_args", "params")
_LINES: Final = frozenset(
    "command commands cmd run script scripts shell exec shellcommand start pre post before_script entrypoint".split()
)


def read(source: Source, document: Node) -> Contents:
    """What a document starts."""
    return together(_below(source, document, "", set()))


def _below(source: Source, node: Node, key: str, seen: set[int]) -> Iterator[Contents]:
    if isinstance(node, Scalar):
        if key.lower() in _LINES and " " in str(node).strip():
            yield read_script(source.inside(node.text))
        return
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Items):
        texts = [item.text for item in node.items if isinstance(item, Scalar)]
        found = _list(source, texts)
        yield found
        if not found.commands:
            for item in node.items:
                yield from _below(source, item, key, seen)
        return
    apart = _apart(source, node)
    yield apart
    for name, value in node.entries:
        if not (apart.commands and str(name) in (*_PROGRAMS, *_ARGUMENTS)):
            yield from _below(source, value, str(name), seen)


def _list(source: Source, texts: Sequence[Traced]) -> Contents:
    """A list of a program and its arguments; a name alone is none."""
    return of_started(source, started(texts)) if len(texts) > 1 else Contents()


def _apart(source: Source, table: Table) -> Contents:
    """A program under one key and its arguments in a list under another."""
    program = next((value for key in _PROGRAMS if isinstance(value := table.get(key), Scalar)), None)
    args = next((value for key in _ARGUMENTS if isinstance(value := table.get(key), Items)), None)
    if program is None or args is None:
        return Contents()
    words = [item.text for item in args.items if isinstance(item, Scalar)]
    env = tuple((str(key), value.text) for key, value in table.table("env").entries if isinstance(value, Scalar))
    return of_started(source, started((program.text, *words)), env=env, line=program.line)

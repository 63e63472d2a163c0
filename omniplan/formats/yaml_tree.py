"""YAML streams as trees whose scalars know where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from omniplan.errors import InputError
from omniplan.formats.traced import Source, Traced

# Configurations are far smaller; a parser in Python takes seconds for a million characters.
LONGEST: Final = 250_000
_DEPTH: Final = 60
_MERGE: Final = "<<"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: its text, whether it is written in quotes, and its line."""

    text: Traced
    line: int
    is_quoted: bool = False

    def __str__(self) -> str:
        return self.text.text


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, with what ``<<`` brings in behind its own entries."""

    entries: tuple[tuple[Scalar, Node], ...]

    def get(self, *path: str) -> Node | None:
        """What stands under the keys of ``path``, None where nothing does."""
        found: Node | None = self
        for key in path:
            found = (
                next((value for name, value in found.entries if str(name) == key), None)
                if isinstance(found, Table)
                else None
            )
        return found

    def table(self, *path: str) -> Table:
        """The mapping under ``path``, an empty one where there is none."""
        found = self.get(*path)
        return found if isinstance(found, Table) else _EMPTY

    def text(self, *path: str) -> str:
        """The scalar under ``path``, "" where there is none."""
        found = self.get(*path)
        return str(found) if isinstance(found, Scalar) else ""


Node = Scalar | Items | Table
_EMPTY: Final = Table(())


def documents(source: Source, *, where: str, text: str = "") -> Iterator[Node]:
    """Every document of a stream, or of ``text``, which has every character in the same place.

    Raises InputError with the line, or when ruamel.yaml is missing.
    """
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
    except ImportError as error:
        raise InputError(f"{where}: YAML needs ruamel.yaml; install ruamel.yaml") from error
    if len(source.text) > LONGEST:
        raise InputError(f"{where}: {len(source.text):,} characters of YAML; {LONGEST:,} are read at most")
    try:
        constructor, parser = YAML(typ="safe", pure=True).get_constructor_parser(text or source.text)
        try:
            while constructor.composer.check_node():
                yield _Converter(source).node(constructor.composer.get_node(), 0)
        finally:
            parser.dispose()
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {source.line(mark.index)}: " if mark else ""
        raise InputError(f"{where}: {place}{error.problem or 'not YAML'}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: not YAML: {(str(error).splitlines() or ['?'])[0]}") from error


class _Converter:
    """ruamel's nodes as ours; what an alias names is converted once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[int, Node] = {}

    def node(self, node: Any, depth: int) -> Node:
        if depth > _DEPTH:
            raise InputError(f"line {self._source.line(node.start_mark.index)}: nested too deeply; no configuration is")
        if id(node) not in self._known:
            self._known[id(node)] = self._made(node, depth)
        return self._known[id(node)]

    def _made(self, node: Any, depth: int) -> Node:
        if isinstance(node.value, str):
            return self._scalar(node)
        if node.id == "sequence":
            return Items(tuple(self.node(item, depth + 1) for item in node.value))
        entries: list[tuple[Scalar, Node]] = []
        merged: list[tuple[Scalar, Node]] = []
        for key, value in node.value:
            name, found = self.node(key, depth + 1), self.node(value, depth + 1)
            if str(name) == _MERGE and not isinstance(found, Scalar):
                for table in found.items if isinstance(found, Items) else (found,):
                    merged += table.entries if isinstance(table, Table) else ()
            elif isinstance(name, Scalar):
                entries.append((name, found))
        return Table((*entries, *merged))

    def _scalar(self, node: Any) -> Scalar:
        start, stop = node.start_mark.index, node.end_mark.index
        is_quoted = node.style in ("'", '"')
        text = self._source.aligned(node.value, start + is_quoted, stop - is_quoted)
        return Scalar(text, self._source.line(start), is_quoted=is_quoted)

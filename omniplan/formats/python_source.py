"""Python programs that start llama.cpp: lists of arguments as they are written and added to, and lines for a shell."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.errors import InputError
from omniplan.formats.contents import Contents, together
from omniplan.formats.launchers import started
from omniplan.formats.shell.script import read_script
from omniplan.formats.starts import of_started
from omniplan.formats.traced import LONGEST, Source, Traced, joined

_DEPTH: Final = 30
# Functions that take a line for a shell, or a list of words.
_SHELLS: Final = frozenset(
    {"system", "popen", "getoutput", "check_output", "run", "call", "Popen", "check_call", "split"}
)

Value = Traced | list[Traced]


def read(source: Source, *, where: str = "Python") -> Contents:
    """What the lists and lines of a program start."""
    if len(source.text) > LONGEST:
        raise InputError(f"{where}: {len(source.text):,} characters of Python; {LONGEST:,} are read at most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(f"{where}: {f'line {line}: ' if line else ''}expected Python") from error
    return _Program(source).read(tree)


class _Program:
    """One file: ``lists`` are those that were begun, in order, each with its words so far."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._offsets = [0]
        for line in lines_of(source.text):
            self._offsets.append(self._offsets[-1] + len(line))
        self._lines = lines_of(source.text)
        self._names: dict[str, Value] = {}
        self._lists: dict[int, list[Traced]] = {}
        self._scripts: list[Traced] = []

    def read(self, tree: ast.AST) -> Contents:
        for node in self._in_order(tree, 0):
            self._look(node)
        lists = (of_started(self._source, started(words)) for words in self._lists.values() if len(words) > 1)
        return together((*lists, *(read_script(self._source.inside(text)) for text in self._scripts)))

    def _in_order(self, node: ast.AST, depth: int) -> Iterator[ast.AST]:
        """Every node, an outer one before its parts."""
        yield node
        for child in ast.iter_child_nodes(node) if depth < _DEPTH else ():
            yield from self._in_order(child, depth + 1)

    def _look(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = self._value(node.value)
            for target in targets:
                if isinstance(target, ast.Name):
                    self._names[target.id] = value
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._add(self._names.get(node.target.id), self._value(node.value))
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.List | ast.Tuple):
            self._value(node)

    def _call(self, node: ast.Call) -> None:
        name = (
            node.func.attr
            if isinstance(node.func, ast.Attribute)
            else node.func.id
            if isinstance(node.func, ast.Name)
            else ""
        )
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.args:
            known = self._names.get(node.func.value.id)
            if name in {"append", "extend"} and isinstance(known, list):
                value = self._value(node.args[0])
                known += (
                    [value]
                    if isinstance(value, Traced) and name == "append"
                    else value
                    if isinstance(value, list)
                    else [value]
                )
        if name in _SHELLS and node.args:
            value = self._value(node.args[0])
            if isinstance(value, Traced) and value.text.strip().count(" "):
                self._scripts.append(value)

    def _add(self, known: Value | None, value: Value) -> None:
        if isinstance(known, list):
            known += value if isinstance(value, list) else [value.opened()]

    def _value(self, node: ast.expr) -> Value:
        """A text or a list of texts; what is neither is one open word."""
        if isinstance(node, ast.List | ast.Tuple):
            if id(node) not in self._lists:
                self._lists[id(node)] = [word for item in node.elts for word in self._words(item)]
            return self._lists[id(node)]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            start, stop = self._span(node)
            return self._source.aligned(node.value, start + 1, stop - 1)
        if isinstance(node, ast.JoinedStr):
            return joined(
                (part if isinstance(part := self._value(item), Traced) else self._open(item) for item in node.values),
                "",
            )
        if isinstance(node, ast.FormattedValue):
            value = self._value(node.value)
            return value if isinstance(value, Traced) else self._open(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
            return self._value(node.args[0])
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return self._source.aligned(str(node.value), *self._span(node))
        if isinstance(node, ast.Name) and node.id in self._names:
            return self._names[node.id]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._sum(node)
        return self._open(node)

    def _sum(self, node: ast.BinOp) -> Value:
        left, right = self._value(node.left), self._value(node.right)
        if isinstance(left, list):
            # The parts are no lists of their own any more.
            whole = self._lists[id(node)] = [*left, *(right if isinstance(right, list) else [right])]
            for part in (node.left, node.right):
                self._lists[id(part)] = []
            return whole
        return joined((left, right), "") if isinstance(right, Traced) else self._open(node)

    def _words(self, item: ast.expr) -> list[Traced]:
        value = self._value(item.value if isinstance(item, ast.Starred) else item)
        if isinstance(value, list):
            return value if isinstance(item, ast.Starred) else [self._open(item)]
        return [value]

    def _open(self, node: ast.expr) -> Traced:
        return self._source.span(*self._span(node)).opened()

    def _span(self, node: ast.expr) -> tuple[int, int]:
        end_line, end = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._offset(node.lineno, node.col_offset), self._offset(end_line, end)

    def _offset(self, line: int, column: int) -> int:
        """Where a place of the parser, which counts bytes, is in the text."""
        text = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        return self._offsets[min(line, len(self._offsets)) - 1] + (
            column if text.isascii() else len(text.encode()[:column].decode("utf-8", "ignore"))
        )

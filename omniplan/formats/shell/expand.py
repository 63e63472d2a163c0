"""What the words of a shell command become: quotes taken off, variables put in, blanks split."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from omniplan.formats.shell import arithmetic
from omniplan.formats.shell.scope import Scope, Variable
from omniplan.formats.traced import Piece, Source, Traced, joined

if TYPE_CHECKING:
    from tree_sitter import Node

# Parts of a word that are more than their characters.
_PARTS: Final = frozenset(
    "string raw_string ansi_c_string translated_string concatenation simple_expansion expansion command_substitution"
    " arithmetic_expansion process_substitution word command_name".split()
)
_UNQUOTED: Final = re.compile(r"\\(?:\r?\n|(?=([\s\S])))")
_QUOTED: Final = re.compile(r'\\(?:\r?\n|(?=([$`"\\])))')
_PARAMETER: Final = re.compile(
    r"\$\{(?P<sign>[#!]?)(?P<name>\w+|[@*?$!-])(?:\[(?P<index>[^\]]*)\])?"
    r"(?P<operator>:?[-=+?]|%%?|##?|//?|\^\^?|,,?|:|@)?(?P<rest>[\s\S]*)\}"
)
_BLANKS: Final = re.compile(r"\S+")
_CONTROL: Final = re.compile(r"\\[\\'\"nt]")
_PATTERN: Final = re.compile(r"[*?\[\]\\$`]")
_DEPTH: Final = 40
# Parts of one word.
_MOST: Final = 2_000


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A part of a word: text that stays whole, or is split at blanks, or the fields of an array."""

    fields: tuple[Traced, ...]
    splits: bool = False
    is_list: bool = False


def _whole(text: Traced) -> _Chunk:
    return _Chunk((text,))


class Expander:
    """Words of ``source`` in ``scope``; ``output`` is what a command writes, where that is known."""

    def __init__(self, source: Source, scope: Scope, output: Callable[[Node, Scope], Traced | None]) -> None:
        self._source, self._scope, self._output = source, scope, output

    def fields(self, node: Node) -> list[Traced]:
        """The words that one word of a script becomes: none, one or several."""
        found: list[list[Piece]] = []
        is_new = True
        for chunk in self._chunks(node, quoted=False, depth=0):
            parts, is_apart, ends = _split(chunk)
            is_new |= is_apart
            for at, part in enumerate(parts):
                if at or is_new:
                    found.append([])
                found[-1] += part.pieces
                is_new = False
            is_new |= ends
        return [Traced(tuple(pieces)) for pieces in found]

    def text(self, node: Node) -> Traced:
        """The one text that a word becomes where nothing is split."""
        return joined((joined(chunk.fields) for chunk in self._chunks(node, quoted=False, depth=0)), "")

    def value(self, node: Node | None) -> Variable:
        """What an assignment gives."""
        if node is None:
            return Variable((Traced(),))
        if node.type == "array":
            parts = (field for child in node.named_children if child.type != "comment" for field in self.fields(child))
            return Variable(tuple(parts), is_array=True)
        return Variable((self.text(node),))

    def _open(self, node: Node) -> Traced:
        """A part that nobody knows, as it is written."""
        start, stop = node.start_byte, node.end_byte
        text = self._source.text[start:stop]
        return Traced((self._source.saying(text, start, stop, is_open=True),))

    def _chunks(self, node: Node, *, quoted: bool, depth: int) -> Iterator[_Chunk]:
        start, stop, kind = node.start_byte, node.end_byte, node.type
        if depth > _DEPTH or node.child_count > _MOST:
            yield _whole(self._open(node))
        elif kind == "raw_string":
            yield _whole(self._source.span(start + 1, stop - 1))
        elif kind == "ansi_c_string":
            yield _whole(self._ansi_c(start + 2, stop - 1))
        elif kind in {"string", "translated_string"}:
            first = self._source.text.index('"', start) + 1
            found = list(self._inside(node, first, max(first, stop - 1), quoted=True, depth=depth))
            yield from found or [_whole(Traced((self._source.saying("", start, start),)))]
        elif kind == "simple_expansion":
            yield self._variable(node, self._source.text[start + 1 : stop], quoted=quoted)
        elif kind == "expansion":
            yield from self._parameter(node, quoted=quoted, depth=depth)
        elif kind == "arithmetic_expansion":
            yield _whole(self._number(node))
        elif kind == "command_substitution":
            found_text = self._output(node, self._scope)
            yield _whole(self._open(node)) if found_text is None else _Chunk((found_text,), splits=not quoted)
        elif kind == "process_substitution":
            yield _whole(self._open(node))
        else:
            yield from self._inside(node, start, stop, quoted=quoted, depth=depth)

    def _inside(self, node: Node, start: int, stop: int, *, quoted: bool, depth: int) -> Iterator[_Chunk]:
        """Everything from ``start`` to ``stop``: parts, and characters between them."""
        at = start
        for child in node.children:
            if child.type not in _PARTS or child.start_byte < at or child.end_byte > stop:
                continue
            if child.type == "word" and not child.children:
                continue
            yield from self._literal(at, child.start_byte, quoted=quoted)
            yield from self._chunks(child, quoted=quoted, depth=depth + 1)
            at = child.end_byte
        yield from self._literal(at, stop, quoted=quoted)

    def _literal(self, start: int, stop: int, *, quoted: bool) -> Iterator[_Chunk]:
        if start >= stop:
            return
        text, found = self._source.span(start, stop), Traced()
        if "\\" in text.text:
            at = 0
            for match in (_QUOTED if quoted else _UNQUOTED).finditer(text.text):
                if match.start() >= at:
                    found = found + text.slice(at, match.start())
                    # The character behind a backslash is its own, also where it is a backslash.
                    at = match.end() + (match[1] is not None)
                    found = found + text.slice(match.end(), at)
            text = found + text.slice(at)
        yield _whole(text)

    def _ansi_c(self, start: int, stop: int) -> Traced:
        text = self._source.text[start:stop]
        plain = _CONTROL.sub(lambda match: {"n": "\n", "t": "\t"}.get(match[0][1], match[0][1]), text)
        return self._source.aligned(plain, start, stop)

    def _variable(self, node: Node, name: str, *, quoted: bool) -> _Chunk:
        scope = self._scope
        if name in {"@", "*"}:
            known = scope.positional
            return _whole(self._open(node)) if known is None else self._list(known, is_one=name == "*", quoted=quoted)
        value = self._look_up(name)
        if value is None:
            return _whole(self._open(node))
        return _Chunk(value.fields[:1] or (Traced(),), splits=not quoted)

    def _look_up(self, name: str) -> Variable | None:
        """The value of a variable or a positional parameter."""
        scope = self._scope
        if name == "#":
            return None if scope.positional is None else self._counted(len(scope.positional))
        if name.isdecimal() and name != "0":
            if scope.positional is None:
                return None
            return Variable(scope.positional[int(name) - 1 : int(name)] if len(name) < 4 else ())
        return scope.variables.get(name)

    def _counted(self, count: int) -> Variable:
        return Variable((Traced((Piece(str(count)),)),))

    def _list(self, fields: tuple[Traced, ...], *, is_one: bool, quoted: bool) -> _Chunk:
        """``"$@"`` and ``"${A[@]}"`` keep their fields, ``"$*"`` joins them; without quotes blanks split all."""
        if is_one and quoted:
            return _whole(joined(fields))
        return _Chunk(fields, splits=not quoted, is_list=True)

    def _number(self, node: Node) -> Traced:
        found = arithmetic.value(node, self._operand)
        if found is None:
            return self._open(node)
        return Traced((self._source.saying(str(found), node.start_byte, node.end_byte),))

    def _operand(self, node: Node) -> str | None:
        """The text of a variable or a number in an expression."""
        text = self._source.text[node.start_byte : node.end_byte]
        if node.type == "variable_name" or (node.type == "word" and text.isidentifier()):
            value = self._look_up(text)
            return value.fields[0].text if value and value.fields and not value.fields[0].is_open else None
        if node.type in {"simple_expansion", "expansion", "string", "command_substitution"}:
            found = self.text(node)
            return None if found.is_open else found.text
        return text if node.type in {"number", "word"} else None

    def _parameter(self, node: Node, *, quoted: bool, depth: int) -> Iterator[_Chunk]:
        """``${NAME...}``."""
        text = self._source.text[node.start_byte : node.end_byte]
        match = _PARAMETER.fullmatch(text)
        if not match or match["sign"] == "!":
            yield _whole(self._open(node))
            return
        if match["sign"] == "#":
            count = self._count(match["name"], match["index"])
            yield _whole(self._open(node)) if count is None else _Chunk(self._counted(count).fields)
            return
        known = self._subscripted(match["name"], match["index"], quoted=quoted)
        rest = node.start_byte + match.start("rest"), node.end_byte - 1
        sign = match["operator"] or ""
        is_given = known is not None and (bool("".join(field.text for field in known.fields)) or ":" not in sign)
        if sign in {":-", "-", ":=", "=", ":?", "?", ":+", "+"}:
            yield from self._or_else(
                node,
                sign,
                known if is_given else None,
                rest,
                quoted=quoted,
                depth=depth,
                is_unset=known is not None and not is_given,
            )
        elif known is None:
            yield _whole(self._open(node))
        else:
            yield self._changed(node, known, sign, match["rest"], quoted=quoted)

    def _count(self, name: str, index: str | None) -> int | None:
        value = self._scope.variables.get(name)
        if value is None or any(field.is_open for field in value.fields):
            return None
        return len(value.fields) if index in {"@", "*"} else len(value.fields[0].text) if value.fields else 0

    def _subscripted(self, name: str, index: str | None, *, quoted: bool) -> _Chunk | None:
        """The value of ``NAME`` or ``NAME[INDEX]``, None for an unknown one."""
        if name in {"@", "*"}:
            known = self._scope.positional
            return None if known is None else self._list(known, is_one=name == "*", quoted=quoted)
        value = self._look_up(name)
        if value is None:
            return None
        if index in {"@", "*"}:
            return self._list(value.fields, is_one=index == "*", quoted=quoted)
        at = 0 if index is None else int(index) if index.isdecimal() and len(index) < 6 else None
        return None if at is None else _Chunk(value.fields[at : at + 1] or (Traced(),), splits=not quoted)

    def _or_else(
        self,
        node: Node,
        sign: str,
        given: _Chunk | None,
        rest: tuple[int, int],
        *,
        quoted: bool,
        depth: int,
        is_unset: bool,
    ) -> Iterator[_Chunk]:
        """Defaults and alternatives: of a variable from outside the default, unless that is empty."""
        if "+" in sign:
            if given is not None:
                yield from self._inside(node, *rest, quoted=quoted, depth=depth)
            elif not is_unset:
                yield _whole(self._open(node))
        elif given is not None:
            yield given
        elif "?" in sign or (rest[0] >= rest[1] and not is_unset):
            yield _whole(self._open(node))
        else:
            found = list(self._inside(node, *rest, quoted=quoted, depth=depth))
            yield from found if quoted else (_Chunk(chunk.fields, splits=True) for chunk in found)

    def _changed(self, node: Node, known: _Chunk, sign: str, rest: str, *, quoted: bool) -> _Chunk:
        """A value with its ends cut off, where the pattern is plain enough."""
        if not sign:
            return known
        if sign[0] not in "%#" or len(known.fields) != 1 or "$" in rest:
            return _whole(self._open(node))
        text = known.fields[0]
        pattern = re.compile(translate(rest))
        sizes = range(len(text.text) + 1)
        cuts = [(0, size) for size in sizes] if sign[0] == "#" else [(size, len(text.text)) for size in reversed(sizes)]
        fitting = [cut for cut in cuts if pattern.match(text.text[slice(*cut)])] if len(sizes) < 500 else []
        if not fitting:
            return known
        start, stop = fitting[-1 if len(sign) == 2 else 0]
        left = text.slice(0, start) if sign[0] == "%" else text.slice(stop)
        return _Chunk((left,), splits=not quoted)


def _split(chunk: _Chunk) -> tuple[list[Traced], bool, bool]:
    """The fields of a chunk, and whether blanks part it from what is before and behind."""
    if not chunk.splits:
        return list(chunk.fields), False, False
    found: list[Traced] = []
    for field in chunk.fields:
        # What is not known may have blanks of its own, and stays one name.
        found += [field] if field.is_open and len(field.pieces) == 1 else field.split(_BLANKS)
    text = chunk.fields[0].text if chunk.fields else ""
    last = chunk.fields[-1].text if chunk.fields else ""
    return found, text[:1].isspace(), last[-1:].isspace()

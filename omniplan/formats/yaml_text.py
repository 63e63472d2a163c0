"""YAML files as text with known places: one block is read or replaced, the rest keeps every byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from omniplan.documents.text_file import lines_of
from omniplan.errors import InputError
from omniplan.formats import sections
from omniplan.formats.command import Word

_BLOCK_SCALARS: Final = ("|", ">")

# Characters that JSON may hold bare and YAML may not, or that YAML takes for a line's end.
_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def load(text: str, *, where: str) -> Any:
    """The document with the places of its nodes; raises InputError with the line, or when ruamel.yaml is missing."""
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
    except ImportError as error:
        raise InputError(f"{where}: YAML needs ruamel.yaml; install ruamel.yaml") from error
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{where}: {place}{error.problem or 'not YAML'}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: not YAML: {str(error).splitlines()[0]}") from error


def key_line(mapping: Any, key: object) -> int:
    """Line (from 1) of ``key`` in a loaded mapping."""
    return int(mapping.lc.key(key)[0]) + 1


def value_word(text: str, mapping: Any, key: object) -> Word:
    """The scalar under ``key`` as text; ``line`` is where its first character stands."""
    line = int(mapping.lc.value(key)[0]) + 1
    return Word(text=scalar(mapping[key]), line=line + _is_block_scalar(text, mapping.lc.value(key)))


def item_words(sequence: Any) -> Iterator[Word]:
    """The scalars of a loaded sequence with their lines."""
    for at, item in enumerate(sequence):
        yield Word(text=scalar(item), line=int(sequence.lc.item(at)[0]) + 1)


def scalar(value: object) -> str:
    """A scalar as YAML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def quoted(text: str) -> str:
    """``text`` as a double-quoted scalar on one line."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def mapping_at(document: Any, *path: str) -> Mapping[str, Any]:
    """The mapping under ``path``, empty when there is none."""
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def _is_block_scalar(text: str, place: tuple[int, int]) -> bool:
    lines = lines_of(text)
    return place[0] < len(lines) and lines[place[0]][place[1] :].startswith(_BLOCK_SCALARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """The lines of one key with all that is indented below it, from 1, and the comments directly above it."""

    id: str
    line: int
    last_line: int
    comments: tuple[tuple[int, str], ...]


def put(text: str, parent: str, key: str, block: str, *, where: str) -> str:
    """``text`` with ``block`` as ``parent``'s ``key``, in the place of the old one or after its last sibling.

    ``block`` begins with the key (or comments) at no indentation. A missing ``parent`` comes at the end.
    Raises InputError when ``parent`` is no block mapping, or laid out so that something else would change.
    """
    document = load(text, where=where)
    after = _spliced(text, document, parent, key, block, where)
    if _others(load(after, where=where), parent, key) != _others(document, parent, key):
        raise InputError(f"{where}: {parent}: {key} has no place of its own there; write each entry on its own lines")
    return after


def _spliced(text: str, document: Any, parent: str, key: str, block: str, where: str) -> str:
    if document is not None and not isinstance(document, Mapping):
        raise InputError(f"{where}: not a mapping at the top; omniplan adds to mappings only")
    if not document or parent not in document:
        return sections.put(text, [], f"{parent}:\n{_indented(block, 2)}")
    holder: Any = document[parent]
    if holder is None:
        return sections.insert(text, key_line(document, parent), _indented(block, 2))
    if not isinstance(holder, Mapping) or not holder or holder.fa.flow_style():  # type: ignore[attr-defined]
        raise InputError(f"{where}: {parent}: not a mapping in block style; write its entries on lines below it")
    return _beside(text, holder, key, block)


def _beside(text: str, siblings: Any, key: str, block: str) -> str:
    lines = lines_of(text)
    indent = int(siblings.lc.key(next(iter(siblings)))[1])
    if old := next((name for name in siblings if scalar(name) == key), None):
        kept = "".join(_kept(lines, siblings[old], block))
        own = _indented(block, indent) + ("\n" + kept.rstrip("\n") if kept else "")
        return sections.put(text, [_block(lines, key, key_line(siblings, old), indent)], own)
    own = _indented(block, indent)
    last = max(key_line(siblings, name) for name in siblings)
    return sections.insert(text, _block(lines, key, last, indent).last_line, own)


def _kept(lines: Sequence[str], entry: Any, block: str) -> Iterator[str]:
    """The lines of an old entry's keys that the new one does not have, such as aliases and volumes."""
    if not isinstance(entry, Mapping) or not entry or entry.fa.flow_style():  # type: ignore[attr-defined]
        return
    indent = int(entry.lc.key(next(iter(entry)))[1])  # type: ignore[attr-defined]
    new = {match[1] for match in _KEY.finditer(block)}
    for name in entry:
        if scalar(name) not in new and (entry.lc.key(name)[1] == indent):  # type: ignore[attr-defined]
            found = _block(lines, str(name), key_line(entry, name), indent)
            yield from (line.rstrip("\r\n") + "\n" for line in lines[found.line - 1 : found.last_line])


# A key of an entry that omniplan writes, which is indented by two.
_KEY: Final = re.compile(r"^  ([\w-]+):", re.MULTILINE)


def _others(document: Any, parent: str, key: str) -> tuple[object, object]:
    """What a file says but for one key."""
    top = document if isinstance(document, Mapping) else {}
    outside = {name: _ended(value) for name, value in top.items() if name != parent}
    return outside, {name: _ended(value) for name, value in mapping_at(top, parent).items() if scalar(name) != key}


def _ended(value: object) -> object:
    """A value without the line ends behind its texts: the last text of a file without a last one gains it."""
    if isinstance(value, Mapping):
        return {name: _ended(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_ended(item) for item in value]
    return value.rstrip("\n") if isinstance(value, str) else value


def _block(lines: Sequence[str], key: str, line: int, indent: int) -> _Block:
    last = line
    for at in range(line, len(lines)):
        bare = lines[at].strip()
        if bare and len(lines[at]) - len(lines[at].lstrip(" ")) <= indent:
            break
        last = at + 1 if bare else last
    stripped = [item.strip() for item in lines[: line - 1]]
    comments = sections.comments_above(stripped, line - 1, "#")
    return _Block(id=key, line=line, last_line=last, comments=comments)


def _indented(block: str, width: int) -> str:
    return "\n".join(" " * width + line if line else line for line in block.rstrip("\n").split("\n"))

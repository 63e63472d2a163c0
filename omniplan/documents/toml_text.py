"""TOML text to plain data and back; Python reads TOML but does not write it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from omniplan.documents.text_file import read_utf8
from omniplan.errors import InputError

# A list longer than this is written one item per line.
_WIDTH: Final = 100
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def parse_toml(text: str, *, what: str = "file") -> dict[str, Any]:
    """The tables written in ``text``, which is a TOML ``what``; raises InputError."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a TOML {what}: {str(error) or 'nested too deeply'}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of the file at ``path``; raises InputError."""
    return parse_toml(read_utf8(path))


def quoted(text: str) -> str:
    """``text`` as a string of TOML on one line."""
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def to_toml(table: Mapping[str, Any], *, comment: str = "") -> str:
    """``table`` as the text of a file, ``comment`` on top, plain keys before the tables inside them."""
    head = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*head, *[""][: len(head)], "\n".join(_table(table, "")).strip(), ""])


def _table(table: Mapping[str, Any], path: str) -> list[str]:
    """A table's own keys, then the tables inside it; a child's header stands before the child's keys."""
    lines: list[str] = []
    inner: list[str] = []
    for key, value in table.items():
        name = key if _BARE.fullmatch(key) else quoted(key)
        at = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            rows = _table(value, at)
            inner += [*(["", f"[{at}]"] if not rows or rows[0] else []), *rows]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                inner += ["", f"[[{at}]]", *_table(item, at)]
        else:
            lines.append(f"{name} = {_value(value)}")
    return [*lines, *inner]


def _value(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        items = [_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) < _WIDTH else "\n".join(("[", *(f"  {item}," for item in items), "]"))
    return repr(value)

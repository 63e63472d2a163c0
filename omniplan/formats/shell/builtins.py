"""What a shell's own commands do to what it knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from omniplan.formats.shell.scope import Scope, Variable
from omniplan.formats.traced import Traced, joined


def added(old: Variable | None, new: Variable) -> Variable | None:
    """``+=``: more fields for an array, more text for a plain variable."""
    if old is None:
        return new if new.is_array else None
    if old.is_array:
        return Variable((*old.fields, *new.fields), is_array=True)
    return Variable((joined((*old.fields, *new.fields), ""),))


def said(words: list[Traced]) -> Traced | None:
    """What ``echo`` writes."""
    rest = words[2:] if words[1:2] and words[1].text in {"-n", "-e", "%s", "%s\\n", "--"} else words[1:]
    return None if any("%" in word.text for word in rest) and words[0].text == "printf" else joined(rest)


def _set(scope: Scope, words: list[Traced]) -> None:
    texts = [word.text for word in words]
    if texts[:1] == ["-a"] or texts[:2] == ["-o", "allexport"]:
        scope.exports_all = True
    elif texts[:1] == ["+a"] or texts[:2] == ["+o", "allexport"]:
        scope.exports_all = False
    elif texts[:1] == ["--"]:
        scope.positional = tuple(words[1:])


def _shift(scope: Scope, words: list[Traced]) -> None:
    count = int(words[0].text) if words and words[0].text.isdecimal() else 1
    if scope.positional is not None:
        scope.positional = scope.positional[count:]


def _forget(scope: Scope, words: list[Traced]) -> None:
    for word in words:
        if word.text.isidentifier():
            scope.set(word.text, None)


# Of the others none changes what is read here.
BUILTINS: Final[Mapping[str, Callable[[Scope, list[Traced]], None]]] = {
    "set": _set,
    "shift": _shift,
    "read": _forget,
    "mapfile": _forget,
    "readarray": _forget,
    "getopts": _forget,
}

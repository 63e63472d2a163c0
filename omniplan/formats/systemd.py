"""llama-server's command in a systemd unit: words, quotes, escapes, specifiers and variables of systemd.service(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.errors import InputError
from omniplan.formats.command import Command
from omniplan.formats.format import Format, Options, only
from omniplan.formats.launch import Launch, commented, printable, rationale
from omniplan.formats.traced import Source
from omniplan.formats.units import read_unit

_CONTROL: Final = dict(zip("abfnrtvs", "\a\b\f\n\r\t\v ", strict=True))
_SPECIAL: Final = {char: f"\\{name}" for name, char in _CONTROL.items() if char != " "} | {"\\": "\\\\", '"': '\\"'}
_BARE: Final = re.compile(r"[A-Za-z0-9_./:,=@+-]+")


def quoted(text: str, *, is_command: bool = True) -> str:
    """``text`` as one word of a unit's line; ``$`` is doubled where it would begin a variable, in commands."""
    escaped = "".join(_SPECIAL.get(char) or _printable(char) for char in text).replace("%", "%%")
    escaped = escaped.replace("$", "$$") if is_command else escaped
    return escaped if _BARE.fullmatch(escaped) else f'"{escaped}"'


def _printable(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 0x20 or ord(char) == 0x7F else char


def commands(text: str) -> tuple[Command, ...]:
    """The command of every ``ExecStart=`` that runs llama.cpp; variables from outside and specifiers stay open."""
    return read_unit(Source(text)).commands


def _unit(item: Launch) -> str:
    words = " ".join(quoted(word) for word in ("llama-server", *item.argv))
    lines = [
        *commented(rationale(item)),
        "[Unit]",
        f"Description=llama-server: {printable(item.plan.model.name or item.id).replace('%', '%%')}",
        "After=network-online.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        *_environment(item),
        f"ExecStart={words}",
        "Restart=on-failure",
        "RestartSec=10",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def _environment(item: Launch) -> Iterator[str]:
    for name, value in item.environment.items():
        yield f"Environment={quoted(f'{name}={value}', is_command=False)}"


def prepare(item: Launch, options: Options) -> Launch:
    """The launch, unless its model is found from a folder that a unit does not run in."""
    del options
    if not item.model.startswith("/"):
        raise InputError(f"systemd: model {printable(item.model)}: expected a path from /, which a unit can find")
    return item


def _write(items: Sequence[Launch], options: Options) -> str:
    del options
    return _unit(only(items, "systemd: a unit"))


FORMAT: Final = Format(name="systemd", write=_write, read=commands, prepare=prepare)

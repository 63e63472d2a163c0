"""llama-server's command in a systemd unit: words, quotes, escapes, specifiers and variables of systemd.service(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.errors import InputError
from omniplan.formats.command import Command, Word
from omniplan.formats.format import Format, Options, only
from omniplan.formats.launch import Launch, commented, printable, rationale
from omniplan.formats.shell import program_at

_PIECE: Final = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+)
  | "(?P<double>(?:\\[\s\S]|[^"\\])*)"
  | '(?P<single>(?:\\[\s\S]|[^'\\])*)'
  | (?P<plain>(?:\\[\s\S]|[^\s\\"'])+|[\s\S])
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abfnrtvs\\\"']))", re.ASCII
)
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
    """The command of every ``ExecStart=`` that runs llama-server; variables and specifiers stay as written."""
    environment: list[tuple[str, Word]] = []
    found = []
    for name, value, line in _settings(text):
        if name == "Environment":
            for word in _words(value, line):
                key, _, rest = word.text.partition("=")
                environment.append((key, Word(text=rest, line=word.line)))
        words = [Word(text=word.text.replace("$$", "$"), line=word.line) for word in _words(value, line)]
        if name == "ExecStart" and (at := program_at(words)) is not None:
            found.append((line, words, at))
    return tuple(
        Command(
            name="",
            line=line,
            words=tuple(words[at + 1 :]),
            environment=tuple(environment),
            prefix=tuple(words[:at]),
            program=words[at].text,
        )
        for line, words, at in found
    )


def _settings(text: str) -> Iterator[tuple[str, str, int]]:
    """Name, value and line of every setting; a backslash at a line's end continues it, a comment inside does not."""
    name, value, start = "", "", 0
    for number, raw in enumerate(lines_of(text), start=1):
        line = raw.rstrip("\r\n")
        if line.lstrip().startswith(("#", ";")):
            continue
        if not start:
            name, _, line = line.partition("=")
            start = number
        value += f"{line[:-1]}\n" if line.endswith("\\") else line
        if not line.endswith("\\"):
            yield name.strip(), value, start
            value, start = "", 0


def _words(value: str, line: int) -> Iterator[Word]:
    word, began = None, line
    for piece in _PIECE.finditer(value):
        kind = piece.lastgroup or "single"
        if kind == "blank":
            if word is not None:
                yield Word(text=word, line=began)
            word = None
        else:
            began = line if word is None else began
            word = (word or "") + _ESCAPE.sub(_character, piece[kind]).replace("%%", "%")
        line += piece[0].count("\n")
    if word is not None:
        yield Word(text=word, line=began)


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code:
        return chr(int(code, 16))
    return chr(int(escape[4], 8)) if escape[4] else _CONTROL.get(escape[5], escape[5])


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
        raise InputError(f"systemd: model {printable(item.model)}: a unit needs a path from /")
    return item


def _write(items: Sequence[Launch], options: Options) -> str:
    del options
    return _unit(only(items, "systemd: a unit"))


FORMAT: Final = Format(name="systemd", write=_write, read=commands, prepare=prepare)

"""llama-server's commands in a llama-swap ``config.yaml``, macros put in.

A command loses its comment lines and the backslashes at its line ends, then splits like a POSIX shell's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from omniplan.codec import yaml_text
from omniplan.codec.command import Command, Word
from omniplan.codec.shell import program_at, split

_COMMENT: Final = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_CONTINUED: Final = re.compile(r"\\[ \t]*$", re.MULTILINE)
_MACRO: Final = re.compile(r"\$\{([a-zA-Z0-9_-]+)\}")


def commands(text: str, *, where: str = "llama-swap config") -> tuple[Command, ...]:
    """The command of every model that runs llama-server; macros llama-swap fills in itself (PORT) stay as written."""
    document = yaml_text.load(text, where=where)
    models = yaml_text.mapping_at(document, "models")
    shared = _macros(document)
    found = (_command(text, models, name, shared) for name in models)
    return tuple(command for command in found if command)


def _macros(holder: Any) -> dict[str, str]:
    return {str(name): yaml_text.scalar(value) for name, value in yaml_text.mapping_at(holder, "macros").items()}


def _command(text: str, models: Any, name: str, shared: Mapping[str, str]) -> Command | None:
    model = models[name]
    if not isinstance(model, Mapping) or not model.get("cmd"):
        return None
    macros = {**shared, **_macros(model), "MODEL_ID": str(name)}
    cmd = yaml_text.value_word(text, model, "cmd")
    words = tuple(_words(cmd, macros))
    at = program_at(words)
    if at is None:
        return None
    return Command(
        name=str(name),
        line=yaml_text.key_line(models, name),
        words=words[at + 1 :],
        environment=tuple(_environment(model)),
        prefix=words[:at],
    )


def _words(cmd: Word, macros: Mapping[str, str]) -> Iterator[Word]:
    bare = _CONTINUED.sub("", _COMMENT.sub("", cmd.text))
    yield from split(_filled(bare, macros), line=cmd.line)


def _filled(text: str, macros: Mapping[str, str]) -> str:
    """``text`` with macros put in, those inside macros too, on one line each; an unknown one stays."""
    for _ in range(len(macros) + 1):
        filled = _MACRO.sub(lambda match: macros.get(match[1], match[0]).replace("\n", " "), text)
        if filled == text:
            return text
        text = filled
    return text


def _environment(model: Any) -> Iterator[tuple[str, Word]]:
    value = model.get("env")
    for word in yaml_text.item_words(value) if isinstance(value, list) else ():
        name, _, rest = word.text.partition("=")
        yield name, Word(text=rest, line=word.line)

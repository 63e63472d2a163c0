"""llama-server's commands in a llama-swap ``config.yaml``, macros put in.

A command loses its comment lines and the backslashes at its line ends, then splits like a POSIX shell's words.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from omniplan.errors import InputError
from omniplan.formats import yaml_text
from omniplan.formats.command import Command, Word
from omniplan.formats.format import Format, Options
from omniplan.formats.launch import LOADED_PER_SECOND, Launch, commented, printable, rationale
from omniplan.formats.shell import program_at, split

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
        program=words[at].text,
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


_WHERE: Final = "llama-swap"
_MACRO_NAME: Final = "omniplan-server"
# What llama-swap's own words add before the planned arguments.
OWN: Final = ("--host", "127.0.0.1", "--port", "${PORT}")
_SERVER: Final = " ".join(("llama-server", *OWN))

# What llama-swap gives a model to load by itself.
_LEAST_SECONDS: Final = 120


def block(item: Launch, options: Options) -> str:
    """One entry of ``models`` with its comments."""
    words = [f"-m {shlex.quote(item.model)}", *(shlex.join(flag.args) for flag in item.flags)]
    lines = [
        *commented(rationale(item)),
        f"{yaml_text.quoted(item.id)}:",
        f"  name: {yaml_text.quoted(printable(item.plan.model.name or item.id)[:128])}",
        "  cmd: |",
        f"    ${{{_MACRO_NAME}}}",
        *textwrap.indent("\n".join(words), "    ", lambda _: True).split("\n"),
        *_environment_text(item),
        f"  ttl: {options.ttl} # seconds of idling before it is unloaded, 0 for never",
    ]
    return "\n".join(lines)


def _environment_text(item: Launch) -> Sequence[str]:
    entries = [f"    - {yaml_text.quoted(f'{name}={value}')}" for name, value in item.environment.items()]
    return ["  env:", *entries] if entries else []


def prepare(item: Launch, options: Options) -> Launch:
    """The launch, unless llama-swap would take one of its arguments for a macro."""
    del options
    for word in item.argv:
        if "${" in word:
            raise InputError(f"{_WHERE}: {printable(word)}: llama-swap takes ${{ for a macro")
    return item


def write(items: Sequence[Launch], options: Options) -> str:
    """A whole configuration."""
    size = max((item.plan.model.tensor_bytes for item in items), default=0)
    models = textwrap.indent("\n".join(block(item, options) for item in items), "  ", lambda line: line != "\n")
    head = [
        f"healthCheckTimeout: {max(_LEAST_SECONDS, size // LOADED_PER_SECOND)} # seconds a model may take to load",
        f"macros:\n  {_macro()}",
        "models:",
    ]
    return "\n".join((*head, models, ""))


def _macro() -> str:
    return f"{yaml_text.quoted(_MACRO_NAME)}: {yaml_text.quoted(_SERVER)}"


def put(text: str, item: Launch, options: Options) -> str:
    """``text`` with the model in the place of the one with its id, or after the last; other lines stay."""
    macros = yaml_text.mapping_at(yaml_text.load(text, where=_WHERE), "macros")
    with_macro = text if _MACRO_NAME in macros else yaml_text.put(text, "macros", _MACRO_NAME, _macro(), where=_WHERE)
    return yaml_text.put(with_macro, "models", item.id, block(item, options), where=_WHERE)


FORMAT: Final = Format(
    name="llama-swap",
    ids=re.compile(r"[a-zA-Z0-9_./:-]+"),
    write=write,
    read=commands,
    prepare=prepare,
    put=put,
)

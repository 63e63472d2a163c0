"""llama-server's commands in a llama-swap ``config.yaml``, macros put in.

A command loses its comment lines and the backslashes at its line ends, then splits like a POSIX shell's words.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from omniplan.errors import InputError
from omniplan.formats import yaml_text, yaml_tree
from omniplan.formats.command import Command
from omniplan.formats.contents import Contents, together
from omniplan.formats.format import Format, Options
from omniplan.formats.launch import LOADED_PER_SECOND, Launch, commented, printable, rationale
from omniplan.formats.starts import starts
from omniplan.formats.traced import Source, Traced
from omniplan.formats.words import traced_words
from omniplan.formats.yaml_tree import Items, Node, Scalar, Table

_COMMENT: Final = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_CONTINUED: Final = re.compile(r"[\\^`][ \t]*$", re.MULTILINE)
_MACRO: Final = re.compile(r"\$\{([\w.-]+)\}")
# A command for Windows, where a backslash is a part of a path.
_WINDOWS: Final = re.compile(r"(?:^|[\s\"'])[A-Za-z]:\\|\.exe\b")
_WINDOWS_WORD: Final = re.compile(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+")
_QUOTE: Final = re.compile(r"[\"']")


def commands(text: str, *, where: str = "llama-swap config") -> tuple[Command, ...]:
    """The command of every model that runs llama.cpp; macros llama-swap fills in itself (PORT) stay open."""
    source = Source(text)
    return together(read(source, node) for node in yaml_tree.documents(source, where=where)).commands


def read(source: Source, document: Node) -> Contents:
    """What the models of a document start."""
    top = document if isinstance(document, Table) else Table(())
    shared = _macros(top)
    models = [item for item in top.table("models").entries if isinstance(item[1], Table)]
    return together(_model(source, name, model, shared) for name, model in models if isinstance(model, Table))


def _macros(holder: Table) -> dict[str, Traced]:
    return {str(name): value.text for name, value in holder.table("macros").entries if isinstance(value, Scalar)}


def _model(source: Source, name: Scalar, model: Table, shared: Mapping[str, Traced]) -> Contents:
    cmd = model.get("cmd")
    macros = {**shared, **_macros(model), "MODEL_ID": name.text}
    if isinstance(cmd, Items):
        words = [_filled(item.text, macros) for item in cmd.items if isinstance(item, Scalar)]
    else:
        words = _words(cmd.text, macros) if isinstance(cmd, Scalar) else []
    env = tuple(_environment(model.get("env"), macros))
    return starts(source, words, env=env, name=str(name), line=name.line, in_swap=True)


def _words(cmd: Traced, macros: Mapping[str, Traced]) -> list[Traced]:
    filled = _bare(_filled(_bare(cmd), macros))
    if not _WINDOWS.search(filled.text):
        return list(traced_words(filled))
    return [word.replaced(_QUOTE, lambda _: Traced()) for word in filled.split(_WINDOWS_WORD)]


def _bare(cmd: Traced) -> Traced:
    """A command without comment lines and the backslashes at its line ends."""
    return cmd.replaced(_COMMENT, lambda _: Traced()).replaced(_CONTINUED, lambda _: Traced())


def _filled(text: Traced, macros: Mapping[str, Traced]) -> Traced:
    """``text`` with macros put in, those inside macros too; one that llama-swap fills in itself stays, open."""
    for _ in range(min(len(macros), _NESTED) + 1):
        filled = text.replaced(_MACRO, lambda match: macros.get(match[1]))
        if filled.text == text.text or len(filled.text) > _LONGEST:
            break
        text = filled
    return text.marked(_MACRO)


# llama-swap refuses macros that name themselves; more than a few levels are no configuration.
_NESTED: Final = 20
_LONGEST: Final = 100_000


def _environment(node: Node | None, macros: Mapping[str, Traced]) -> Iterator[tuple[str, Traced]]:
    for item in node.items if isinstance(node, Items) else ():
        if isinstance(item, Scalar):
            name = str(item).partition("=")[0]
            yield name, _filled(item.text.slice(len(name) + 1), macros)


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
            raise InputError(f"{_WHERE}: {printable(word)}: llama-swap takes ${{ for a macro; use the format shell")
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

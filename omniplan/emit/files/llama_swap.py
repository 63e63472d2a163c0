"""A model of llama-swap's ``config.yaml``."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Sequence
from typing import Final

from omniplan.codec import llama_swap, yaml_text
from omniplan.emit.files.format import Format, Options
from omniplan.emit.launch import Launch, commented, printable, rationale
from omniplan.errors import InputError

_WHERE: Final = "llama-swap"
_MACRO: Final = "omniplan-server"
_SERVER: Final = "llama-server --host 127.0.0.1 --port ${PORT}"
# What llama-swap's own words add before the planned arguments.
OWN: Final = ("--host", "127.0.0.1", "--port", "${PORT}")

# llama-swap gives a model two minutes to load; a disk is reckoned with a quarter of a gigabyte per second.
_LEAST_SECONDS: Final = 120
_BYTES_PER_SECOND: Final = 250_000_000


def block(item: Launch, options: Options) -> str:
    """One entry of ``models`` with its comments."""
    words = [f"-m {shlex.quote(item.model)}", *(shlex.join(flag.args) for flag in item.flags)]
    lines = [
        *commented(rationale(item)),
        f"{yaml_text.quoted(item.id)}:",
        f"  name: {yaml_text.quoted(printable(item.plan.model.name or item.id)[:128])}",
        "  cmd: |",
        f"    ${{{_MACRO}}}",
        *textwrap.indent("\n".join(words), "    ", lambda _: True).split("\n"),
        *_environment(item),
        f"  ttl: {options.ttl} # seconds of idling before it is unloaded, 0 for never",
    ]
    return "\n".join(lines)


def _environment(item: Launch) -> Sequence[str]:
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
        f"healthCheckTimeout: {max(_LEAST_SECONDS, size // _BYTES_PER_SECOND)} # seconds a model may take to load",
        f"macros:\n  {_macro()}",
        "models:",
    ]
    return "\n".join((*head, models, ""))


def _macro() -> str:
    return f"{yaml_text.quoted(_MACRO)}: {yaml_text.quoted(_SERVER)}"


def put(text: str, item: Launch, options: Options) -> str:
    """``text`` with the model in the place of the one with its id, or after the last; other lines stay."""
    macros = yaml_text.mapping_at(yaml_text.load(text, where=_WHERE), "macros")
    with_macro = text if _MACRO in macros else yaml_text.put(text, "macros", _MACRO, _macro(), where=_WHERE)
    return yaml_text.put(with_macro, "models", item.id, block(item, options), where=_WHERE)


FORMAT: Final = Format(
    name="llama-swap",
    ids=re.compile(r"[a-zA-Z0-9_./:-]+"),
    write=write,
    read=llama_swap.commands,
    prepare=prepare,
    put=put,
)

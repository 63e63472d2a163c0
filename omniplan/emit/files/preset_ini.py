"""A preset of llama.cpp's router (``--models-preset``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.codec import preset_ini
from omniplan.emit.files.format import Format, Options
from omniplan.emit.launch import Launch, commented, printable, rationale
from omniplan.errors import InputError
from omniplan.llamacpp.args import Flag
from omniplan.llamacpp.dialect import spoken
from omniplan.tables.flags import Kind

# Flags of which every one counts: a preset has each key once, so their lists become one.
_JOINED: Final = frozenset({"override-tensor", "override-kv", "spec-draft-override-tensor"})


def section(item: Launch) -> str:
    """One preset with its comments."""
    entries: dict[str, str] = {"model": item.model}
    for flag in item.flags:
        key, value = _entry(flag)
        known = entries.get(key)
        entries[key] = f"{known},{value}" if known is not None and flag.row.key in _JOINED else value
    lines = (f"{key} = {value}" for key, value in entries.items())
    return "\n".join((*commented([*rationale(item), *_environment(item)]), f"[{item.id}]", *lines, ""))


def _entry(flag: Flag) -> tuple[str, str]:
    if flag.row.kind is Kind.PAIR:
        raise InputError(f"preset: {flag.name}: llama.cpp takes no flag with two values from a preset")
    if flag.row.kind is not Kind.NONE:
        return flag.row.names[-1].lstrip("-"), "".join(flag.values)
    return flag.row.names[-1].lstrip("-"), "false" if flag.name in flag.row.negated else "true"


def _environment(item: Launch) -> Iterator[str]:
    if item.environment:
        yield "a preset has no variables: start the router itself in the environment above"


def prepare(item: Launch, options: Options) -> Launch:
    """The launch, unless its build knows no presets or its path ends a line."""
    del options
    if "\n" in item.model or "\r" in item.model:
        raise InputError(f"preset: model {printable(item.model)}: a value ends with its line; use --as shell")
    spoken(("--models-preset", "FILE"), item.build)
    return item


def write(items: Sequence[Launch], options: Options) -> str:
    """A file of presets."""
    del options
    return "version = 1\n\n" + "\n".join(section(item) for item in items)


def put(text: str, item: Launch, options: Options) -> str:
    """``text`` with the preset in the place of the one with its name, or at the end."""
    del options
    return preset_ini.parse(text).put(item.id, section(item)).text


FORMAT: Final = Format(
    name="preset",
    ids=re.compile(r"[a-zA-Z0-9_./:-]+"),
    write=write,
    read=preset_ini.commands,
    prepare=prepare,
    put=put,
    is_exact=False,
    carries_environment=False,
)

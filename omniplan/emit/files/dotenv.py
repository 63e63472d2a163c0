"""A ``.env`` of llama-server's own variables (``LLAMA_ARG_*``), as Compose, systemd and shells read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from omniplan.codec import dotenv
from omniplan.emit.files.format import Format, Options, only
from omniplan.emit.launch import Launch, commented, printable, rationale
from omniplan.errors import InputError
from omniplan.llamacpp.args import Flag, read_flags
from omniplan.tables.flags import CHECKED, Kind

_BARE: Final = re.compile(r"[A-Za-z0-9_./,:=@%+-]+")
_BATCH: Final = "threads-batch"
_THREADS: Final = ("threads", _BATCH)
_JOINED: Final = frozenset({"override-tensor", "override-kv"})


def _write(items: Sequence[Launch], options: Options) -> str:
    del options
    item = only(items, "env: the file")
    values = {"LLAMA_ARG_MODEL": item.model, **_variables(item), **item.environment}
    return "\n".join((*commented(rationale(item)), *(f"{name}={_quoted(value)}" for name, value in values.items()), ""))


def _variables(item: Launch) -> dict[str, str]:
    values: dict[str, str] = {}
    for flag in item.flags:
        name, value = _variable(flag)
        joined = name in values and flag.row.key in _JOINED
        values[name] = f"{values[name]},{value}" if joined else value
    return values


def _variable(flag: Flag) -> tuple[str, str]:
    row = flag.row
    if not row.env:
        raise InputError(f".env: {flag.name}: llama-server has no variable for it; use --as shell")
    if row.kind is not Kind.NONE:
        return row.env, " ".join(flag.values)
    return (row.negative_env, "1") if flag.name in row.negated else (row.env, "1")


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    if "'" in value or "\n" in value or "\r" in value:
        raise InputError(f".env: {printable(value)}: its readers agree on no way to write a quote or a line's end")
    return f"'{value}'"


def _prepare(item: Launch, options: Options) -> Launch:
    """The launch without a ``-tb`` that says what ``-t`` says: llama.cpp takes it over, and has no variable for it."""
    del options
    if item.build < CHECKED:
        raise InputError(f".env: variables are known from b{CHECKED} on, not of b{item.build}; use --as shell")
    threads = {flag.row.key: flag.values for flag in item.flags if flag.row.key in _THREADS}
    if len(set(map(threads.get, _THREADS))) > 1:
        return item
    return item.with_args(*(arg for flag in read_flags(item.args) if flag.row.key != _BATCH for arg in flag.args))


FORMAT: Final = Format(name="env", write=_write, read=dotenv.commands, prepare=_prepare, is_exact=False)

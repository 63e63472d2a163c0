"""llama-server's command line and environment to ``ServerParams``, by the rules of common/arg.cpp (b11434).

What other builds name otherwise is read with the meaning it had there (``eras``).

The environment applies first, in the order of the table; the command line overrides it, in its own order. What only
a model or a machine can refute is in ``refusals``. Files named by a flag are not opened.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Final

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.params import MAX_OVERRIDES, ServerParams
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags import eras, forks
from omniplan.llamacpp.flags.eras import Given
from omniplan.llamacpp.flags.numbers import stof, stoi, stoul
from omniplan.llamacpp.flags.settings import Value, change
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, load_flags, spellings

_NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})
_RECORDED: Final = ("LLAMA_", "GGML_", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")

# common/arg.cpp: is_truthy, is_falsey, is_autoy.
_SWITCH: Final = {
    **dict.fromkeys(("on", "enabled", "true", "1"), "on"),
    **dict.fromkeys(("off", "disabled", "false", "0"), "off"),
    **dict.fromkeys(("auto", "-1"), "auto"),
}


def parse(
    args: Sequence[str],
    *,
    env: Mapping[str, str] = _NO_ENVIRONMENT,
    build: int = DEFAULT_BUILD,
    fork: str | None = None,
) -> ServerParams:
    """Parameters of ``build``'s ``llama-server args`` under ``env``; an ``ArgumentError`` where it would exit.

    ``fork`` is known of the program, "" for llama.cpp; else flags that only a fork has tell it. What such a command
    says otherwise than llama.cpp knows is left out of the parameters, and remarked.
    """
    fork = forks.fork_of(args) if fork is None else fork
    given = [*_environment(env), *_command_line(args, fork)]
    params = replace(_usual(build, fork), env=tuple(_recorded(env)))
    left: list[Given] = []
    for item in given:
        try:
            params = _apply(params, item)
        except ArgumentError:
            if not fork:
                raise
            left.append(item)
    remarks = forks.remarks(fork, given, left) if fork else eras.remarks(given, build)
    params = replace(params, remarks=tuple(remarks))
    if len(params.overrides) >= MAX_OVERRIDES:
        problem = f"{len(params.overrides)} tensor overrides, llama.cpp aborts from {MAX_OVERRIDES} on"
        raise ArgumentError("--override-tensor", problem, remedy="use one pattern for many blocks, or -cmoe")
    return params


@cache
def _variables() -> frozenset[str]:
    return frozenset(row.env for row in load_flags() if row.env)


def _recorded(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted(env):
        if name in _variables() or name.startswith(_RECORDED):
            yield name, env[name]


@cache
def _usual(build: int, fork: str) -> ServerParams:
    """The defaults of ``build``."""
    params = ServerParams(build=build, fork=fork, fit=not fork)
    for row in load_flags():
        value = row.default_of(params.build)
        if value is not None:
            params = replace(change(params, row, value), n_ctx_given=False)
    return params


def _environment(env: Mapping[str, str]) -> Iterator[Given]:
    """Flags that the environment sets; a ``LLAMA_ARG_NO_`` variable wins over its positive form, whatever its value."""
    for row in load_flags() if env else ():
        if row.negative_env in env:
            yield Given(row=row, value=False, name=row.negative_env, is_variable=True)
        elif row.env and row.env in env:
            yield from _from_variable(row, env[row.env])


def _from_variable(row: FlagRow, text: str) -> Iterator[Given]:
    if row.kind is not ValueKind.NONE:
        yield Given(row=row, value=text, name=row.env, is_variable=True)
    elif _SWITCH.get(text) == "on" and text != "-1":
        yield Given(row=row, value=True, name=row.env, is_variable=True)
    elif row.negated:
        if _SWITCH.get(text) != "off":
            raise ArgumentError(row.env, f"'{text}' is neither on nor off", remedy=f"set {row.env}=on or {row.env}=off")
        yield Given(row=row, value=False, name=row.env, is_variable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag as written: its row, its spelling, and the arguments that follow it."""

    row: FlagRow
    name: str
    values: tuple[str, ...] = ()

    @property
    def args(self) -> tuple[str, ...]:
        """The flag as arguments."""
        return (self.name, *self.values)


def read_flags(args: Sequence[str], fork: str = "") -> Iterator[Flag]:
    """The flags of a command line in order; an ``ArgumentError`` for one nobody knows, or one without its value."""
    if isinstance(args, str):
        raise ArgumentError(args, "one text, where a list of words is expected", remedy="split it, as shlex.split does")
    for word in args:
        if not isinstance(word, str):
            raise ArgumentError(repr(word), "a word of a command line is text", remedy=f"write '{word}'")
    rest, at = list(args), 0
    while at < len(rest):
        arg = rest[at]
        at += 1
        name = arg.replace("_", "-") if arg.startswith("--") else arg
        row = forks.row_of(name, fork) or _unknown(arg)
        count = {ValueKind.NONE: 0, ValueKind.PAIR: 2}.get(row.kind, 1)
        if row.bare and _is_flag(rest[at : at + 1]):
            count = 0
        values = tuple(rest[at : at + count])
        at += count
        if len(values) < count:
            raise ArgumentError(name, "expected a value", remedy=_usage(row))
        yield Flag(row=row, name=name, values=values)


def _is_flag(following: Sequence[str]) -> bool:
    """Whether no value follows: -1 is one, another flag is none."""
    return not following or (following[0].startswith("-") and following[0] not in _SWITCH)


def _command_line(args: Sequence[str], fork: str) -> Iterator[Given]:
    for flag in read_flags(args, fork):
        is_switch = flag.row.kind is ValueKind.NONE
        text = " ".join(flag.values) or (flag.row.bare if not flag.values else "")
        value = flag.name not in flag.row.negated if is_switch else text
        yield Given(row=flag.row, value=value, name=flag.name, is_bare=bool(flag.row.bare) and not flag.values)


def _unknown(arg: str) -> FlagRow:
    known = [name for name, row in spellings().items() if not row.is_removed]
    head = arg.partition("=")[0].replace("_", "-")
    if "=" in arg and head in known:
        raise ArgumentError(arg, "llama-server does not know this flag", remedy=f"write '{head}' and its value apart")
    if fork := forks.fork_of([arg]):
        raise ArgumentError(
            arg, f"llama-server does not know this flag, {fork} does", remedy=f"run {fork}, or leave it out"
        )
    close = difflib.get_close_matches(head, known, n=1, cutoff=0.75)
    hint = f"did you mean {close[0]}?" if close else ""
    raise ArgumentError(arg, "llama-server does not know this flag", remedy=hint)


def _apply(params: ServerParams, given: Given) -> ServerParams:
    row, text = given.row, given.value
    for name in row.renamed:
        params = _apply(params, replace(given, row=spellings()[name]))
    if row.renamed or (row.what and not row.turns):
        return params
    if row.is_gone(params.build) and not params.fork and (given.is_variable or not row.turns):
        return params
    try:
        value = text if isinstance(text, bool) else _convert(row, text)
        return change(params, row, value)
    except ValueError as error:
        raise ArgumentError(given.name, str(error), remedy=_usage(row)) from error


def _usage(row: FlagRow) -> str:
    if row.choices:
        return f"use one of {', '.join((*(word for word in row.words if word), *row.choices))}"
    bounds = [f"at least {row.min}"] * (row.min is not None) + [f"at most {row.max}"] * (row.max is not None)
    words = [f"or {word}" for word in row.words]
    return f"{' / '.join(row.names)} takes {' '.join((_NOUNS[row.kind], *bounds, *words))}"


_NOUNS: Final[dict[ValueKind, str]] = {
    ValueKind.NONE: "no value",
    ValueKind.INT: "an integer",
    ValueKind.UINT: "an integer",
    ValueKind.FLOAT: "a number",
    ValueKind.STRING: "a value",
    ValueKind.ENUM: "a word",
    ValueKind.SWITCH: "on or off",
    ValueKind.LIST: "a list",
    ValueKind.PAIR: "two values",
}


def _convert(row: FlagRow, text: str) -> Value:
    if text in row.words:
        return row.words[text]
    return _CONVERTERS[row.kind](row, text)


def _integer(row: FlagRow, text: str) -> int:
    value = stoi(text)
    low = row.min is not None and value < row.min
    high = row.max is not None and value > row.max
    if low or high or value in row.forbidden:
        raise ValueError(f"{value} is not allowed")
    return value


def _choice(row: FlagRow, text: str) -> str:
    word = _SWITCH.get(text, text) if row.kind is ValueKind.SWITCH else text
    if word not in row.choices:
        raise ValueError(f"'{text}' is not a value it knows")
    return word


_CONVERTERS: Final[dict[ValueKind, Callable[[FlagRow, str], Value]]] = {
    ValueKind.NONE: lambda _, text: text,
    ValueKind.INT: _integer,
    ValueKind.UINT: lambda _, text: stoul(text),
    ValueKind.FLOAT: lambda _, text: stof(text),
    ValueKind.STRING: lambda _, text: text,
    ValueKind.ENUM: _choice,
    ValueKind.SWITCH: _choice,
    ValueKind.LIST: lambda _, text: text,
    ValueKind.PAIR: lambda _, text: text,
}

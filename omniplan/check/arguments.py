"""Rules about single arguments: what llama-server refuses, and what it reads otherwise than meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.check import cache, overrides, written
from omniplan.check.case import Case
from omniplan.check.hit import Hit, WordEdit
from omniplan.check.options import GivenOption, in_quotes
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags import refusals
from omniplan.llamacpp.flags.table import ValueKind, spellings

_NUMBER: Final = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*|\s*[+-]?(?:inf|nan)\w*\s*", re.ASCII)
_SIZE: Final = re.compile(r"\s*(\d+)\s*([kKmM])(?:i?[bB])?\s*", re.ASCII)
# Flags whose successor takes the same value.
_RENAMED: Final = {
    "--draft": "--spec-draft-n-max",
    "--draft-n": "--spec-draft-n-max",
    "--draft-max": "--spec-draft-n-max",
    "--draft-min": "--spec-draft-n-min",
    "--draft-n-min": "--spec-draft-n-min",
}
# Refusals that rules of their own explain better.
_TYPES: Final = ("cache-type-k", "cache-type-v")


def fork_flag(case: Case) -> Iterator[Hit]:
    """A flag that only a fork of llama.cpp has: what it does, or whose the command is where its program says so."""
    own = [option for option in case.reading.options if option.row is not None and option.row.what]
    for option in own:
        yield Hit(message=f"{option.name} is {case.fork}'s: {option.row.what if option.row else ''}", at=option.flag)
    if case.fork and not own:
        yield Hit(message=f"a command of {case.fork}")


def removed_flag(case: Case) -> Iterator[Hit]:
    """A flag that llama-server no longer has."""
    for option in case.reading.options:
        row = option.row
        if row is not None and row.is_gone(case.build) and not option.variable:
            texts, edits = _successor(case, option)
            yield Hit(
                message=f"{option.name}: b{row.until} and later refuse it",
                at=option.flag,
                fix=f"write {texts}" if texts else f"use {row.instead}",
                edits=edits,
            )


def _successor(case: Case, option: GivenOption) -> tuple[str, tuple[WordEdit, ...]]:
    """What takes a removed flag's place, and the edits: flags of one purpose become one together."""
    if new := _RENAMED.get(option.flag.text):
        return new, (WordEdit(word=option.flag, texts=(new,)),)
    modes = spellings()["--load-mode"].before
    old = [item for item in case.reading.options if _mode_flag(item) in " ".join(modes.values()).split()]
    given = {_mode_flag(item) for item in old}
    mode = next((value for value, flags in modes.items() if given and set(flags.split()) == given), "")
    if not mode or option not in old or option.variable:
        return "", ()
    first, *others = old
    edits = WordEdit(word=first.flag, texts=("--load-mode", mode)), *(WordEdit(word=o.flag, texts=()) for o in others)
    return f"--load-mode {mode}", edits


def _mode_flag(option: GivenOption) -> str:
    """A removed flag of loading as the table of older builds calls it."""
    return "--direct-io" if option.flag.text == "-dio" else option.flag.text


def unknown_flag(case: Case) -> Iterator[Hit]:
    """A flag that llama-server never had, or that the release of the command does not have yet."""
    for option, error in case.reading.refused:
        if option is not None and option.row is None and not written.is_two(case, option.flag):
            message = f"{option.name}: {error.problem}"
            fix = "" if case.fork else error.remedy
            yield Hit(message=message, at=option.flag, severity=_mild(case), fix=fix)
    if case.build < DEFAULT_BUILD:
        yield from _not_yet(case)


def _not_yet(case: Case) -> Iterator[Hit]:
    for option in case.reading.options:
        row = option.row
        if row is not None and case.lacks(row.name) and (option.values or row.key != "flash-attn"):
            message = f"{option.name}: b{case.build} lacks it, known from b{row.since} on"
            yield Hit(message=message, at=option.flag, fix=row.without)


def flash_attention_bare(case: Case) -> Iterator[Hit]:
    """``-fa`` without its value."""
    since = spellings()["--flash-attn"].since
    for option in case.options("flash-attn"):
        if not option.values and not option.variable and not case.lacks("--flash-attn"):
            edit = WordEdit(word=option.flag, texts=(option.flag.text, "on"))
            yield Hit(
                message=f"{option.name} has no value: llama-server takes the next word for it",
                at=option.flag,
                severity=Severity.INFO if case.build < since else None,
                edits=(edit,),
            )


def _mild(case: Case) -> Severity | None:
    """An older llama.cpp, or a fork, may take what this one does not."""
    return Severity.INFO if case.build < DEFAULT_BUILD or case.fork else None


def refused(case: Case) -> Iterator[Hit]:
    """Everything else that llama-server refuses, by itself or with this model on this machine."""
    for option, error in case.reading.refused:
        if option is None or (_is_left(option) and not any(map(in_quotes, option.words))):
            yield _hit(error, option)
    if case.model is None or case.machine is None or case.is_open:
        return
    try:
        refusals.check(case.params, case.model, case.machine.gpus)
    except ArgumentError as error:
        explained = {"--override-tensor": overrides.unused_device, "--cache-type-v": cache.v_needs_flash_attention}
        if error.flag not in explained or not any(explained[error.flag](case)):
            yield _hit(error, _named(case, error.flag))


def _is_left(option: GivenOption) -> bool:
    row = option.row
    return row is not None and not (row.key in _TYPES and option.value)


def _named(case: Case, flag: str) -> GivenOption | None:
    return next((option for option in reversed(case.reading.options) if option.row and option.row.name == flag), None)


def _hit(error: ArgumentError, option: GivenOption | None) -> Hit:
    return Hit(message=f"{error.flag}: {error.problem}", at=option.at if option else None, fix=error.remedy)


def number_with_suffix(case: Case) -> Iterator[Hit]:
    """``-c 8k`` is ``-c 8``."""
    unread = {id(option) for option in (*case.reading.open, *(option for option, _ in case.reading.refused))}
    for option in case.reading.options:
        row = option.row
        if row is None or row.kind not in (ValueKind.INT, ValueKind.UINT, ValueKind.FLOAT) or id(option) in unread:
            continue
        text = option.value
        if text in row.words or not text or _NUMBER.fullmatch(text):
            continue
        read = re.match(r"\s*[+-]?\d*\.?\d*", text)
        size = _SIZE.fullmatch(text)
        meant = str(int(size[1]) * (1024 if size[2] in "kK" else 1 << 20)) if size else ""
        yield Hit(
            message=f"{option.name} {text} is read as {read[0] if read else text}",
            at=option.at,
            fix=f"write {meant}" if meant else "",
            edits=(WordEdit(word=option.at, texts=(meant,)),) if meant else (),
        )


RULES: Final[Mapping[str, CommandRule]] = {
    "fork-flag": fork_flag,
    "flag-removed": removed_flag,
    "flag-unknown": unknown_flag,
    "flash-attention-bare": flash_attention_bare,
    "number-with-suffix": number_with_suffix,
    "refused": refused,
}

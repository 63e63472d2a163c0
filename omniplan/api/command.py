"""What stands behind ``--``: llama-server's arguments, or the whole command that starts it or a program around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from omniplan.errors import InputError

if TYPE_CHECKING:
    from omniplan.api.source import ModelSource
    from omniplan.domain.machine import Machine
    from omniplan.formats.command import Command
    from omniplan.llamacpp.flags.args import Flag

_MODELS: Final = ("model", "hf-repo", "hf-file", "model-url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """A command: llama-server's ``args`` without the model, ``env`` beside them, and the ``model``'s place if it says.

    ``own_env`` is what the command itself sets, ``fork`` the fork of llama.cpp that it starts, None where only its
    arguments tell.
    """

    args: tuple[str, ...]
    env: Mapping[str, str]
    own_env: Mapping[str, str]
    model: str = ""
    fork: str | None = None

    def model_or(self, model: ModelSource | None) -> ModelSource:
        """``model``, else the one that the command names; raises InputError without either."""
        if model is None and not self.model:
            raise InputError("no model is named; give MODEL, or paste a command that has -m")
        return self.model if model is None else model

    def seen(self, machine: Machine) -> Machine:
        """``machine`` with the GPUs that the command's own CUDA_VISIBLE_DEVICES leaves, in its order."""
        from omniplan.machines.probe.order import seen_by

        return seen_by(machine, self.own_env)


def given(words: Sequence[str], env: Mapping[str, str] | None = None) -> Pasted:
    """What ``words`` say, llama-server's arguments or a command; ``env`` holds where the command sets nothing itself.

    Raises InputError for a command that starts nothing known, or leaves something open; ArgumentError for a flag that
    nobody knows.
    """
    from omniplan.formats.pasted import is_pasted, pasted

    command = pasted(words) if is_pasted(words) else None
    own = command.env if command else {}
    args = _args(command) if command else tuple(words)
    settings = {**(env or {}), **own}
    fork = _fork(command) if command else None
    kept, model = _without_model(args, settings, fork or "")
    return Pasted(args=kept if command else args, env=settings, own_env=own, model=model, fork=fork)


def _args(command: Command) -> tuple[str, ...]:
    """A command's arguments as llama-server's."""
    from omniplan.check.tools import as_server

    words = as_server(command).words
    for flag, word in pairwise(words):
        if word.is_open:
            raise InputError(f"{flag.text}: {command.tool} leaves it open; give it one value")
    return tuple(word.text for word in words)


def _fork(command: Command) -> str | None:
    from omniplan.llamacpp.flags.forks import fork_of

    return fork_of(command.args, command.program) or None


def _without_model(args: Sequence[str], env: Mapping[str, str], fork: str) -> tuple[tuple[str, ...], str]:
    """The arguments but for those that name the model, and where it lies, as omniplan says it."""
    from omniplan.llamacpp.flags.args import read_flags
    from omniplan.llamacpp.flags.forks import fork_of
    from omniplan.llamacpp.flags.table import load_flags

    named = {row.key: env[row.env] for row in load_flags() if row.key in _MODELS and row.env in env}
    kept: list[Flag] = []
    for flag in read_flags(args, fork or fork_of(args)):
        if flag.row.key in _MODELS:
            named[flag.row.key] = flag.values[0]
        else:
            kept.append(flag)
    return tuple(arg for flag in kept for arg in flag.args), _place(named)


def _place(named: Mapping[str, str]) -> str:
    if "hf-repo" in named:
        repo = named["hf-repo"]
        return f"hf:{repo.partition(':')[0]}/{named['hf-file']}" if "hf-file" in named else f"hf:{repo}"
    return named.get("model") or named.get("model-url", "")

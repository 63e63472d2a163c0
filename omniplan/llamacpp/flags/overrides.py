"""Tensor overrides: what -ot, -cmoe, -ncmoe and -ncffn say, and which tensors they move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from omniplan.domain.params import Override
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags import ecmascript
from omniplan.llamacpp.flags.ecmascript import Matcher, PatternError
from omniplan.llamacpp.ggml import buffers

# common/common.h: LLM_FFN_EXPS_REGEX and LLM_FFN_DENSE_REGEX.
EXPERTS: Final = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
DENSE_FFN: Final = r"\.ffn_(up|down|gate)\."


def cpu_moe() -> tuple[Override, ...]:
    """``-cmoe``: every routed expert in CPU memory."""
    return (Override(EXPERTS, buffers.CPU),)


def n_cpu_moe(n: int) -> tuple[Override, ...]:
    """``-ncmoe N``: routed experts of blocks 0 to N-1, leading dense blocks counted, in CPU memory."""
    return tuple(Override(f"blk\\.{il}{EXPERTS}", buffers.CPU) for il in range(n))


def n_cpu_ffn(n: int) -> tuple[Override, ...]:
    """``-ncffn N``: dense FFN of blocks 0 to N-1 in CPU memory."""
    return tuple(Override(f"blk\\.{il}{DENSE_FFN}", buffers.CPU) for il in range(n))


def parse_overrides(value: str) -> tuple[Override, ...]:
    """The items of one ``-ot`` value (common/arg.cpp: ``parse_tensor_buffer_overrides``).

    Every comma splits, so a pattern cannot hold one; the first ``=`` of an item ends its pattern. Buffer type names
    depend on the machine and are checked in ``refusals``. Raises ``ValueError`` on an item without ``=``.
    """
    overrides = []
    for item in value.split(","):
        pattern, equals, buffer_type = item.partition("=")
        if not equals:
            raise ValueError(f"'{item}' has no '=<buffer type>' (a comma ends an item, also inside a pattern)")
        compile_pattern(pattern)
        overrides.append(Override(pattern, buffer_type))
    return tuple(overrides)


def compile_pattern(pattern: str, *, flag: str = "--override-tensor") -> Matcher:
    """The cached matcher of ``pattern``; an ``ArgumentError`` naming it when ``std::regex`` would throw."""
    try:
        return ecmascript.compile_pattern(pattern)
    except PatternError as error:
        problem = f"pattern '{pattern}' is not an ECMAScript regular expression: {error}"
        raise ArgumentError(flag, problem, remedy="escape literal brackets and dots with a backslash") from error


def first_match(overrides: Iterable[Override], names: Iterable[str]) -> Mapping[str, Override]:
    """The override of every name that has one: the first in order that matches (``llama_model_loader::create_tensor``).

    A pattern is held against the same names once, whatever arguments it is part of.
    """
    found: dict[str, Override] = {}
    every = tuple(dict.fromkeys(names))
    for override in overrides:
        for name in _matching(override.pattern, every):
            found.setdefault(name, override)
    return found


@lru_cache(maxsize=4096)
def _matching(pattern: str, names: tuple[str, ...]) -> tuple[str, ...]:
    matches = compile_pattern(pattern).matches
    return tuple(name for name in names if matches(name))

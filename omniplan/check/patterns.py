"""Rules about the patterns of tensor overrides: what they match, and what they only seem to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit
from omniplan.check.options import GivenOption
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.params import Override
from omniplan.domain.roles import layer_of
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.overrides import compile_pattern, first_match, parse_overrides

GPU: Final = re.compile(r"(?:CUDA|ROCm|Vulkan|SYCL|MUSA)(\d+)")
# A dot that stands for any character, alone: not escaped, not repeated, not in brackets.
_BARE_DOT: Final = re.compile(r"(?:\\.|\[[^\]]*\]|[^\\.\[])|(?P<dot>\.(?![*+?{]))", re.DOTALL)
# Tensor names of a model nobody gave: enough to see what a pattern says of layer numbers.
_LAYERS: Final = range(100)
_SUFFIXES: Final = tuple(
    f"{name}.weight" for name in ("attn_q", "ffn_up", "ffn_up_exps", "ffn_gate_exps", "ffn_down_exps")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of an ``-ot`` value and the option it stands in."""

    option: GivenOption
    override: Override


def items_of(case: Case) -> tuple[Item, ...]:
    """Every item the user wrote, in order; none from an option that llama-server refuses."""
    refused = {id(option) for option, _ in case.reading.refused}
    return tuple(
        Item(option=option, override=override)
        for option in case.options("override-tensor")
        if id(option) not in refused
        for override in parse_overrides(option.value)
    )


def _names(case: Case) -> Sequence[str]:
    if case.model is not None:
        return tuple(case.model.header.by_name)
    return tuple(f"blk.{il}.{suffix}" for il in _LAYERS for suffix in _SUFFIXES)


def matches_nothing(case: Case) -> Iterator[Hit]:
    """A pattern that matches no tensor of the model."""
    for item in items_of(case):
        if not _taken(item.override.pattern, _names(case)):
            yield Hit(
                message=f"'{item.override.pattern}' matches no tensor of {_model(case)}",
                at=item.option.at,
                severity=Severity.INFO if _means_output(case, item.override.pattern) else None,
            )


def _means_output(case: Case, pattern: str) -> bool:
    """Whether a pattern is for the layer behind the last, as --fit itself writes: it counts the output as one."""
    return case.model is not None and compile_pattern(pattern).matches(
        f"blk.{case.model.hparams.n_layer_all}.ffn_up_exps.weight"
    )


def _model(case: Case) -> str:
    return "the model" if case.model is None else f"this {case.model.arch} model"


def shadowed(case: Case) -> Iterator[Hit]:
    """A pattern all of whose tensors an earlier one takes."""
    items = items_of(case)
    names = _names(case)
    used = set(map(id, first_match([item.override for item in items], names).values()))
    for at, item in enumerate(items):
        is_repeated = any(other.override.pattern == item.override.pattern for other in items[:at])
        has_names = case.model is not None and any(map(compile_pattern(item.override.pattern).matches, names))
        if is_repeated or (has_names and id(item.override) not in used):
            yield Hit(
                message=f"'{item.override.pattern}={item.override.buffer_type}' does nothing: "
                "earlier patterns take all it matches",
                at=item.option.at,
            )


def unescaped_dot(case: Case) -> Iterator[Hit]:
    """A dot that matches any character: a warning where that takes more than a dot would."""
    names = _names(case)
    for item in items_of(case):
        pattern = item.override.pattern
        strict = _escaped(pattern, names)
        if strict == pattern or "blk" not in pattern:
            continue
        loose, exact = (_taken(text, names) for text in (pattern, strict))
        more = sorted(loose - exact, key=lambda name: layer_of(name) or 0)
        where = "with names as models have them" if case.model is None else "in this model"
        effect = f", so it takes {more[0]} too" if more else f"; {where} it changes nothing"
        yield Hit(
            message=f"'{pattern}': a bare dot matches any character{effect}",
            at=item.option.at,
            severity=None if more else Severity.INFO,
            fix=f"write '{strict}'",
        )


def _escaped(pattern: str, names: Sequence[str]) -> str:
    """``pattern`` with every dot escaped that can be one: where no name would be left, it stands for something else."""
    at = 0
    while match := _BARE_DOT.search(pattern, at):
        at = match.end()
        strict = f"{pattern[: match.start()]}\\.{pattern[at:]}"
        if match["dot"] and _taken(strict, names):
            pattern, at = strict, at + 1
    return pattern


def _taken(pattern: str, names: Sequence[str]) -> set[str]:
    return set(filter(compile_pattern(pattern).matches, names))


def prefix_of_layer(case: Case) -> Iterator[Hit]:
    r"""``blk\.1`` without an end matches blk.10 to blk.19."""
    items = items_of(case)
    layers = sorted({il for name in _names(case) if (il := layer_of(name)) is not None}) if items else []
    for item in items:
        pattern = item.override.pattern
        head = _OPEN_END.split(pattern, maxsplit=1)[0]
        meant = _numbers(rf"(?:{head})\.", layers)
        more = [il for il in _numbers(head, layers) if il not in meant]
        if meant and more:
            yield Hit(
                message=f"'{pattern}' means {_range(meant)} and matches {_range(more)} too",
                at=item.option.at,
                fix=r"end the layer number with \.",
            )


# What takes the rest of a name, whatever it is.
_OPEN_END: Final = re.compile(r"\.[*+]")


def _numbers(pattern: str, layers: Sequence[int]) -> list[int]:
    """Layers in whose names ``pattern`` takes digits of the number; none where it is no pattern."""
    try:
        search = compile_pattern(pattern).search
    except ArgumentError:
        return []
    found = {il: search(f"blk.{il}.") for il in layers}
    return [il for il, match in found.items() if match and match.start() == 0 and match.end() > len("blk.")]


def _range(layers: Sequence[int]) -> str:
    return f"blk.{layers[0]}" + (f" to blk.{layers[-1]}" if len(layers) > 1 else "")


RULES: Final[Mapping[str, CommandRule]] = {
    "override-matches-nothing": matches_nothing,
    "override-shadowed": shadowed,
    "override-bare-dot": unescaped_dot,
    "override-layer-prefix": prefix_of_layer,
}

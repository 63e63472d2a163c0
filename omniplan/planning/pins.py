"""Tensors the user has fixed: which tensors a pin matches, where they go, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import Override
from omniplan.errors import ArgumentError, RequestError
from omniplan.llamacpp.flags.overrides import compile_pattern, first_match
from omniplan.llamacpp.flags.write import override_text
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load import weights


@dataclass(frozen=True, slots=True)
class Pins:
    """Overrides that come before any of the plan's own, and the device of every tensor they match."""

    overrides: tuple[Override, ...] = ()
    homes: Mapping[str, str] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[str, ...]:
        """GPUs that hold pinned tensors, in the order of the pins."""
        return tuple(name for name in dict.fromkeys(self.homes.values()) if not buffers.is_host(name))


def pins_of(model: Model, machine: Machine, overrides: Sequence[Override]) -> Pins:
    """The pins that ``overrides`` are, which come before any of the plan's own.

    Raises RequestError for one that is no regular expression, names a device that ``machine`` lacks, or matches nothing
    that is loaded and not taken by an earlier one.
    """
    owners = {buffers.CPU: buffers.CPU, **{gpu.buffer_type: gpu.name for gpu in machine.gpus}}
    for override in overrides:
        if {",", "="} & set(override.pattern):
            raise _wrong(override, "llama-server's -ot takes no pattern with a comma or =")
        if override.buffer_type not in owners:
            raise _wrong(override, f"there is no device {override.buffer_type}; this machine has {', '.join(owners)}")
    names = [slot.tensor.name for slot in weights.slots(model)]
    matched = _matched(overrides, names)
    for override in overrides:
        if override not in matched.values():
            problem = f"matches no tensor that is loaded and not pinned before; names are such as {names[-1]}"
            raise _wrong(override, problem)
    return Pins(tuple(overrides), {name: owners[override.buffer_type] for name, override in matched.items()})


def _matched(overrides: Sequence[Override], names: Sequence[str]) -> Mapping[str, Override]:
    for override in overrides:
        try:
            compile_pattern(override.pattern)
        except ArgumentError as error:
            raise _wrong(override, f"{error.problem}; {error.remedy}") from error
    return first_match(overrides, names)


def _wrong(override: Override, problem: str) -> RequestError:
    return RequestError("pins", override_text(override), problem)

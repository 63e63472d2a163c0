"""Tensors the user has fixed: which tensors a pin matches, where they go, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import Override
from omniplan.errors import ArgumentError, InputError
from omniplan.llamacpp.flags.overrides import first_match, parse_overrides
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load import weights


@dataclass(frozen=True, slots=True)
class Pins:
    """Overrides that come before any of the plan's own, and the buffer type of every tensor they match."""

    texts: tuple[str, ...] = ()
    homes: Mapping[str, str] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[str, ...]:
        """GPUs that hold pinned tensors, in the order of the pins."""
        return tuple(name for name in dict.fromkeys(self.homes.values()) if not buffers.is_host(name))


def pins_of(model: Model, machine: Machine, texts: Sequence[str]) -> Pins:
    """The pins written in ``texts`` as REGEX=BUFFER, as for ``-ot``.

    Raises InputError for one that is malformed, names a device that ``machine`` lacks, or matches nothing that is
    loaded and not taken by an earlier one.
    """
    overrides = tuple(override for text in texts for override in _parsed(text))
    known = (buffers.CPU, *(gpu.name for gpu in machine.gpus))
    for override in overrides:
        if override.buffer_type not in known:
            raise InputError(
                f"{_text(override)}: there is no device {override.buffer_type}; this machine has {', '.join(known)}"
            )
    names = [slot.tensor.name for slot in weights.slots(model)]
    matched = first_match(overrides, names)
    for override in overrides:
        if override not in matched.values():
            raise InputError(
                f"{_text(override)}: matches no tensor that is loaded and not pinned before; "
                f"names are such as {names[-1]}"
            )
    texts = tuple(f"{override.pattern}={override.buffer_type}" for override in overrides)
    return Pins(texts, {name: override.buffer_type for name, override in matched.items()})


def _parsed(text: str) -> Iterator[Override]:
    try:
        yield from parse_overrides(text)
    except ArgumentError as error:
        raise InputError(f"--pin {text}: {error.problem}; {error.remedy}") from error
    except ValueError as error:
        raise InputError(f"--pin {text}: expected REGEX=BUFFER such as 'blk\\.[0-9]\\.=CUDA0': {error}") from error


def _text(override: Override) -> str:
    return f"--pin {override.pattern}={override.buffer_type}"

"""What every buffer type holds of a placed model: bytes by layer and role of its weights, and of its caches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from omniplan.domain.model import Model
from omniplan.domain.roles import Role
from omniplan.llamacpp.load import memory
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.weights import OUTPUT, Slot, slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Bytes in one ``buffer`` of the weights of one ``role`` in layer ``il``, or of its cache where ``role`` is None.

    ``il`` is -1 for inputs and the number of layers for the output, as in ``Slot``.
    """

    buffer: str
    il: int
    role: Role | None
    nbytes: int


def held(model: Model, placement: Placement, *, mtp: bool = False) -> tuple[Held, ...]:
    """Every piece of a placement; those of a buffer add up to its weights and caches but for padding.

    ``mtp``: nextn blocks are loaded. A tensor that is divided counts by what its devices hold of all of them.
    """
    sizes: Counter[tuple[str, int, Role | None]] = Counter()
    for (buffer, il, role), nbytes in _weights(model, placement, mtp=mtp).items():
        for part, share in _shares(placement, buffer).items():
            sizes[part, il, role] += int(nbytes * share)
    for cache in memory.caches(model, placement.context):
        for buffer, nbytes in placement.cache_sizes(cache):
            sizes[buffer, cache.il, None] += nbytes
    return tuple(
        Held(buffer=buffer, il=il, role=role, nbytes=nbytes) for (buffer, il, role), nbytes in sizes.items() if nbytes
    )


def _weights(model: Model, placement: Placement, *, mtp: bool) -> Counter[tuple[str, int, Role | None]]:
    """Bytes by the buffer that a weight was put into; one that is there already takes nothing."""
    weights = placement.weights
    seen: set[tuple[str, str]] = set()
    found: Counter[tuple[str, int, Role | None]] = Counter()
    for slot in slots(model, mtp=mtp):
        buffer = weights.of(slot)
        if (buffer, slot.tensor.name) not in seen:
            seen.add((buffer, slot.tensor.name))
            found[buffer, slot.il, _role(slot, model)] += slot.tensor.nbytes
    return found


def _role(slot: Slot, model: Model) -> Role:
    return Role.OUTPUT if slot.name == OUTPUT else model.roles[slot.tensor.name]


def _shares(placement: Placement, buffer: str) -> Mapping[str, float]:
    """The buffer types that hold what was put into ``buffer``: itself, or the members it is divided over."""
    gpu = next((gpu for gpu in placement.gpus if gpu.buffer == buffer), None)
    if gpu is None or placement.division is None:
        return {buffer: 1.0}
    nbytes = {part.buffer: placement.weights.nbytes[part.buffer] for part in gpu.parts}
    return {name: size / sum(nbytes.values()) for name, size in nbytes.items()}


def layers_of(pieces: Iterator[Held] | tuple[Held, ...]) -> dict[int, list[Held]]:
    """The same by layer, in order."""
    found: dict[int, list[Held]] = {}
    for piece in sorted(pieces, key=lambda piece: piece.il):
        found.setdefault(piece.il, []).append(piece)
    return found

"""What one token touches: bytes of weights and cache per device, and arithmetic per device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.roles import Role
from omniplan.llamacpp import buffers, memory, weights
from omniplan.llamacpp.memory import CacheTensor
from omniplan.llamacpp.placement import Placement


@dataclass(slots=True)
class Traffic:
    """Bytes and weights one token touches.

    ``weights`` are bytes per device or "CPU", ``cache`` bytes of KV cache and recurrent state read at the given depth,
    ``active`` parameters multiplied per device, ``streamed`` all bytes of matrices on the CPU (what a prompt batch
    copies to the GPU), ``low_bit`` the penalty-weighted CPU bytes. ``cpu_layers`` have weights on the CPU.
    """

    weights: Counter[str] = field(default_factory=Counter)
    cache: Counter[str] = field(default_factory=Counter)
    active: Counter[str] = field(default_factory=Counter)
    streamed: int = 0
    low_bit: Counter[int] = field(default_factory=Counter)
    cpu_layers: set[int] = field(default_factory=set)
    gpu_layers: int = 0


def traffic(model: Model, placement: Placement, *, depth: int) -> Traffic:
    """What one token touches with ``depth`` tokens already in the cache of its sequence."""
    found = Traffic()
    h = model.hparams
    for slot in weights.slots(model):
        if slot.il < 0 or slot.name.startswith("rope_f"):
            continue
        role = model.roles[slot.tensor.name]
        share = _share(role, h, slot.il)
        device = _device(placement.weights.buffer_of[slot.name])
        nbytes = slot.tensor.nbytes
        found.weights[device] += round(nbytes * share)
        found.active[device] += round(slot.tensor.n_elements * share)
        if device == buffers.CPU:
            found.low_bit[int(slot.tensor.type.bits_per_weight)] += round(nbytes * share)
            if len(slot.tensor.shape) > 1:
                found.streamed += nbytes
                found.cpu_layers.add(slot.il)
    for cache in memory.caches(model, placement.context):
        found.cache[_device(placement.cache_device(cache.il))] += _cache_bytes(cache, h, depth)
    found.gpu_layers = sum(1 for device in placement.layers[: h.n_layer] if device != buffers.CPU)
    return found


def _share(role: Role, h: Hparams, il: int) -> float:
    if role is not Role.ROUTED_EXPERT or not h.n_expert:
        return 1.0
    return (h.n_expert_used[il] if il < h.n_layer_all else max(h.n_expert_used)) / h.n_expert


def _device(buffer: str) -> str:
    return buffers.CPU if buffers.is_host(buffer) else buffer


def _cache_bytes(cache: CacheTensor, h: Hparams, depth: int) -> int:
    """Bytes of one layer's cache that attention reads; recurrent state is read and written whole."""
    if cache.part in ("r", "s", "p"):
        return 2 * cache.type.row_size(cache.row)
    cells = min(depth, h.n_swa) if h.is_swa[cache.il] and h.n_swa else depth
    return cache.type.row_size(cache.row) * min(cells, cache.cells)

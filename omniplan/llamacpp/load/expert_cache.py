"""The GPUs' cache of experts that lie in RAM, ``--moe-cache-mib`` (src/llama-moe-cache.cpp of b11549)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.domain.footprint import BufferSize
from omniplan.domain.header import Tensor
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.errors import ArgumentError
from omniplan.llamacpp.build import known
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.load.weights import Weights
from omniplan.units import MIB, pad

FLAG: Final = "--moe-cache-mib"
# llama_moe_cache_layer_experts: these weights of a layer, in this order.
_PARTS: Final = ("gate_up", "gate", "up", "down")
_MAP_ENTRY: Final = 4  # bytes: the slot of one expert


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertCache:
    """What the cache keeps: ``nbytes`` by buffer type, and by layer the ``slots`` of the bank that it looks in.

    A layer without slots is not cached. ``share`` is by layer what part of the experts that draw on the same bank
    fits in.
    """

    nbytes: Mapping[str, int]
    slots: tuple[int, ...]
    share: Mapping[int, float]


def sizes(cache: ExpertCache | None) -> dict[str, BufferSize]:
    """Bytes per buffer type, in the column where llama.cpp counts them; empty without a cache."""
    return {name: BufferSize(context=nbytes) for name, nbytes in cache.nbytes.items()} if cache else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Layers of one GPU whose experts have the same types and shapes: they share banks."""

    device: Device
    layers: tuple[int, ...]
    experts: tuple[Tensor, ...]

    @property
    def n_expert(self) -> int:
        return self.experts[0].shape[2]

    @property
    def host_bytes(self) -> int:
        return len(self.layers) * sum(tensor.nbytes for tensor in self.experts)

    def bank(self, slots: int) -> int:
        """Bytes of the banks of so many slots: one more is kept, since CUDA's kernels may read past the last expert."""
        alignment = self.device.memory.alignment
        return sum(pad(tensor.nbytes // self.n_expert * (slots + 1), alignment) for tensor in self.experts)

    def loaded(self, slots: int) -> int:
        """Bytes of the same banks once they are allocated, the last row of each filled up."""
        memory = self.device.memory
        sizes = ((tensor, tensor.nbytes // self.n_expert * (slots + 1)) for tensor in self.experts)
        return sum(memory.size(tensor.type, tensor.shape[0], size) for tensor, size in sizes)

    def slots(self, budget: float) -> int:
        """The most slots whose banks take no more than ``budget`` bytes."""
        slots = min(len(self.layers) * self.n_expert, int(budget) // self.bank(0))
        while slots > 0 and self.bank(slots) > int(budget):
            slots -= 1
        return slots


def is_asked(params: ServerParams) -> bool:
    """Whether ``params`` ask for a cache, of a build that has one."""
    return params.moe_cache > 0 and known(params.build).moe_cache


def resolve(
    model: Model,
    machine: Machine,
    params: ServerParams,
    layers: Sequence[str],
    gpus: Sequence[Device],
    weights: Weights,
    *,
    no_alloc: bool,
) -> ExpertCache | None:
    """The cache that ``params`` ask for; None without one, of a build without it, or with no layer's experts in RAM.

    ``layers`` is the device of each layer, ``no_alloc`` whether bytes are only measured. Raises the ArgumentError of
    what llama.cpp refuses.
    """
    if not is_asked(params):
        return None
    used = max(model.hparams.n_expert_used, default=0) if model.hparams.n_expert else 0
    _refuse(params, used, gpus)
    groups = tuple(_groups(model, layers, gpus, weights))
    slots = [0] * len(layers)
    share: dict[int, float] = {}
    nbytes: Counter[str] = Counter()
    for group, budget in _budgets(groups, machine, params, tuple(gpu.name for gpu in gpus)):
        n_slots = group.slots(budget)
        if n_slots < used:
            continue
        nbytes[group.device.buffer] += group.bank(n_slots) if no_alloc else group.loaded(n_slots)
        nbytes[buffers.CPU] += len(group.layers) * pad(_MAP_ENTRY * group.n_expert, CPU.memory.alignment)
        for il in group.layers:
            slots[il] = n_slots
            share[il] = n_slots / (len(group.layers) * group.n_expert)
    if groups and not share:
        problem = f"{params.moe_cache} MiB do not hold the experts of one token"
        raise ArgumentError(FLAG, problem, remedy="give it more, or leave it out")
    return ExpertCache(nbytes=dict(nbytes), slots=tuple(slots), share=share) if share else None


def _refuse(params: ServerParams, used: int, gpus: Sequence[Device]) -> None:
    if not gpus:
        raise ArgumentError(FLAG, "the cache is on GPUs, and none is in use", remedy="leave it out")
    if params.split_mode is SplitMode.TENSOR:
        raise ArgumentError(FLAG, "not with tensors that are split over GPUs", remedy="use -sm layer")
    if not used:
        raise ArgumentError(FLAG, "the model has no experts", remedy="leave it out")


def _groups(model: Model, layers: Sequence[str], gpus: Sequence[Device], weights: Weights) -> Iterator[_Group]:
    """Layers whose experts are all in RAM, by GPU and layout, in the order in which a layout is first met."""
    devices = {gpu.name: gpu for gpu in gpus}
    members: dict[tuple[object, ...], list[int]] = {}
    first: dict[tuple[object, ...], tuple[Device, tuple[Tensor, ...]]] = {}
    for il, name in enumerate(layers):
        experts = tuple(_experts(model, il, weights))
        if name in devices and experts and all(buffers.is_readable(weights.buffer_of[t.name]) for t in experts):
            key: tuple[object, ...] = (name, *((tensor.type, tensor.shape) for tensor in experts))
            members.setdefault(key, []).append(il)
            first.setdefault(key, (devices[name], experts))
    for key, (device, experts) in first.items():
        yield _Group(device=device, layers=tuple(members[key]), experts=experts)


def _experts(model: Model, il: int, weights: Weights) -> Iterator[Tensor]:
    for part in _PARTS:
        name = f"blk.{il}.ffn_{part}_exps.weight"
        if name in weights.buffer_of:
            yield model.header.by_name[name]


def _budgets(
    groups: Sequence[_Group], machine: Machine, params: ServerParams, names: Sequence[str]
) -> Iterator[tuple[_Group, float]]:
    """Bytes for each group: by ``-ts`` over GPUs that have any, within one by the size of the experts."""
    held: Counter[str] = Counter()
    for group in groups:
        held[group.device.name] += group.host_bytes
    shares = _shares(tuple(name for name in names if held[name]), machine, params, names)
    total = sum(shares.values())
    for group in groups:
        name = group.device.name
        # In this order, as rounding would differ by a byte.
        yield group, params.moe_cache * MIB * shares[name] / total * group.host_bytes / held[name]


def _shares(
    holders: Sequence[str], machine: Machine, params: ServerParams, names: Sequence[str]
) -> Mapping[str, float]:
    given = dict(zip(names, (*params.tensor_split, *[0.0] * len(names)), strict=False))
    by_free = not any(given.values())
    shares = {name: float(machine.gpu(name).free) if by_free else given[name] for name in holders}
    return shares if any(shares.values()) else dict.fromkeys(holders, 1.0)

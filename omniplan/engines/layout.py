"""Where other engines would put weights, cache and experts, in bytes: modelled, for nobody simulates them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from omniplan.domain.hparams import Hparams
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.engines.facts import WeightGroups, is_unequal
from omniplan.engines.table import LayoutKind, WayRow, engine_table
from omniplan.engines.values import PoolNeed
from omniplan.units import GIB

_BF16: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """What goes where: bytes per pool, and the numbers a launch line needs.

    ``n_tensor`` and ``n_pipeline`` GPUs share each matrix and the layers; ``partition`` are layers per pipeline stage;
    ``n_gpu_experts`` per layer lie on GPUs; ``offload`` is GiB of every GPU's weights that lie in RAM.
    ``weights`` is what all weights take.
    """

    memory: tuple[PoolNeed, ...]
    weights: int
    n_tensor: int = 1
    n_pipeline: int = 1
    partition: tuple[int, ...] = ()
    n_gpu_experts: int = 0
    offload: int = 0

    @property
    def fits(self) -> bool | None:
        """Whether every pool holds its part; None when that hangs on a pool of unknown size."""
        parts = [need.fits for need in self.memory]
        return False if False in parts else None if None in parts else True


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutProblem:
    """What is to be laid out, and on what; ``n_ctx`` is the context in tokens."""

    model: Model
    machine: Machine
    weights: WeightGroups
    n_ctx: int

    def ram(self, on_gpus: int) -> int | None:
        """Bytes of RAM a server may use; less what lies on GPUs that draw on it."""
        if self.machine.ram is None:
            return None
        taken = on_gpus if any(gpu.draws_on_ram for gpu in self.machine.gpus) else 0
        return max(0, self.machine.ram - taken)


def cache_bytes(h: Hparams, n_ctx: int) -> int:
    """A BF16 cache of ``n_ctx`` tokens: a K and a V row per layer, or one latent row with MLA; no sliding windows."""
    layers = [il for il in range(h.n_layer) if h.has_kv[il] and not h.is_recr[il]]
    row = sum(h.n_embd_k_gqa(il) + (0 if h.is_mla else h.n_embd_v_gqa(il)) for il in layers)
    return _BF16 * row * n_ctx


def lay_out(way: WayRow, problem: LayoutProblem) -> Laid | None:
    """The layout of a way that has one of its own; None for llama.cpp's and for those that run other engines."""
    builder = _BUILDERS.get(way.layout)
    return None if builder is None else builder(way, problem)


def _hybrid(way: WayRow, problem: LayoutProblem) -> Laid:
    """Experts in RAM, everything else on equal GPUs or the largest one, and as many experts as are left room for."""
    weights, gpus = problem.weights, problem.machine.gpus
    gpus = _largest(gpus) if way.one_gpu else _together(gpus)
    cache = cache_bytes(problem.model.hparams, problem.n_ctx) * max(1, len(gpus))
    used = weights.rest_size(way.gpu_bits) + cache + _workspace(gpus)
    usable = _usable(way, gpus)
    each = weights.expert_size(way.gpu_bits) // max(1, weights.n_expert)
    room = max(0, usable - used) // each if each and not way.one_gpu else 0
    n_gpu_experts = min(weights.n_expert, room)
    in_ram = weights.expert_size(way.cpu_bits)
    if weights.n_expert:
        in_ram = in_ram * (weights.n_expert - n_gpu_experts) // weights.n_expert
    return Laid(
        memory=(
            PoolNeed(pool=_names(gpus), needed=used + n_gpu_experts * each, available=usable),
            PoolNeed(pool="RAM", needed=in_ram, available=problem.ram(used + n_gpu_experts * each)),
        ),
        weights=weights.rest_size(way.gpu_bits) + weights.expert_size(way.cpu_bits),
        n_tensor=max(1, len(gpus)),
        n_gpu_experts=n_gpu_experts,
    )


def _gpu(way: WayRow, problem: LayoutProblem) -> Laid:
    """Everything on GPUs: equal ones, or all where layers may be split unevenly, else the largest."""
    gpus = problem.machine.gpus if way.splits_layers else _together(problem.machine.gpus)
    size = _size(way, problem)
    needed = size + cache_bytes(problem.model.hparams, problem.n_ctx) + _workspace(gpus)
    memory = (PoolNeed(pool=_names(gpus), needed=needed, available=_usable(way, gpus)),)
    return Laid(memory=memory, weights=size, n_tensor=1 if way.splits_layers else max(1, len(gpus)))


def _offload(way: WayRow, problem: LayoutProblem) -> Laid:
    """One GPU if it holds everything; else equal GPUs share matrices, unequal ones layers, and RAM takes the rest."""
    size = _size(way, problem)
    cache = cache_bytes(problem.model.hparams, problem.n_ctx)
    gpus = problem.machine.gpus
    alone = _largest(gpus)
    if size + cache + _workspace(alone) <= _usable(way, alone):
        gpus = alone
    needed, usable = size + cache + _workspace(gpus), _usable(way, gpus)
    per_gpu = -(-max(0, needed - usable) // (GIB * max(1, len(gpus))))
    offload = per_gpu * GIB * len(gpus)
    shares = is_unequal(gpus)
    return Laid(
        memory=(
            PoolNeed(pool=_names(gpus), needed=max(0, needed - offload), available=usable),
            PoolNeed(pool="RAM", needed=offload, available=problem.ram(max(0, needed - offload))),
        ),
        weights=size,
        n_tensor=1 if shares else max(1, len(gpus)),
        n_pipeline=len(gpus) if shares else 1,
        partition=_partition(gpus, problem.model.hparams.n_layer) if shares else (),
        offload=per_gpu,
    )


def _size(way: WayRow, problem: LayoutProblem) -> int:
    return problem.weights.rest_size(way.gpu_bits) + problem.weights.expert_size(way.gpu_bits)


def _together(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """The GPUs that can share matrices: of all groups of equal ones, the group with the most memory."""
    groups = [tuple(other for other in gpus if not is_unequal((gpu, other))) for gpu in gpus]
    return max(groups, key=lambda group: sum(gpu.free for gpu in group), default=())


def _largest(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    return tuple(sorted(gpus, key=lambda gpu: -gpu.free)[:1])


def _usable(way: WayRow, gpus: tuple[Gpu, ...]) -> int:
    return sum(int(gpu.room * way.gpu_fraction) for gpu in gpus)


def _workspace(gpus: tuple[Gpu, ...]) -> int:
    return engine_table().workspace * len(gpus)


def _names(gpus: tuple[Gpu, ...]) -> str:
    return " + ".join(gpu.name for gpu in gpus) or "VRAM"


def _partition(gpus: tuple[Gpu, ...], n_layer: int) -> tuple[int, ...]:
    """Layers per GPU by its share of the memory; what rounding leaves goes to the largest."""
    total = sum(gpu.free for gpu in gpus)
    layers = [n_layer * gpu.free // total for gpu in gpus]
    largest = max(range(len(gpus)), key=lambda index: gpus[index].free)
    layers[largest] += n_layer - sum(layers)
    return tuple(layers)


_BUILDERS: Final[Mapping[LayoutKind, Callable[[WayRow, LayoutProblem], Laid]]] = {
    LayoutKind.HYBRID: _hybrid,
    LayoutKind.GPU: _gpu,
    LayoutKind.OFFLOAD: _offload,
}

"""What each layer takes on a GPU: what must stay with it, and what could go to the CPU."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from omniplan.domain.model import Model
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.cuda import CUDA, HOST
from omniplan.llamacpp.load import memory, weights
from omniplan.llamacpp.load.context import Context
from omniplan.planning import patterns
from omniplan.planning.pins import Pins

# The order in which b11434 computes them: a gated activation visits its gate before what it gates, whichever was built
# first (src/llama-graph.cpp: build_ffn, build_moe_ffn; ggml/src/ggml.c: ggml_visit_parents).
_CHAIN: Final = ("gate", "up", "gate_up", "down")
_PROJECTION: Final = re.compile(r"\.ffn_(gate_up|gate|up|down)[_.]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A layer of which some projections move and the others stay.

    ``moved`` names those that move; ``size`` are bytes of the others on the GPU, ``share`` their part of the movable
    bytes. What moves is one end of the chain gate, up, down, so that the graph is cut no finer than by moving all.
    """

    moved: tuple[str, ...]
    size: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCosts:
    """Bytes on a GPU per layer, output layer last; what the user has pinned is in ``fixed`` and nowhere else.

    ``base`` stays on the layer's device: attention, norms, shared experts, its KV cache. ``movable`` could go to the
    CPU: routed experts of a MoE model, FFN weights of a dense one. ``on_cpu`` is what a moved part takes in RAM,
    ``partials`` the ways to move only some of it, those that keep most first. ``shared`` is duplicated on every device.
    ``fixed`` are pinned bytes by device, ``pinned`` the GPUs that hold pinned weights of each layer, ``rest`` the
    pinned bytes that a token reads, ``largest`` those of the largest weight that can move.
    """

    base: tuple[int, ...]
    movable: tuple[int, ...]
    on_cpu: tuple[int, ...]
    active_share: float
    shared: int
    tensors: str
    partials: tuple[tuple[Partial, ...], ...] = ()
    fixed: Mapping[str, int] = field(default_factory=dict)
    pinned: tuple[frozenset[str], ...] = ()
    rest: int = 0
    largest: int = 0

    @property
    def total(self) -> int:
        """Everything that goes to GPUs unless it is moved."""
        return sum(self.base) + sum(self.movable)


def layer_costs(model: Model, context: Context, pins: Pins, *, mtp: bool = False) -> LayerCosts:
    """Costs of every layer of ``model`` in ``context``, exact to the byte; of nextn layers with ``mtp`` alone."""
    # How a batch is computed changes no bytes of a layer.
    context = replace(context, op_offload=True)
    return _costs(model, context, pins, mtp=mtp) if pins.homes else _free_costs(model, context, mtp=mtp)


@lru_cache(maxsize=64)
def _free_costs(model: Model, context: Context, *, mtp: bool) -> LayerCosts:
    return _costs(model, context, Pins(), mtp=mtp)


def _costs(model: Model, context: Context, pins: Pins, *, mtp: bool) -> LayerCosts:
    h = model.hparams
    is_moe = model.is_moe
    tensors = patterns.EXPERTS if is_moe else patterns.DENSE_FFN
    active_share = max(h.n_expert_used) / h.n_expert if is_moe and h.n_expert else 1.0
    moves = re.compile(rf"blk\.\d+\.{tensors}")
    base = [0] * (h.n_layer_all + 1)
    movable = [Counter[str]() for _ in base]
    on_cpu = [Counter[str]() for _ in base]
    pinned: list[set[str]] = [set() for _ in base]
    shared: dict[str, int] = {}
    fixed: Counter[str] = Counter()
    rest = 0.0
    for slot in weights.slots(model, mtp=mtp):
        size, is_movable = weights.size(slot, CUDA.memory), bool(moves.search(slot.name))
        if home := pins.homes.get(slot.tensor.name):
            fixed[home] += size
            rest += slot.tensor.nbytes * (active_share if is_movable else 1.0) if slot.il >= 0 else 0
            pinned[slot.il].update(() if slot.il < 0 or buffers.is_host(home) else (home,))
        elif slot.il < 0:
            continue
        elif slot.name.startswith("rope_f"):
            shared[slot.name] = size
        elif is_movable:
            projection = _PROJECTION.search(slot.name)
            assert projection is not None
            movable[slot.il][projection[1]] += size
            on_cpu[slot.il][projection[1]] += weights.size(slot, HOST)
        else:
            base[slot.il] += size
    for cache in memory.caches(model, context):
        base[cache.il] += CUDA.memory.size(cache.type, cache.row, cache.nbytes)
    return LayerCosts(
        base=tuple(base),
        movable=tuple(sizes.total() for sizes in movable),
        largest=max((size for sizes in movable for size in sizes.values()), default=0),
        on_cpu=tuple(sizes.total() for sizes in on_cpu),
        active_share=active_share,
        shared=sum(shared.values()),
        tensors=tensors,
        partials=tuple(tuple(_partials(*sizes)) for sizes in zip(movable, on_cpu, strict=True)),
        fixed=fixed,
        pinned=tuple(map(frozenset, pinned)),
        rest=round(rest),
    )


def _partials(on_gpu: Counter[str], on_cpu: Counter[str]) -> Iterator[Partial]:
    """Every way to move one end of the chain, the one that keeps most first."""
    chain = [name for name in _CHAIN if name in on_gpu]
    ends = [moved for cut in range(1, len(chain)) for moved in (chain[:cut], chain[cut:])]
    found = []
    for moved in ends:
        stay = [name for name in chain if name not in moved]
        share = sum(on_cpu[name] for name in stay) / on_cpu.total()
        found.append(Partial(moved=tuple(moved), size=sum(on_gpu[name] for name in stay), share=share))
    yield from sorted(found, key=lambda partial: (-partial.share, partial.size))


def compute_estimate(model: Model, context: Context, *, copied: int = 0) -> int:
    """A first, rough guess of one device's compute buffer in bytes; only a start for the search, never a price.

    Masks, four activations and the widest feed-forward phase (``docs/model.md``), and the ``copied`` bytes of a weight
    from RAM; the simulation replaces it.
    """
    h = model.hparams
    n = context.n_tokens
    mask = context.n_ctx_seq * n * (2 if context.flash_attn else 4)
    used = max(h.n_expert_used)
    width = max((t.shape[1] for t in model.header.tensors if "ffn_up" in t.name and len(t.shape) > 1), default=h.n_embd)
    phase = 3 * 4 * n * width * max(1, used)
    heads = max(h.n_head)
    scores = 0 if context.flash_attn else 4 * heads * context.n_ctx_seq * n
    return mask + 4 * 4 * n * h.n_embd + max(phase, scores) + copied

"""What each layer takes on a GPU: what must stay with it, and what could go to the CPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from omniplan.domain.model import Model
from omniplan.llamacpp import buffers, memory, weights
from omniplan.llamacpp.context import Context
from omniplan.search import patterns

_GPU: Final = "CUDA0"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCosts:
    """Bytes on a GPU per layer, output layer last.

    ``base`` stays on the layer's device: attention, norms, shared experts, its KV cache. ``movable`` could go to the
    CPU: routed experts of a MoE model, FFN weights of a dense one. ``on_cpu`` is what a moved part takes in RAM.
    ``shared`` is duplicated on every device.
    """

    base: tuple[int, ...]
    movable: tuple[int, ...]
    on_cpu: tuple[int, ...]
    active_share: float
    shared: int
    tensors: str

    @property
    def total(self) -> int:
        """Everything on GPUs."""
        return sum(self.base) + sum(self.movable)


def layer_costs(model: Model, context: Context) -> LayerCosts:
    """Costs of every layer of ``model`` in ``context``, exact to the byte."""
    h = model.hparams
    is_moe = any(layer.ffn.startswith("moe") for layer in model.layers)
    tensors = patterns.EXPERTS if is_moe else patterns.DENSE_FFN
    moves = re.compile(rf"blk\.\d+\.{tensors}")
    base = [0] * (h.n_layer_all + 1)
    movable, on_cpu = list(base), list(base)
    shared: dict[str, int] = {}
    for slot in weights.slots(model):
        if slot.il < 0:
            continue
        tensor = slot.tensor
        size = buffers.padded_size(_GPU, tensor.type, tensor.shape[0], tensor.nbytes)
        if slot.name.startswith("rope_f"):
            shared[slot.name] = size
        elif moves.search(slot.name):
            movable[slot.il] += size
            on_cpu[slot.il] += buffers.padded_size(buffers.CUDA_HOST, tensor.type, tensor.shape[0], tensor.nbytes)
        else:
            base[slot.il] += size
    for cache in memory.caches(model, context):
        base[cache.il] += buffers.padded_size(_GPU, cache.type, cache.row, cache.nbytes)
    return LayerCosts(
        base=tuple(base),
        movable=tuple(movable),
        on_cpu=tuple(on_cpu),
        active_share=max(h.n_expert_used) / h.n_expert if is_moe and h.n_expert else 1.0,
        shared=sum(shared.values()),
        tensors=tensors,
    )


def compute_estimate(model: Model, context: Context, *, movable: Mapping[int, int] | None = None) -> int:
    """A first, rough guess of one device's compute buffer in bytes; only a start for the search, never a price.

    Masks, four activations and the widest feed-forward phase (``docs/model.md``); the simulation replaces it.
    """
    h = model.hparams
    n = context.n_tokens
    mask = context.n_ctx_seq * n * (2 if context.flash_attn else 4)
    used = max(h.n_expert_used)
    width = max((t.shape[1] for t in model.header.tensors if "ffn_up" in t.name and len(t.shape) > 1), default=h.n_embd)
    phase = 3 * 4 * n * width * max(1, used)
    heads = max(h.n_head)
    scores = 0 if context.flash_attn else 4 * heads * context.n_ctx_seq * n
    copies = max(movable.values(), default=0) if movable else 0
    return mask + 4 * 4 * n * h.n_embd + max(phase, scores) + copies

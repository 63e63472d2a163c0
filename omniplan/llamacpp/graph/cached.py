"""Small batches that read experts from the GPUs' cache (``llama_moe_cache::get_slot_map``, build_moe_ffn of b11549)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.node import EXPERT_BANK, SLOT_MAP, SLOTS, WEIGHT, Node, strides
from omniplan.llamacpp.graph.ops import I32, cont, get_rows
from omniplan.llamacpp.graph.views import is_contiguous, reshape

# The experts that may be cached; others, such as grovemoe's chunk experts, never are.
STEM: Final = "exps"
# llama_moe_cache::max_batch
_MAX_BATCH: Final = 32


def slots(b: Builder, il: int, ids: Node) -> Node | None:
    """Where the cache has the experts ``ids`` of layer ``il``; None for a batch or a layer that does not use it."""
    n_slots = b.context.expert_slots[il] if b.context.expert_slots else 0
    n_used, n_tokens = ids.ne[:2]
    n_expert = b.hparams.n_expert
    if not n_slots or n_tokens > _MAX_BATCH or min(n_tokens * n_used, n_expert) > n_slots:
        return None
    flat = reshape(ids if is_contiguous(ids) else cont(ids), n_used * n_tokens)
    ne = (1, n_expert, 1, 1)
    found = get_rows(Node("NONE", I32, ne, strides(I32, ne), name=f"{SLOT_MAP}{il}", home=WEIGHT, il=il), flat)
    found.name, found.il = SLOTS, il
    return reshape(found, n_used, n_tokens)


def bank(b: Builder, il: int, weight: Node) -> Node:
    """The slots in place of the layer's own ``weight``: a view of the bank, which to the scheduler is a weight."""
    ne = (*weight.ne[:2], b.context.expert_slots[il], 1)
    return Node("NONE", weight.type, ne, strides(weight.type, ne), name=f"{EXPERT_BANK}{il}", home=WEIGHT, il=il)

"""Step 3.5 (src/models/step35.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import KEYED
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import cont
from omniplan.llamacpp.graph.recipe import Recipe
from omniplan.llamacpp.graph.views import reshape, view_2d


def _copied_qkv(b: Builder, il: int, x: Node) -> tuple[Node, Node, Node]:
    """Q, K and V: parts of a fused projection are copied out; Q and K are normalised where the file says."""
    if b.layer(il, "attn_qkv.weight") is None:
        q, k, v = attn.qkv_of(b, il, x)
    else:
        wide, offset, parts = attn.fused_qkv(b, il, x), 0, []
        for size, count in attn.heads_of(b, il):
            part = view_2d(wide, size * count, b.n_tokens, wide.nb[1], wide.type.row_size(offset))
            parts.append(reshape(cont(part), size, count, b.n_tokens))
            offset += size * count
        q, k, v = parts
    return _normed_if_any(b, il, "attn_q_norm", q), _normed_if_any(b, il, "attn_k_norm", k), v


def _normed_if_any(b: Builder, il: int, stem: str, x: Node) -> Node:
    return x if b.layer(il, stem + ".weight") is None else layer_norm(b, il, stem, x)


RECIPE: Final = Recipe(
    qkv=_copied_qkv,
    rope_factors=True,
    rope_factors_sliding=False,
    out_gate="SIGMOID",
    out_bias=False,
    moe=KEYED,
    rows="end",
)

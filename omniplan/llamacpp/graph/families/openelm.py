"""OpenELM (src/models/openelm.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul_mat
from omniplan.llamacpp.graph.recipe import Inputs, QkNorm, Recipe
from omniplan.llamacpp.graph.views import reshape, view_3d


def build(b: Builder) -> None:
    """Heads of one fused tensor; attention's output is added to the residual, the FFN's gets it added."""
    decoder.build(b, Recipe(qkv=_by_heads, qk_norm=QkNorm.BEFORE, out_bias=False), _layer)


def _layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    mixed = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
    if il == b.hparams.n_layer - 1:
        x, mixed = get_rows(x, inputs.out_ids), get_rows(mixed, inputs.out_ids)
    hidden = add(x, mixed)
    return add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden)), hidden)


def _by_heads(b: Builder, il: int, x: Node) -> tuple[Node, Node, Node]:
    h, n = b.hparams, b.n_tokens
    counts, size = (h.n_head[il], h.n_head_kv[il], h.n_head_kv[il]), h.n_embd_head_k[il]
    heads = reshape(mul_mat(b.need(il, "attn_qkv.weight"), x), size, sum(counts), n)
    parts, first = [], 0
    for count in counts:
        parts.append(view_3d(heads, size, count, n, heads.nb[1], heads.nb[2], heads.nb[1] * first))
        first += count
    return parts[0], parts[1], parts[2]

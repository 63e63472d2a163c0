"""Multi-head latent attention: one compressed K row per token, queries absorbed into it (src/models/deepseek2.cpp)."""

from __future__ import annotations

from dataclasses import replace

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder, nextn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Gating, Moe, Shared, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import concat, cont, mul, mul_mat, repeat, rope
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, Rows
from omniplan.llamacpp.graph.views import reshape, swap_middle, view_2d, view_3d


def query(b: Builder, il: int, x: Node, head: int) -> Node:
    """Q as [head, n_head, n_tokens]."""
    return reshape(flat_query(b, il, x), head, b.hparams.n_head[il], b.n_tokens)


def flat_query(b: Builder, il: int, x: Node) -> Node:
    """Rows of Q, through its low-rank pair where the file has one."""
    if b.layer(il, "attn_q.weight") is not None:
        return mul_mat(b.need(il, "attn_q.weight"), x)
    q = layer_norm(b, il, "attn_q_a_norm", mul_mat(b.need(il, "attn_q_a.weight"), x))
    return mul_mat(b.need(il, "attn_q_b.weight"), q)


def compressed(b: Builder, il: int, x: Node, positions: Node | None, factors: Node | None = None) -> tuple[Node, Node]:
    """The normalised latent row and the positional key, rotated if there are ``positions``, of every token."""
    rank, n_rope, n = latent_rank(b, il), b.hparams.n_rot[il], b.n_tokens
    both = mul_mat(b.need(il, "attn_kv_a_mqa.weight"), x)
    nb = both.nb[1]
    latent = view_2d(both, rank, n, nb)
    key = view_3d(both, n_rope, 1, n, nb, nb, both.type.row_size(rank))
    if b.layer(il, "attn_k_norm.weight") is not None:
        key = layer_norm(b, il, "attn_k_norm", key)
    key = key if positions is None else rope(key, positions, factors)
    return layer_norm(b, il, "attn_kv_a_norm", latent), key


def latent_rank(b: Builder, il: int) -> int:
    """Elements of a latent row."""
    h = b.hparams
    return b.count("attention.kv_lora_rank_swa") if h.is_swa[il] else h.n_lora_kv


def latent_attention(
    b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node, *, flat_values: bool = False
) -> Node:
    """MLA with K and V absorbed where the file's heads are split, plain heads otherwise.

    ``flat_values``: plain heads of V are one row (plm).
    """
    h = b.hparams
    head = h.n_embd_head_k_mla or h.n_embd_head_k[il]
    q = query(b, il, x, head)
    factors = b.rope_factors(il) if recipe.rope_factors else None
    latent, key = compressed(b, il, x, inputs.positions, factors)
    assert inputs.attention is not None
    if not inputs.attention.keys_only:
        k, v = _decompressed(b, il, latent, key, head)
        if flat_values:
            v = view_2d(v, v.ne[0] * v.ne[1], b.n_tokens, v.nb[2])
        q = _tempered(inputs, _roped(b, il, q, inputs.positions, factors))
        return attn.cached(b, inputs.attention, il, q, k, v)
    q = _tempered(inputs, absorbed(b, il, q, inputs.positions, head))
    latent = reshape(latent, h.n_lora_kv, 1, b.n_tokens)
    k = concat(latent, key, 0)
    return attn.cached(b, inputs.attention, il, q, k, latent, v_mla=b.need(il, "attn_v_b.weight"))


def _roped(b: Builder, il: int, q: Node, positions: Node, factors: Node | None) -> Node:
    """Q with rotary positions at the end of each head."""
    if b.context.build.rules.ropes_whole_heads:
        return rope(q, positions, factors)
    head, n_head, n = q.ne[:3]
    nope, row = head - b.hparams.n_rot[il], q.type.row_size(head)
    first = view_3d(q, nope, n_head, n, row, row * n_head)
    last = view_3d(q, head - nope, n_head, n, row, row * n_head, q.type.row_size(nope))
    return concat(first, rope(last, positions, factors), 0)


def absorbed(b: Builder, il: int, q: Node, positions: Node | None, head: int) -> Node:
    """Q, rows of ``head`` elements, in the latent space, followed by its positional part."""
    n_rope, n_head, n = b.hparams.n_rot[il], b.hparams.n_head[il], b.n_tokens
    nope, row = head - n_rope, q.type.row_size(head)
    q_nope = view_3d(q, nope, n_head, n, row, row * n_head)
    q_rope = view_3d(q, n_rope, n_head, n, row, row * n_head, q.type.row_size(nope))
    q_rope = q_rope if positions is None else rope(q_rope, positions)
    latent = swap_middle(mul_mat(b.need(il, "attn_k_b.weight"), swap_middle(q_nope)))
    return concat(latent, q_rope, 0)


def _decompressed(b: Builder, il: int, latent: Node, key: Node, head: int) -> tuple[Node, Node]:
    """K and V of every head."""
    h, n = b.hparams, b.n_tokens
    n_head, n_rope = h.n_head[il], h.n_rot[il]
    nope, width = head - n_rope, h.n_embd_head_v_mla or h.n_embd_head_v[il]
    kv = mul_mat(b.need(il, "attn_kv_b.weight"), latent)
    row = kv.type.row_size(nope + width)
    k_nope = view_3d(kv, nope, n_head, n, row, row * n_head)
    v = cont(view_3d(kv, width, n_head, n, row, row * n_head, kv.type.row_size(nope)))
    k = concat(k_nope, repeat(key, (n_rope, n_head, n, 1)), 0)
    return k, v


def _tempered(inputs: Inputs, q: Node) -> Node:
    return q if inputs.attn_scale is None else mul(q, inputs.attn_scale)


def lead_dense_feed(b: Builder, recipe: Recipe, il: int, x: Node) -> Node:
    """Dense FFN in the leading layers, experts with a shared expert afterwards."""
    if il < b.hparams.n_layer_dense_lead or recipe.moe is None:
        return ffn(b, il, x, recipe.act, scale=recipe.ffn_scale)
    return moe(b, il, x, recipe.moe)


def build(b: Builder, *, precise: bool = False) -> None:
    """DeepSeek V2 and V3 with their descendants; ``precise`` as in ``Moe``."""
    decoder.build(b, _recipe(b, precise=precise))


def build_nextn(b: Builder) -> None:
    """Their nextn layer."""
    nextn.build(b, replace(_recipe(b, precise=False), rows=Rows.NORMED))


def _recipe(b: Builder, *, precise: bool) -> Recipe:
    # GLM 4.7 Flash files may leave the gating function out (load_arch_hparams).
    is_glm_lite = b.hparams.n_layer in (47, 48) and b.hparams.n_vocab == 154880
    routing = Moe(
        gating=Gating.SIGMOID if is_glm_lite else Gating.SOFTMAX,
        gating_key=True,
        norm=None,
        weights_scale=True,
        shared=Shared.PLAIN,
        precise=precise,
    )
    return Recipe(
        keys_only=b.hparams.is_mla,
        attn_temp=True,
        moe=routing,
        output_scale=False,
        attention=latent_attention,
        feed=lead_dense_feed,
    )

"""MiniMax-01: lightning attention with full attention every few layers (src/models/minimax-01.cpp)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder, recurrent
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import layer_norm, project
from omniplan.llamacpp.graph.moe import Moe, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import F32, add, cont, get_rows, mul, mul_mat, rope, scale, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import permute, reshape, swap_middle, view_4d

_RECIPE: Final = Recipe(moe=Moe())


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """Exponents by which heads forget: per head, from a sequence's start, to its end, between its tokens."""

    slopes: Node
    q: Node
    k: Node
    pairs: Node


def _decays(b: Builder) -> Decay:
    heads, n, n_seqs = b.hparams.n_head[0], b.batch.n_seq_tokens, b.batch.n_seqs
    return Decay(
        slopes=b.input("slopes", F32, heads),
        q=b.input("q_decay_exp", F32, 1, heads, n, n_seqs),
        k=b.input("k_decay_exp", F32, 1, heads, n, n_seqs),
        pairs=b.input("diag_decay_exp", F32, n, n, heads, n_seqs),
    )


def build(b: Builder) -> None:
    """Every block adds its scaled, normalised input instead of a residual stream."""
    x = decoder.embed(b, _RECIPE)
    inputs, decay = decoder.shared_inputs(b, _RECIPE), _decays(b)
    for il in range(b.hparams.n_layer):
        cur = layer_norm(b, il, "attn_norm", x)
        mixed = _lightning(b, inputs, decay, il, cur) if b.hparams.is_recr[il] else _attention(b, inputs, il, cur)
        if il == b.hparams.n_layer - 1:
            mixed, cur = get_rows(mixed, inputs.out_ids), get_rows(cur, inputs.out_ids)
        cur = layer_norm(b, il, "ffn_norm", add(mixed, scale(cur)))
        x = add(moe(b, il, cur, Moe()), scale(cur))
    decoder.head(b, _RECIPE, x)


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    q, k, v = attn.qkv_of(b, il, x)
    q, k = rope(q, inputs.positions), rope(k, inputs.positions)
    assert inputs.attention is not None
    return attn.cached(b, inputs.attention, il, q, k, v, out_bias=False)


def _lightning(b: Builder, inputs: Inputs, decay: Decay, il: int, x: Node) -> Node:
    """Linear attention of the whole batch on its sequences' states (gate and output projection included)."""
    n, n_seqs = b.batch.n_seq_tokens, b.batch.n_seqs
    size, heads = b.hparams.n_embd_head_k[il], b.hparams.n_head[il]
    assert inputs.recurrent is not None
    # The cache has room for a convolution state that no operation reads.
    b.graph.expand(recurrent.states(b, inputs.recurrent, "r", il))
    x = reshape(x, x.ne[0], n, 1, n_seqs)
    qkv = reshape(unary("SILU", project(b, il, "attn_qkv", x, scale=False, bias=False)), 3 * size, heads, n, n_seqs)
    parts = [view_4d(qkv, (size, heads, n, n_seqs), *qkv.nb[1:], i * size * qkv.nb[0]) for i in range(3)]
    state = reshape(recurrent.states(b, inputs.recurrent, "s", il), size, size, heads, n_seqs)
    mixed = _mixed(b, decay, il, parts, state)
    mixed = cont(swap_middle(mixed))
    mixed = layer_norm(b, il, "attn_norm_2", reshape(mixed, mixed.ne[0] * mixed.ne[1], mixed.ne[2], 1, mixed.ne[3]))
    gate = unary("SIGMOID", mul_mat(b.need(il, "attn_gate.weight"), x))
    result = mul_mat(b.need(il, "attn_output.weight"), mul(gate, mixed))
    return reshape(result, result.ne[0], b.n_tokens)


def _mixed(b: Builder, decay: Decay, il: int, parts: list[Node], state: Node) -> Node:
    """[size, n_t, heads, n_s]; the new state is stored."""
    q, k, v = parts
    from_state = mul_mat(state, swap_middle(mul(q, _decayed(decay.q))))
    scores = mul(mul_mat(swap_middle(k), swap_middle(q)), _decayed(decay.pairs))
    values = cont(permute(v, 1, 2, 0, 3))
    result = add(from_state, mul_mat(values, scores))
    b.graph.expand(result)
    kept = mul(state, reshape(_decayed(scale(decay.slopes)), 1, 1, b.hparams.n_head[il]))
    keys = cont(permute(mul(k, _decayed(decay.k)), 1, 2, 0, 3))
    recurrent.store(b, add(kept, mul_mat(keys, values)), "s", il, flat=True)
    return result


def _decayed(exponent: Node) -> Node:
    return unary("EXP", scale(exponent))

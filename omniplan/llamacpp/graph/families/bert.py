"""BERT and its kin: encoders that add first and normalise after, without cache and logits (src/models/bert.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm, normed
from omniplan.llamacpp.graph.moe import Moe, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, rope
from omniplan.llamacpp.graph.views import reshape, view_1d

_MOE: Final = Moe(act="GELU", norm=False, weights_scale=True)


def build(
    b: Builder,
    *,
    rotary: bool = False,
    learned_positions: bool = False,
    positions_first: bool = False,
    act: str = "GELU",
    ffn_bias: bool = True,
) -> None:
    """Fill ``b.graph`` with the encoder.

    Positions are rotary, or learned and added to the embeddings, or in the mask alone (ALiBi). ``positions_first``:
    learned ones are looked up before the tokens.
    """
    positions = inp.positions(b)
    learned = get_rows(b.need_shared("position_embd.weight"), positions) if learned_positions else None
    if learned is not None and positions_first:
        b.graph.expand(learned)
    x = _embedded(b, learned)
    mask, out_ids = inp.no_cache_mask(b), inp.output_ids(b)
    for il in range(b.hparams.n_layer):
        mixed = _attention(b, il, x, mask, positions if rotary else None)
        if il == b.hparams.n_layer - 1:
            mixed, x = get_rows(mixed, out_ids), get_rows(x, out_ids)
        cur = layer_norm(b, il, "attn_output_norm", add(mixed, x), "layer")
        if b.layer(il, "attn_norm_2.weight") is not None:
            cur = layer_norm(b, il, "attn_norm_2", add(cur, x), "layer")
        x = layer_norm(b, il, "layer_output_norm", add(_feed(b, il, cur, act, bias=ffn_bias), cur), "layer")
    b.embedding = x
    b.graph.output(x)
    b.graph.expand(x)


def _embedded(b: Builder, learned: Node | None) -> Node:
    x = inp.embeddings(b)
    if (types := b.shared("token_types.weight")) is not None:
        x = add(x, view_1d(types, b.hparams.n_embd))
    if learned is not None:
        x = add(learned, x)
    return normed("layer", x, b.shared("token_embd_norm.weight"), b.shared("token_embd_norm.bias"), 0)


def _attention(b: Builder, il: int, x: Node, mask: Node, positions: Node | None) -> Node:
    q, k, v = attn.qkv_of(b, il, x)
    q, k = _whole_norm(b, il, "attn_q_norm", q), _whole_norm(b, il, "attn_k_norm", k)
    if positions is not None:
        q, k = rope(q, positions), rope(k, positions)
    return attn.uncached(b, mask, il, q, k, v)


def _whole_norm(b: Builder, il: int, stem: str, x: Node) -> Node:
    if b.layer(il, f"{stem}.weight") is None:
        return x
    flat = reshape(x, x.ne[0] * x.ne[1], x.ne[2])
    return reshape(layer_norm(b, il, stem, flat, "layer"), *x.ne[:3])


def _feed(b: Builder, il: int, x: Node, act: str, *, bias: bool) -> Node:
    if b.layer(il, "ffn_gate_inp.weight") is not None:
        return moe(b, il, x, _MOE)
    up = b.need(il, "ffn_up.weight")
    is_packed = b.layer(il, "ffn_gate.weight") is None and up.ne[1] != b.hparams.n_ff[il]
    return ffn(b, il, x, "GEGLU" if is_packed else act, bias=bias)

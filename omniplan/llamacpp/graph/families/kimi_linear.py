"""Kimi Linear: KDA, with latent attention every few layers (src/models/kimi-linear.cpp).

KDA is a delta rule whose decay differs by channel, behind three short convolutions; kimi-k3.cpp, glm5-next.cpp and
bailingmoe3.cpp build it too (``build_kda_layer``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import recurrent
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek2 import absorbed, compressed, flat_query, lead_dense_feed
from omniplan.llamacpp.graph.families.delta_net_base import Delta, mixed, unit
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Moe, Shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, concat, cont, cont_2d, cpy, mul, mul_mat, scale, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape, transpose, view_2d, view_3d

_PARTS: Final = ("q", "k", "v")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kda:
    """How an architecture builds KDA.

    decay: "softplus", "bounded" by a sigmoid, or "bounded_negated" (softplus when the header has no
      ``kda.gate_lower_bound``). flat: the new states are stored as one vector. reshapes: the gate reads the layer input
      through two reshapes. fused: one weight may hold Q, K and V. by_token: only those earlier states are written that
      the batch has a token for.
    """

    decay: str
    flat: bool = False
    reshapes: bool = False
    fused: bool = False
    by_token: bool = False


def kda(b: Builder, facts: Kda, inputs: RecurrentInput | None, il: int, x: Node) -> Node:
    """The layer's mixer with its output projection: [n_embd, n_tokens]."""
    assert inputs is not None
    h, n, n_seqs = b.hparams, b.batch.n_seq_tokens, b.batch.n_seqs
    size, heads = h.n_embd_head_kda, h.n_head[0]
    kept = recurrent.states(b, inputs, "r", il)
    slots = recurrent.written_slots(b) if facts.by_token else range(1 + b.context.n_rs_seq)
    q, k, v = (_convolved(b, il, kept, i, y, slots) for i, y in enumerate(_projected(b, facts, il, x)))
    decay = reshape(_decay(b, facts, il, x), size, heads, n, n_seqs)
    beta = unary("SIGMOID", reshape(mul_mat(b.need(il, "ssm_beta.weight"), x), 1, heads, n, n_seqs))
    state = reshape(recurrent.states(b, inputs, "s", il), size, size, heads, n_seqs)
    operands = Delta(q=unit(q), k=unit(k), v=v, decay=decay, beta=beta, state=state)
    output = reshape(cont(mixed(b, il, operands, flat=facts.flat)), size, heads, b.n_tokens)
    output = layer_norm(b, il, "ssm_norm", output)
    gate = reshape(_gate(b, facts, il, x), size, heads, b.n_tokens)
    output = cont_2d(mul(output, unary("SIGMOID", gate)), size * heads, b.n_tokens)
    return mul_mat(b.need(il, "attn_output.weight"), output)


def _projected(b: Builder, facts: Kda, il: int, x: Node) -> list[Node]:
    fused = b.layer(il, "attn_qkv.weight") if facts.fused else None
    if fused is None:
        return [mul_mat(b.need(il, f"attn_{part}.weight"), x) for part in _PARTS]
    y, width = mul_mat(fused, x), b.hparams.n_embd_head_kda * b.hparams.n_head[0]
    return [cont(view_2d(y, width, b.n_tokens, y.nb[1], i * width * y.nb[0])) for i in range(3)]


def _convolved(b: Builder, il: int, kept: Node, index: int, x: Node, slots: Iterable[int]) -> Node:
    """A causal convolution of one of Q, K and V, whose window is stored in its third of the state."""
    n, n_seqs = b.batch.n_seq_tokens, b.batch.n_seqs
    size, heads = b.hparams.n_embd_head_kda, b.hparams.n_head[0]
    width, n_kept = size * heads, b.hparams.ssm_d_conv - 1
    row = kept.type.row_size
    strides, third = (row(n_kept), row(3 * n_kept * width)), index * row(n_kept * width)
    window = concat(
        view_3d(kept, n_kept, width, n_seqs, *strides, third),
        transpose(reshape(x, width, n, n_seqs)),
        0,
    )
    for slot in slots:
        last = view_3d(window, n_kept, width, n_seqs, window.nb[1], window.nb[2], max(n - slot, 0) * window.nb[0])
        at = third + slot * b.context.n_seq_max * row(3 * n_kept * width)
        b.graph.expand(cpy(last, view_3d(b.cache("r", il), n_kept, width, n_seqs, *strides, at)))
    kernel = reshape(b.need(il, f"ssm_conv1d_{_PARTS[index]}.weight"), n_kept + 1, width)
    y = unary("SILU", reshape(ssm_conv(window, kernel), width, b.n_tokens))
    return reshape(y, size, heads, n, n_seqs)


def _decay(b: Builder, facts: Kda, il: int, x: Node) -> Node:
    size, heads = b.hparams.n_embd_head_kda, b.hparams.n_head[0]
    rate = add(_low_rank(b, il, "ssm_f", x), b.need(il, "ssm_dt.bias"))
    factor = reshape(b.need(il, "ssm_a"), 1, heads)
    is_bounded = facts.decay == "bounded" or (
        facts.decay == "bounded_negated" and b.model.key("kda.gate_lower_bound") is not None
    )
    if not is_bounded:
        return mul(reshape(unary("SOFTPLUS", rate), size, heads, b.n_tokens), factor)
    rate = mul(reshape(rate, size, heads, b.n_tokens), factor)
    return scale(unary("SIGMOID", scale(rate) if facts.decay == "bounded_negated" else rate))


def _gate(b: Builder, facts: Kda, il: int, x: Node) -> Node:
    if facts.reshapes:
        x = reshape(reshape(x, x.ne[0], b.batch.n_seq_tokens, b.batch.n_seqs), x.ne[0], b.n_tokens)
    whole = b.layer(il, "ssm_g.weight")
    return _low_rank(b, il, "ssm_g", x) if whole is None else mul_mat(whole, x)


def _low_rank(b: Builder, il: int, stem: str, x: Node) -> Node:
    """``x`` through ``<stem>_a`` and, where the file has it, ``<stem>_b``."""
    y, second = mul_mat(b.need(il, stem + "_a.weight"), x), b.layer(il, stem + "_b.weight")
    return y if second is None else mul_mat(second, y)


def latent(b: Builder, inputs: Inputs, il: int, x: Node, positions: Node | None, out: str = "") -> Node:
    """Absorbed latent attention, rotated only if there are ``positions``."""
    h = b.hparams
    q = absorbed(b, il, flat_query(b, il, x), positions, h.n_embd_head_k_mla)
    row, key = compressed(b, il, x, positions)
    row = reshape(row, h.n_lora_kv, 1, b.n_tokens)
    assert inputs.attention is not None
    v_mla = b.need(il, "attn_v_b.weight")
    return attn.cached(b, inputs.attention, il, q, concat(row, key, 0), row, v_mla=v_mla, out=out, out_bias=False)


_FACTS: Final = Kda(decay="softplus", flat=True, reshapes=True, fused=True)


def _block(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    if b.hparams.is_recr[il]:
        return kda(b, _FACTS, inputs.recurrent, il, x)
    return latent(b, inputs, il, x, None, out="attn_output")


RECIPE: Final = Recipe(
    norm_first=True,
    keys_only=True,
    attention=_block,
    feed=lead_dense_feed,
    moe=Moe(gating_key=True, weights_scale=True, shared=Shared.PLAIN),
    output_scale=False,
    output_bias=False,
)

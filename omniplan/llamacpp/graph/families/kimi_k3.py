"""Kimi K3: KDA and gated latent attention; the residual stream attends to earlier ones (src/models/kimi-k3.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.kimi_linear import Kda, kda, latent
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.kernels import dsv4_hc_pre
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, concat, cont, get_rows, mul, mul_mat, rms_norm, soft_max, sum_rows, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape, view_2d

_MOE: Final = Moe(act="SITU", gating_key=True, norm=None, weights_scale=True)
_KDA: Final = Kda(decay="bounded_negated", reshapes=True)
_RECIPE: Final = Recipe(keys_only=True, output_scale=False, output_bias=False)


class _Stack:
    """Residual streams banked every few layers; later ones attend to them."""

    def __init__(self, b: Builder) -> None:
        self.n_token = b.n_tokens
        self.period = b.count("attn_res.block_size")
        self.banked: Node | None = None

    def push(self, x: Node) -> None:
        x = reshape(x, x.ne[0], 1, self.n_token)
        self.banked = x if self.banked is None else concat(self.banked, x, 1)

    def mix(self, x: Node, weight: Callable[[], Node]) -> Node:
        """``x`` and all banked streams, weighted by a soft-max of their scores."""
        if not self.period or self.banked is None:
            return x
        n = self.banked.ne[1]
        scores = concat(reshape(_score(self.banked, weight()), n, self.n_token), _score(x, weight()), 0)
        probs = soft_max(scores)
        banked, current = (
            cont(view_2d(probs, size, self.n_token, probs.nb[1], at * probs.nb[0])) for size, at in ((n, 0), (1, n))
        )
        return add(dsv4_hc_pre(self.banked, banked), mul(x, current))


def _score(x: Node, weight: Node) -> Node:
    return sum_rows(mul(rms_norm(x), weight))


def build(b: Builder) -> None:
    """The whole decoder."""
    x = decoder.embed(b, _RECIPE)
    inputs, stack = decoder.shared_inputs(b, _RECIPE), _Stack(b)
    for il in range(b.hparams.n_layer):
        x = _layer(b, inputs, stack, il, x)
    x = stack.mix(x, lambda: b.need_shared("output_res_score.weight", b.hparams.n_layer_all))
    decoder.head(b, _RECIPE, get_rows(x, inputs.out_ids))


def _layer(b: Builder, inputs: Inputs, stack: _Stack, il: int, x: Node) -> Node:
    cur = stack.mix(x, lambda: b.need(il, "attn_res_score.weight"))
    is_banked = stack.period > 0 and il % stack.period == 0
    if is_banked:
        stack.push(x)
    cur = layer_norm(b, il, "attn_norm", cur)
    b.graph.expand(cur)
    cur = kda(b, _KDA, inputs.recurrent, il, cur) if b.hparams.is_recr[il] else _attention(b, inputs, il, cur)
    x = cur if is_banked else add(x, cur)
    cur = stack.mix(x, lambda: b.need(il, "ffn_res_score.weight"))
    cur = layer_norm(b, il, "ffn_norm", cur)
    is_dense = il < b.hparams.n_layer_dense_lead
    return add(x, ffn(b, il, cur, "SITU", bias=False) if is_dense else _experts(b, il, cur))


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    result, gate = latent(b, inputs, il, x, None), b.layer(il, "attn_gate.weight")
    if gate is not None:
        result = mul(result, unary("SIGMOID", mul_mat(gate, x)))
    return mul_mat(b.need(il, "attn_output.weight"), result)


def _experts(b: Builder, il: int, x: Node) -> Node:
    """Routed experts in a narrower space, the shared one in the full width."""
    down, up = b.layer(il, "ffn_routed_down.weight"), b.layer(il, "ffn_routed_up.weight")
    inner = x if down is None else mul_mat(down, x)
    result = routed(b, il, inner, _MOE, logits=mul_mat(b.need(il, "ffn_gate_inp.weight"), x))
    if b.layer(il, "ffn_routed_norm.weight") is not None:
        result = layer_norm(b, il, "ffn_routed_norm", result)
    result = result if up is None else mul_mat(up, result)
    if b.layer(il, "ffn_gate_shexp.weight") is None:
        return result
    return add(result, ffn(b, il, x, "SITU", suffix="_shexp", bias=False))

"""Decoders whose layers are wired differently, built from the common blocks (src/models/NAME.cpp of each)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import activate, ffn, projected
from omniplan.llamacpp.graph.linear import layer_norm, project
from omniplan.llamacpp.graph.moe import Moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul, mul_mat, rms_norm, rope
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape, view_3d

Layer = Callable[[Inputs, int, Node], Node]

_THIN_MOE: Final = Moe(act="RELU", gating_key=True)


def _stack(b: Builder, recipe: Recipe, x: Node, layer: Layer) -> None:
    """All layers over the embeddings ``x``, then the head."""
    inputs = decoder.shared_inputs(b, recipe)
    for il in range(b.hparams.n_layer):
        x = layer(inputs, il, x)
    decoder.head(b, recipe, x)


def openelm(b: Builder) -> None:
    """OpenELM: heads of one fused tensor, attention's output added to the residual."""
    recipe = Recipe(qkv=_by_heads, qk_norm="before", out_bias=False)

    def layer(inputs: Inputs, il: int, x: Node) -> Node:
        mixed = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
        if il == b.hparams.n_layer - 1:
            x, mixed = get_rows(x, inputs.out_ids), get_rows(mixed, inputs.out_ids)
        hidden = add(x, mixed)
        return add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden)), hidden)

    _stack(b, recipe, decoder.embed(b, recipe), layer)


def _by_heads(b: Builder, il: int, x: Node) -> tuple[Node, Node, Node]:
    h, n = b.hparams, b.n_tokens
    counts, size = (h.n_head[il], h.n_head_kv[il], h.n_head_kv[il]), h.n_embd_head_k[il]
    heads = reshape(mul_mat(b.need(il, "attn_qkv.weight"), x), size, sum(counts), n)
    parts, first = [], 0
    for count in counts:
        parts.append(view_3d(heads, size, count, n, heads.nb[1], heads.nb[2], heads.nb[1] * first))
        first += count
    return parts[0], parts[1], parts[2]


def smallthinker(b: Builder) -> None:
    """SmallThinker: the router reads what enters the layer, before attention."""
    # llama.cpp rotates everywhere when the layers are as many as its step.
    skips_rope = b.hparams.n_swa > 0 and b.hparams.n_layer != 4
    recipe = Recipe(rope="not_first_of_4" if skips_rope else "all")

    def layer(inputs: Inputs, il: int, x: Node) -> Node:
        scores = mul_mat(b.need(il, "ffn_gate_inp.weight"), x)
        mixed = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
        if il == b.hparams.n_layer - 1:
            mixed, x, scores = (get_rows(node, inputs.out_ids) for node in (mixed, x, scores))
        hidden = add(mixed, x)
        cur = layer_norm(b, il, "ffn_norm", hidden)
        return add(routed(b, il, cur, _THIN_MOE, logits=scores), hidden)

    _stack(b, recipe, decoder.embed(b, recipe), layer)


def talkie(b: Builder) -> None:
    """Talkie: norms without weights, and the embeddings join every layer's output."""
    recipe = Recipe(
        embedding="norm",
        qk_norm="after",
        out_bias=False,
        feed=_down_scaled,
        logit_scale="always",
        output_scale=False,
    )
    embedded = decoder.embed(b, recipe)

    def layer(inputs: Inputs, il: int, x: Node) -> Node:
        cur = decoder.layer(b, recipe, inputs, il, x)
        skipped = get_rows(embedded, inputs.out_ids) if il == b.hparams.n_layer - 1 else embedded
        return add(cur, mul(skipped, b.need(il, "layer_output_scale.weight")))

    _stack(b, recipe, embedded, layer)


def _down_scaled(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    up, gate = (project(b, il, f"ffn_{part}", x, scale=False) for part in ("up", "gate"))
    return projected(b, il, activate(b, il, "SILU", gate, up), scale=True)


def hrm_text(b: Builder) -> None:
    """HRM: a low and a high stack of layers run in turns; every turn has its own cache slots, weights are shared."""
    size, rounds, low_turns = (int(b.number(f"hrm.{key}")) for key in ("layers_per_stack", "h_cycles", "l_cycles"))
    recipe = Recipe(output_bias=False)
    high = decoder.embed(b, recipe)
    low = b.need_shared("hrm.z_l_init", 0)
    inputs = decoder.shared_inputs(b, recipe)
    slot = 0
    for _ in range(rounds):
        for _ in range(low_turns):
            low = _turn(b, inputs, add(high, low), slot, 0, size)
            slot += size
        high = _turn(b, inputs, add(high, low), slot, size, size)
        slot += size
    decoder.unembed(b, recipe, get_rows(high, inputs.out_ids))


def _turn(b: Builder, inputs: Inputs, x: Node, slot: int, first: int, size: int) -> Node:
    """One pass through a stack: layers ``first`` onwards with the caches (and scales) of ``slot`` onwards."""
    assert inputs.attention is not None
    for i in range(size):
        il, cache_il = first + i, slot + i
        cur = rms_norm(x)
        q, k, v = attn.qkv_of(b, il, cur, scale_of=cache_il)
        q, k = rope(q, inputs.positions), rope(k, inputs.positions)
        attended = attn.gated(b, il, cur, attn.cached(b, inputs.attention, cache_il, q, k, v, out=""), "SIGMOID")
        x = add(project(b, il, "attn_output", attended, bias=False, scale_of=cache_il), x)
        x = add(ffn(b, il, rms_norm(x)), x)
    return rms_norm(x)


FAMILIES: Final[dict[str, Callable[[Builder], None]]] = {
    "hrm_text": hrm_text,
    "openelm": openelm,
    "smallthinker": smallthinker,
    "talkie": talkie,
}

"""The common shape of decoders: embeddings, layers of attention and feed-forward, final norm and logits.

Upstream: the ``graph::graph`` constructors of src/models/*.cpp, which repeat this shape with small differences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from omniplan.domain.params import Pooling
from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.linear import layer_norm, normed, project, scaled
from omniplan.llamacpp.graph.moe import moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, concat, get_rows, mul, mul_mat, repeat, rope, scale, unary
from omniplan.llamacpp.graph.recipe import Attention, Embedding, Inputs, QkNorm, Recipe, Rope, Rows, When
from omniplan.llamacpp.graph.views import reshape, view_1d

_BAICHUAN_7B_LAYERS: Final = 32
Mixer = Callable[[Builder, RecurrentInput, int, Node], Node]


def build(b: Builder, recipe: Recipe, block: Attention | None = None) -> None:
    """Fill ``b.graph`` with the decoder that ``recipe`` describes; ``block`` replaces its layers."""
    deepstack = recipe.deepstack(b) if recipe.deepstack else None
    rows = inp.chosen_rows(b, deepstack)
    x = embed(b, recipe, rows, deepstack)
    inputs = shared_inputs(b, recipe)
    for il in range(b.hparams.n_layer):
        if deepstack is not None and deepstack.slot_of[il] >= 0:
            x = add(x, inp.deepstack_row(b, rows, deepstack.slot_of[il]))
        x = (block or layer)(b, recipe, inputs, il, x)
    if recipe.rows is Rows.END:
        b.graph.output(x)
        x = get_rows(x, inputs.out_ids)
    head(b, recipe, x, inputs.out_ids)


def shared_inputs(b: Builder, recipe: Recipe) -> Inputs:
    """The inputs that layers of this decoder may read."""
    return Inputs(
        positions=inp.positions(b, recipe.positions or inp.position_count(b)),
        out_ids=inp.output_ids(b),
        attention=inp.attention(b, keys_only=recipe.keys_only) if recipe.cache else None,
        batch_mask=None if recipe.cache else inp.no_cache_mask(b),
        batch_window=None if recipe.cache else inp.no_cache_mask(b, "self_kq_mask_swa"),
        recurrent=inp.recurrent(b) if b.cached_layers("r") else None,
        attn_scale=inp.attention_scale(b) if recipe.attn_temp and b.number("attention.temperature_scale") else None,
    )


def embed(b: Builder, recipe: Recipe, rows: Node | None = None, deepstack: inp.Deepstack | None = None) -> Node:
    """Token embeddings, scaled or normalised as the architecture wants; ``rows`` are the input rows, if known."""
    factor = header_number(b, recipe, "embedding_scale")
    scale_tokens = recipe.embedding is Embedding.SCALED_TOKENS
    x = inp.embeddings(b, scale_tokens=scale_tokens, factor=factor, deepstack=deepstack, chosen=rows)
    if recipe.embedding is Embedding.SCALED:
        return scale(x)
    if recipe.embedding is Embedding.NORMED:
        return normed(recipe.norm, x, b.shared("token_embd_norm.weight"), b.shared("token_embd_norm.bias"), 0)
    if recipe.embedding is Embedding.POSITIONS and (table := b.shared("position_embd.weight")) is not None:
        return add(x, get_rows(table, inp.positions(b)))
    return x


def layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """One layer: attention and FFN, in sequence or in parallel, around the residual stream."""
    cur = layer_norm(b, il, recipe.attn_norm, x, recipe.norm) if recipe.attn_norm else x
    if recipe.norm_first:
        b.graph.expand(cur)
    second = recipe.parallel and b.layer(il, "attn_norm_2.weight") is not None
    source = layer_norm(b, il, "attn_norm_2", x, recipe.norm) if second else cur
    mixed = (recipe.attention or attention)(b, recipe, inputs, il, source)
    is_last = il == b.last_layer
    if recipe.rows is Rows.LAST and is_last:
        mixed = get_rows(mixed, inputs.out_ids)
        x = get_rows(x, inputs.out_ids)
        if recipe.parallel:
            cur = get_rows(cur, inputs.out_ids)
    if recipe.parallel:
        return _parallel(b, recipe, il, x, cur, mixed)
    if recipe.post_attn_norm:
        mixed = layer_norm(b, il, recipe.post_attn_norm, mixed, recipe.norm, pin=il if recipe.post_attn_pin else -1)
    if recipe.rows is Rows.POST_NORM and is_last:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
    hidden = _join(b, recipe, mixed, x, residual_first=recipe.residual_first)
    if not recipe.has_ffn:
        return hidden
    cur = layer_norm(b, il, recipe.ffn_norm, hidden, recipe.norm) if recipe.ffn_norm else hidden
    cur = (recipe.feed or feed)(b, recipe, il, cur)
    if recipe.post_ffn_norm:
        cur = layer_norm(b, il, recipe.post_ffn_norm, cur, recipe.norm, pin=il if recipe.post_ffn_pin else -1)
    return _join(b, recipe, cur, hidden, residual_first=recipe.residual_first or recipe.ffn_residual_first)


def _parallel(b: Builder, recipe: Recipe, il: int, x: Node, normed_x: Node, mixed: Node) -> Node:
    source = layer_norm(b, il, recipe.ffn_norm, x, recipe.norm) if recipe.ffn_norm else normed_x
    cur = (recipe.feed or feed)(b, recipe, il, source)
    terms = {"ffn": cur, "attn": mixed, "x": x}
    if recipe.parallel == "ffn+(attn+x)":
        return add(cur, add(mixed, x))
    first, second, third = (terms[name] for name in recipe.parallel.split("+"))
    return add(add(first, second), third)


def _join(b: Builder, recipe: Recipe, cur: Node, residual: Node, *, residual_first: bool) -> Node:
    cur = _residual(b, recipe, cur)
    return add(residual, cur) if residual_first else add(cur, residual)


def _residual(b: Builder, recipe: Recipe, x: Node) -> Node:
    return scale(x) if _is_taken(recipe.residual_scale, header_number(b, recipe, "residual_scale")) else x


def _is_taken(when: When, value: float) -> bool:
    return when is When.ALWAYS or (when is When.HEADER and value != 0)


def header_number(b: Builder, recipe: Recipe, key: str) -> float:
    """The number ``<arch>.<key>``, or what the loader assumes without it."""
    return b.number(key, recipe.defaults.get(key, 0.0))


def attention(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Multi-head attention over the KV cache, or over the batch where there is none, with rotary positions."""
    q, k, v = recipe.qkv(b, il, x) if recipe.qkv else _qkv(b, recipe, il, x)
    if recipe.qk_norm is QkNorm.BEFORE:
        q, k = _head_norm(b, recipe, il, "attn_q_norm", q), _head_norm(b, recipe, il, "attn_k_norm", k)
    if _HAS_ROPE[recipe.rope](b, il):
        factors = b.rope_factors(il) if _has_factors(b, recipe, il) else None
        q, k = rope(q, inputs.positions, factors), rope(k, inputs.positions, factors)
    if recipe.qk_norm is QkNorm.AFTER:
        q, k = (layer_norm(b, il, f"attn_{p}_norm", y, recipe.qk_norm_kind) for p, y in (("q", q), ("k", k)))
    if recipe.q_scale:
        q = scale(q)
    if inputs.attn_scale is not None:
        q = mul(q, inputs.attn_scale)
    is_gated = recipe.out_gate != "" and b.layer(il, "attn_gate.weight") is not None
    out = "" if is_gated else "attn_output"
    if inputs.attention is None:
        mask = inputs.batch_window if b.hparams.is_swa[il] else inputs.batch_mask
        assert mask is not None
        result = attn.uncached(b, mask, il, q, k, v, out=out, out_bias=recipe.out_bias)
    else:
        sinks = b.layer(il, "attn_sinks.weight") if recipe.sinks else None
        result = attn.cached(
            b, inputs.attention, il, q, k, v, sinks=sinks, softcap=recipe.softcap, out=out, out_bias=recipe.out_bias
        )
    if not is_gated:
        return result
    return project(b, il, "attn_output", attn.gated(b, il, x, result, recipe.out_gate), bias=recipe.out_bias)


def mixing(mixer: Mixer, otherwise: Attention = attention) -> Attention:
    """``mixer`` in recurrent layers, attention in the others."""

    def block(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        if b.hparams.is_recr[il]:
            assert inputs.recurrent is not None
            return mixer(b, inputs.recurrent, il, x)
        return otherwise(b, recipe, inputs, il, x)

    return block


def _head_norm(b: Builder, recipe: Recipe, il: int, stem: str, x: Node) -> Node:
    # Larger siblings of an architecture may have these norms alone (glm4moe, stablelm, command-r).
    return x if b.layer(il, stem + ".weight") is None else layer_norm(b, il, stem, x, recipe.qk_norm_kind)


_HAS_ROPE: Final[Mapping[Rope, Callable[[Builder, int], bool]]] = {
    Rope.ALL: lambda *_: True,
    Rope.NONE: lambda *_: False,
    Rope.SLIDING: lambda b, il: b.hparams.is_swa[il],
    Rope.SLIDING_IF_ANY: lambda b, il: b.hparams.is_swa[il] or not b.hparams.n_swa,
    Rope.SLIDING_OR_LEAD: lambda b, il: b.hparams.is_swa[il] or il < b.hparams.n_layer_dense_lead,
    Rope.NOT_LAST_OF_4: lambda _, il: (il + 1) % 4 != 0,
    Rope.NOT_FIRST_OF_4: lambda _, il: il % 4 != 0,
    Rope.FINETUNED: lambda b, _: b.flag("rope.scaling.finetuned", default=True),
    Rope.AT_32_LAYERS: lambda b, _: b.hparams.n_layer == _BAICHUAN_7B_LAYERS,
    Rope.PATTERN: lambda b, il: b.number_at("attention.rope_pattern", il, 1.0) != 0,
}


def _has_factors(b: Builder, recipe: Recipe, il: int) -> bool:
    return recipe.rope_factors and (recipe.rope_factors_sliding or not b.hparams.is_swa[il])


def _qkv(b: Builder, recipe: Recipe, il: int, x: Node) -> list[Node]:
    is_whole = recipe.qk_norm is QkNorm.WHOLE
    if not (is_whole or recipe.qkv_copied):
        return [*attn.qkv_of(b, il, x)]
    q, k, v = attn.flat_qkv(b, il, x)
    if is_whole:
        q, k = (layer_norm(b, il, f"attn_{p}_norm", y, recipe.qk_norm_kind) for p, y in (("q", q), ("k", k)))
    return [reshape(y, *heads, b.n_tokens) for y, heads in zip((q, k, v), attn.heads_of(b, il), strict=True)]


def feed(b: Builder, recipe: Recipe, il: int, x: Node) -> Node:
    """Routed experts where the layer owns a router, a dense FFN elsewhere."""
    if recipe.moe is not None and b.layer(il, "ffn_gate_inp.weight") is not None:
        return moe(b, il, x, recipe.moe)
    return ffn(b, il, x, recipe.act, gate=recipe.gate, scale=recipe.ffn_scale, bias=recipe.ffn_bias)


def head(b: Builder, recipe: Recipe, x: Node, out_ids: Node | None = None) -> None:
    """Final norm and logits; the output weight falls back to the token embeddings, held by the output device."""
    device = b.hparams.n_layer_all
    norm_weight, norm_bias = (b.shared(f"{recipe.output_norm}.{part}", device) for part in ("weight", "bias"))
    x = normed(recipe.norm, x, norm_weight, norm_bias, -1)
    unembed(b, recipe, x, out_ids)


def unembed(b: Builder, recipe: Recipe, x: Node, out_ids: Node | None = None) -> None:
    """The end of a graph: final embeddings ``x`` times the output weight, scaled and bounded."""
    device = b.hparams.n_layer_all
    b.graph.output(x)
    if recipe.rows is Rows.NORMED and out_ids is not None:
        x = get_rows(x, out_ids)
    if not recipe.logits:
        b.graph.expand(x)
        b.embedding = x
        return
    _embedding(b, recipe, x)
    if b.context.build.rules.drops_pooled_logits and b.context.pooling not in (None, Pooling.NONE):
        return
    if recipe.hidden_scale:
        x = scale(x)
    tied = -1 if recipe.input_head else device
    weight = b.shared("output.weight", device) or b.need_shared("token_embd.weight", tied)
    logits = scaled(weight, x, b.shared("output.scale", device) if recipe.output_scale else None)
    bias = b.shared("output.bias", device) if recipe.output_bias else None
    logits = logits if bias is None else add(logits, bias)
    if recipe.logit_pad:
        logits = _padded_logits(b, logits)
    if _is_taken(recipe.logit_scale, b.number("logit_scale")):
        logits = scale(logits)
    if _is_taken(recipe.logit_softcap, b.number("final_logit_softcapping")):
        logits = scale(unary("TANH", scale(logits)))
    b.graph.output(logits)
    b.graph.expand(logits)


def _padded_logits(b: Builder, logits: Node) -> Node:
    missing = b.need_shared("token_embd.weight").ne[1] - logits.ne[0]
    if missing <= 0:
        return logits
    one = scale(view_1d(b.need_shared("output_norm.weight", b.hparams.n_layer_all), 1))
    return concat(repeat(one, (missing, logits.ne[1], 1, 1)), logits, 0)


def _embedding(b: Builder, recipe: Recipe, x: Node) -> None:
    """The embedding that is a result of its own: ``x``, or what ``cls.output`` makes of it."""
    weight = b.shared("cls.output.weight", b.hparams.n_layer_all) if recipe.embedding_out else None
    b.embedding = x
    if weight is None:
        b.graph.output(x)
        return
    bias = b.shared("cls.output.bias", b.hparams.n_layer_all)
    embedding = mul_mat(weight, x) if bias is None else add(mul_mat(weight, x), bias)
    b.graph.output(embedding)
    b.graph.expand(embedding)
    b.embedding = embedding

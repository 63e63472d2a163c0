"""DeepSeek V4: windows and compressed caches, an indexer over the finer one, hyper-connected streams.

Upstream: src/models/deepseek4.cpp.
"""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder, hyper, nextn
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families import deepseek4_compressor as comp
from omniplan.llamacpp.graph.indexer import best, by_stream, sparse_mask
from omniplan.llamacpp.graph.kernels import dsv4_hc_comb, dsv4_hc_post, dsv4_hc_pre
from omniplan.llamacpp.graph.linear import layer_norm, normed, project, scaled
from omniplan.llamacpp.graph.moe import Gating, Moe, Shared, routed, shared
from omniplan.llamacpp.graph.node import WEIGHT, Dims, Node, strides
from omniplan.llamacpp.graph.ops import (
    F16,
    F32,
    I64,
    add,
    concat,
    cont,
    cont_2d,
    div,
    fill,
    get_rows,
    mul,
    mul_mat,
    rms_norm,
    rope,
    rope_back,
    scale,
    soft_max,
    sum_rows,
    unary,
)
from omniplan.llamacpp.graph.recipe import Recipe
from omniplan.llamacpp.graph.views import permute, reshape, swap_middle, view_2d

_ROUTING: Final = Moe(gating=Gating.SQRT_SOFTPLUS, gating_key=True, norm=None, weights_scale=True, shared=Shared.PLAIN)


def build(b: Builder) -> None:
    """The whole decoder."""
    x = inp.embeddings(b)
    attention = _Attention(b)
    out_ids = inp.output_ids(b)
    x = hyper.streams(b, x)
    for il in range(b.hparams.n_layer):
        mix = _Mix(b, il, "attn", x)
        cur = attention(b, il, layer_norm(b, il, "attn_norm", mix.before))
        x = mix.after(b, cur)
        mix = _Mix(b, il, "ffn", x)
        for node in (x, mix.post, mix.comb):
            b.graph.expand(node)
        x = mix.after(b, _feed(b, il, layer_norm(b, il, "ffn_norm", mix.before)))
        x.name = "l_last"
    x = hyper.selected(x, out_ids)
    mixer = hyper.head_mixer(b)
    x = hyper.reduced(x, hyper.head_weights(hyper.mixes(x, mixer.matrix), mixer))
    decoder.head(b, Recipe(output_scale=False), x)


def build_nextn(b: Builder) -> None:
    """The nextn layer: the same around attention over its window, or all cells, without compressed ones."""
    il, n = b.hparams.n_layer, b.n_tokens
    n_embd, n_stream = b.hparams.n_embd, hyper.count(b)
    hidden = b.input("mtp_h_input", F32, n_embd * n_stream, n)
    state = layer_norm(b, il, "nextn.hnorm", reshape(hidden, n_embd, n_stream, n))
    token = hyper.streams(b, layer_norm(b, il, "nextn.enorm", nextn.looked_up(b, il)))
    x = project(b, il, "nextn.eh_proj", concat(token, state, 0), bias=False)
    positions, out_ids, given = inp.positions(b), inp.output_ids(b), inp.attention(b, keys_only=True, sliding=True)
    mix = _Mix(b, il, "attn", x)
    latent = _Latent(b, il, layer_norm(b, il, "attn_norm", mix.before), positions)
    attended = attn.cached(b, given, il, latent.q, latent.kv, latent.kv, sinks=b.layer(il, "attn_sinks.weight"), out="")
    x = mix.after(b, latent.projected(b, il, attended, positions))
    mix = _Mix(b, il, "ffn", x)
    x = mix.after(b, _feed(b, il, layer_norm(b, il, "ffn_norm", mix.before)))
    rows = get_rows(reshape(x, x.ne[0] * x.ne[1], n), out_ids)
    b.graph.output(rows)
    x, mixer = reshape(rows, *x.ne[:2], out_ids.ne[0]), hyper.head_mixer(b)
    x = hyper.reduced(x, hyper.head_weights(hyper.mixes(x, mixer.matrix), mixer))
    x = normed("rms", x, nextn.head_norm(b, il), None, -1)
    b.graph.output(x)
    nextn.unembed(b, il, x)


class _Latent:
    """Q and the one K and V of every token, normalised and rotated, and how attended values leave."""

    def __init__(self, b: Builder, il: int, x: Node, positions: Node) -> None:
        head, n_head, n = b.hparams.n_embd_head_k[il], b.hparams.n_head[il], b.n_tokens
        self.row = layer_norm(b, il, "attn_q_a_norm", scaled(b.need(il, "attn_q_a.weight"), x, None))
        q = reshape(scaled(b.need(il, "attn_q_b.weight"), self.row, None), head, n_head, n)
        self.q = rope(rms_norm(q), positions)
        kv = layer_norm(b, il, "attn_kv_a_norm", scaled(b.need(il, "attn_kv.weight"), x, None))
        self.kv = rope(reshape(kv, head, 1, n), positions)

    def projected(self, b: Builder, il: int, attended: Node, positions: Node) -> Node:
        """The output projection of values that are rotated back."""
        head, n_head = b.hparams.n_embd_head_k[il], b.hparams.n_head[il]
        return _projected(b, il, rope_back(reshape(attended, head, n_head, b.n_tokens), positions), head * n_head)


def _feed(b: Builder, il: int, x: Node) -> Node:
    """Experts, chosen by token id in the leading layers, and the shared expert."""
    given = None
    if il < b.count("hash_layer_count"):
        tokens = next(leaf for leaf in b.graph.leafs if leaf.name == "inp_tokens")
        given = get_rows(b.need(il, "ffn_gate_tid2eid.weight"), tokens)
    return add(routed(b, il, x, _ROUTING, given=given), shared(b, il, x, _ROUTING))


class _Mix:
    """A hyper-connection around one block: what enters it, and the weights that spread its output."""

    def __init__(self, b: Builder, il: int, block: str, x: Node) -> None:
        mix, n_stream = hyper.mixer(b, il, block), hyper.count(b)
        mixes = hyper.mixes(x, mix.matrix)
        self._residual, self._il = x, il
        self.post = scale(unary("SIGMOID", hyper.part(mixes, mix, n_stream, 1, n_stream)))
        self.comb = _comb(b, il, mixes, mix, n_stream)
        weights = hyper.weights_before(mixes, mix, n_stream)
        self.before = dsv4_hc_pre(x, weights) if b.context.fused_hc_pre else hyper.reduced(x, weights)
        self.before.il = il

    def after(self, b: Builder, block: Node) -> Node:
        """The streams, mixed among themselves, plus their shares of the block's output."""
        if b.context.fused_hc_post:
            result = dsv4_hc_post(block, self._residual, self.post, self.comb)
        else:
            result = _spread(block, self._residual, self.post, self.comb)
        result.il = self._il
        return result


def _comb(b: Builder, il: int, mixes: Node, mix: hyper.Mixer, n_stream: int) -> Node:
    """How streams mix: a square matrix per token whose rows and columns sum to one."""
    if b.context.fused_hc_comb:
        result = dsv4_hc_comb(mixes, mix.scale, mix.base, n_stream)
        result.il = il
        return result
    square = n_stream * n_stream
    comb = soft_max(reshape(hyper.part(mixes, mix, 2 * n_stream, 2, square), n_stream, n_stream, mixes.ne[1]))
    one: Dims = (1, 1, 1, 1)
    eps = fill(Node("NONE", F32, one, strides(F32, one)))
    comb = _by_columns(add(comb, eps), eps)
    for _ in range(1, b.count("hyper_connection.sinkhorn_iterations")):
        comb = _by_columns(div(comb, add(sum_rows(comb), eps)), eps)
    return comb


def _by_columns(comb: Node, eps: Node) -> Node:
    total = add(sum_rows(cont(permute(comb, 1, 0, 2, 3))), eps)
    return div(comb, permute(total, 1, 0, 2, 3))


def _spread(block: Node, residual: Node, post: Node, comb: Node) -> Node:
    n_embd, n_stream, n, _ = residual.ne
    out: Node | None = None
    for to in range(n_stream):
        cur = mul(block, view_2d(post, 1, n, post.nb[1], to * post.nb[0]))
        for source in range(n_stream):
            stream = view_2d(residual, n_embd, n, residual.nb[2], source * residual.nb[1])
            share = view_2d(comb, 1, n, comb.nb[2], to * comb.nb[0] + source * comb.nb[1])
            cur = add(cur, mul(stream, share))
        cur = reshape(cur, n_embd, 1, n)
        out = cur if out is None else concat(out, cur, 1)
    assert out is not None
    return out


class _Attention:
    """Attention of the layers of one graph over their window and, where they have one, a compressed cache."""

    def __init__(self, b: Builder) -> None:
        h = b.hparams
        self._positions = inp.positions(b)
        self._k_idxs = b.input("attn_inp_k_idxs", I64, b.n_tokens)
        window = b.cache("k", 0)
        self._mask = comp.cells_mask(b, "attn_inp_kq_mask", window.ne[1], half=b.context.flash_attn)
        self._rotation = comp.rotation(b, h.n_embd_head_k[0])
        b.graph.expand(self._mask)
        self._inputs: dict[str, comp.CompressorInput] = {}
        for kind in (comp.CSA, comp.HCA, comp.LID):
            head = h.indexer_head_size if kind is comp.LID else h.n_embd_head_k[0]
            if layers := b.cached_layers(f"{kind.part}_k"):
                n_kv = b.cache(f"{kind.part}_k", layers[0]).ne[1]
                self._inputs[kind.part] = comp.compressor_input(b, kind, n_kv, head)

    def __call__(self, b: Builder, il: int, x: Node) -> Node:
        """Attention of layer ``il``, projected in two steps."""
        h, head = b.hparams, b.hparams.n_embd_head_k[il]
        latent = _Latent(b, il, x, self._positions)
        kinds = {comp.CSA.ratio: (comp.CSA, comp.LID), comp.HCA.ratio: (comp.HCA,)}.get(h.compress_ratios[il], ())
        for kind in kinds:
            comp.compress(b, kind, self._inputs[kind.part], il, x, h.indexer_head_size if kind is comp.LID else head)
        chosen = self._chosen(b, il, x, latent.row) if comp.LID in kinds else None
        result = self._attended(b, il, latent.q, latent.kv, kinds[0] if kinds else None, chosen)
        return latent.projected(b, il, result, self._positions)

    def _chosen(self, b: Builder, il: int, x: Node, latent_q: Node) -> Node:
        """The compressed cells that the indexer ranks highest."""
        h, given = b.hparams, self._inputs[comp.LID.part]
        size, heads = h.indexer_head_size, h.indexer_n_head
        q = reshape(scaled(b.need(il, "indexer.attn_q_b.weight"), latent_q, None), size, heads, b.n_tokens)
        q = rope(q, self._positions)
        assert given.rotation is not None
        q = attn.rotated(q, given.rotation)
        weights = scale(scaled(b.need(il, "indexer.proj.weight"), x, None))
        keys = comp.compressed_k(b, comp.LID, il, size)
        return best(b, q, keys, by_stream(weights, keys.ne[3]), given.mask)

    def _attended(
        self, b: Builder, il: int, q: Node, kv: Node, kind: comp.Compressor | None, chosen: Node | None
    ) -> Node:
        """Values of the window and of the compressed cells: [n_embd, n_tokens]."""
        if self._rotation is not None:
            q, kv = attn.rotated(q, self._rotation), attn.rotated(kv, self._rotation)
        b.graph.expand(q)
        b.graph.expand(kv)
        cache, head = b.cache("k", il), b.hparams.n_embd_head_k[il]
        b.graph.expand(attn.store_rows(cache, kv, self._k_idxs))
        keys, mask = attn.cache_view(cache, head, 1), self._mask
        if kind is not None:
            keys = concat(keys, comp.compressed_k(b, kind, il, head), 2)
            cells = self._inputs[kind.part].mask
            if chosen is not None:
                cells = sparse_mask(cells, chosen, F16 if b.context.flash_attn else F32)
            mask = concat(mask, cells, 0)
        result = attn.attend(b, il, q, keys, keys, mask, sinks=b.layer(il, "attn_sinks.weight"))
        return result if self._rotation is None else attn.rotated(result, self._rotation)


def _projected(b: Builder, il: int, x: Node, width: int) -> Node:
    """The output projection through a low-rank pair, the first of which works in groups of heads."""
    groups, rank = (b.count(f"attention.output_{key}") for key in ("group_count", "lora_rank"))
    n, first = b.n_tokens, b.need(il, "attn_output_a.weight")
    # Files keep the groups of the first matrix below each other; llama.cpp loads them as a third dimension.
    ne: Dims = (width // groups, rank, groups, 1)
    if first.ne != ne:
        first = Node("NONE", first.type, ne, strides(first.type, ne), name=first.name, home=WEIGHT, il=il)
    x = swap_middle(mul_mat(first, swap_middle(reshape(x, width // groups, groups, n))))
    return scaled(b.need(il, "attn_output_b.weight"), cont_2d(x, rank * groups, n), None)

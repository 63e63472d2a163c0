"""Granite's projections: queries that look at an encoder (granite4-vision.cpp, granite-speech.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit

# granite4-vision.cpp: width of a head of the queries.
_D_HEAD = 64


def _attended(clip: ClipGraph, name: str, x: Node, seen: Node, width: int) -> Node:
    """What queries ``x`` [n_embd, n, windows] see of ``seen``, added and normalised."""
    heads = x.ne[0] // width

    def part(what: str, of: Node) -> Node:
        flat = views.reshape(of, of.ne[0], of.ne[1] * of.ne[2])
        return views.reshape(clip.linear(flat, f"{name}_{what}"), width, heads, of.ne[1], of.ne[2])

    y = clip.attention(part("q", x), part("k", seen), part("v", seen), f"{name}_out")
    return clip.norm(ops.add(views.reshape(y, *x.ne[:3]), x), f"{name}_norm", rms=False)


def _query_layer(clip: ClipGraph, name: str, x: Node, seen: Node, width: int) -> Node:
    """Queries look at each other, at what is seen, and pass a feed forward network."""
    x = _attended(clip, f"{name}.self_attn", x, x, width)
    x = _attended(clip, f"{name}.cross_attn", x, seen, width)
    flat = views.reshape(x, x.ne[0], x.ne[1] * x.ne[2])
    y = views.reshape(clip.ffn(flat, f"{name}.ffn_up", f"{name}.ffn_down"), *x.ne[:3])
    return clip.norm(ops.add(y, x), f"{name}.ffn_norm", rms=False)


def granite4_vision(clip: ClipGraph) -> Node:
    """Features of several layers, each with queries of its own in every window."""
    x = ops.add(clip.patches(), clip.need("v.position_embd.weight"))
    outs: list[Node] = []
    for il in range(clip.encoder.n_layer):
        x = clip.vit_layer(il, x, Vit(n_pos=clip.n_patches))
        outs.append(x)
    found: Node | None = None
    offsets = clip.encoder.numbers("projector.spatial_offsets")
    for i, (il, offset) in enumerate(zip(clip.encoder.numbers("feature_layer"), offsets, strict=False)):
        stream = _windowed(clip, f"v.proj_blk.{i}", outs[min(il, len(outs) - 1)], is_pooled=offset < 0)
        found = stream if found is None else ops.concat(found, stream, 0)
    return clip.given(found, "clip.vision.feature_layer")


def _windowed(clip: ClipGraph, name: str, x: Node, *, is_pooled: bool) -> Node:
    """One feature in windows, fewer queries in each of them."""
    n_embd, side = x.ne[0], clip.columns
    window, asked = (clip.encoder.number(f"projector.{what}_side", 1) for what in ("window", "query"))
    n, small = side // window, side // window * asked
    x = clip.norm(x, f"{name}.norm", rms=False)
    seen = views.reshape(ops.get_rows(x, clip.indices(side * side)), n_embd, window * window, n * n)
    fewer = _pooled(x, side, small) if is_pooled else ops.get_rows(x, clip.indices(small * small))
    queries = views.reshape(ops.get_rows(fewer, clip.indices(small * small)), n_embd, asked * asked, n * n)
    queries = ops.add(queries, clip.need(f"{name}.query"))
    seen = ops.add(seen, clip.need(f"{name}.img_pos"))
    queries = clip.norm(queries, f"{name}.post_norm", rms=False)
    y = _query_layer(clip, name, queries, seen, _D_HEAD)
    y = ops.get_rows(views.reshape(y, n_embd, small * small), clip.indices(small * small))
    return clip.linear(y, f"{name}.linear")


def _pooled(x: Node, side: int, small: int) -> Node:
    n_embd = x.ne[0]
    x = ops.cont(views.permute(views.reshape(x, n_embd, side, side), 2, 0, 1, 3))
    x = ops.pool_2d(views.reshape(x, side, side, n_embd), small, small)
    x = ops.cont(views.permute(views.reshape(x, small, small, n_embd), 1, 2, 0, 3))
    return views.reshape(x, n_embd, small * small)


def granite_speech(clip: ClipGraph) -> Node:
    """A conformer that attends within chunks, and queries in every window of its frames."""
    frames, chunk = clip.encoder.width, clip.encoder.number("chunk_size", 1)
    n_chunks = -(-frames // chunk)
    distances = clip.indices(chunk * chunk)
    mask = clip.input(ops.F32, chunk, chunk, 1, n_chunks) if frames % chunk else None
    features = clip.encoder.numbers("feature_layer")
    x = clip.linear(ops.cont(views.transpose(clip.image(1))), "a.input_projection")
    found = x if 0 in features else None
    for il in range(clip.encoder.n_layer):
        x = _half(clip, il, x, "ffn_norm", "ffn_up", "ffn_down")
        x = ops.add(x, _by_chunks(clip, il, x, distances, mask))
        x = ops.add(x, _convolved(clip, il, x))
        x = clip.norm(_half(clip, il, x, "ffn_norm_1", "ffn_up_1", "ffn_down_1"), clip.layer(il, "ln2"))
        if il + 1 in features:
            found = x if found is None else ops.concat(found, x, 0)
        if il + 1 == clip.encoder.n_layer // 2:
            middle = ops.soft_max(clip.linear(x, "a.enc_ctc_out"))
            x = ops.add(x, clip.linear(middle, "a.enc_ctc_out_mid"))
    return _asked(clip, x if found is None else ops.concat(found, x, 0), frames)


def _half(clip: ClipGraph, il: int, x: Node, norm: str, up: str, down: str) -> Node:
    y = clip.ffn(clip.norm(x, clip.layer(il, norm)), clip.layer(il, up), clip.layer(il, down), act="SILU")
    return ops.add(x, ops.scale(y))


def _by_chunks(clip: ClipGraph, il: int, x: Node, distances: Node, mask: Node | None) -> Node:
    """Attention within chunks, by content and by distance."""
    frames, width, heads = x.ne[1], clip.d_head, clip.n_head
    chunk = clip.encoder.number("chunk_size", 1)
    n = -(-frames // chunk)
    y = clip.norm(x, clip.layer(il, "ln1"))
    y = ops.pad(y, 0, n * chunk - frames) if frames % chunk else y
    parts = (clip.product(clip.need(clip.layer(il, f"attn_{part}.weight")), y) for part in "qkv")
    q, k, v = (views.reshape(part, width, heads, chunk, n) for part in parts)
    scores = ops.mul_mat(ops.cont(views.swap_middle(k)), views.swap_middle(q))
    places = ops.get_rows(clip.need(clip.layer(il, "attn_rel_pos_emb")), distances)
    places = views.reshape(views.reshape(places, width, chunk, chunk), width, chunk, 1, chunk)
    relative = ops.mul_mat(places, views.permute(q, 0, 1, 3, 2))
    scores = ops.add(scores, ops.cont(views.permute(relative, 0, 2, 3, 1)))
    v = ops.cont(views.permute(v, 1, 2, 0, 3))
    weights = ops.soft_max(scores, mask)
    y = ops.cont_2d(views.swap_middle(ops.mul_mat(v, weights)), clip.n_embd, n * chunk)
    y = views.view_2d(y, clip.n_embd, frames, y.nb[1]) if frames % chunk else y
    return clip.linear(y, clip.layer(il, "attn_out"))


def _convolved(clip: ClipGraph, il: int, x: Node) -> Node:
    """A gated product, a convolution over the frames around, and a product."""
    x = clip.linear(clip.norm(x, clip.layer(il, "norm_conv")), clip.layer(il, "conv_pw1"))
    half, around = x.ne[0] // 2, clip.encoder.number("conv_kernel_size") // 2
    gate = ops.unary("SIGMOID", views.view_2d(x, half, x.ne[1], x.nb[1], half * x.nb[0]))
    x = ops.mul(views.view_2d(x, half, x.ne[1], x.nb[1]), gate)
    x = ops.pad(ops.cont(views.transpose(x)), 2 * around)
    x = ssm_conv(x, clip.need(clip.layer(il, "conv_dw.weight")))
    x = clip.times(x, clip.layer(il, "conv_norm.weight"))
    x = ops.unary("SILU", clip.plus(x, clip.layer(il, "conv_norm.bias")))
    return clip.linear(x, clip.layer(il, "conv_pw2"))


def _asked(clip: ClipGraph, x: Node, frames: int) -> Node:
    """Queries in every window of the frames, the same in each of them."""
    number = clip.encoder.number
    window, rate = number("projector.window_size", 1), number("projector.downsample_rate", 1)
    n, asked = -(-frames // window), window // rate
    x = ops.pad(x, 0, n * window - frames) if frames % window else x
    seen = views.reshape(x, x.ne[0], window, n)
    queries = clip.norm(clip.need("a.proj_query"), "a.proj_norm", rms=False)
    queries = ops.repeat(views.reshape(queries, clip.n_embd, asked), (clip.n_embd, asked, n, 1))
    il = 0
    while clip.weight(f"a.proj_blk.{il}.self_attn_q.weight") is not None:
        queries = _query_layer(
            clip, f"a.proj_blk.{il}", queries, seen, clip.n_embd // number("projector.head_count", 1)
        )
        il += 1
    return clip.linear(views.reshape(queries, clip.n_embd, asked * n), "a.proj_linear")

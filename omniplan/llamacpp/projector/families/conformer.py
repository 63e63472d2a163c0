"""Conformers: half a feed forward network before attention and a convolution, half behind (models/gemma4a.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph

# clip_graph_gemma4a: positions of a chunk, how many each of them sees before it, and what a convolution looks back.
_CHUNK, _PAST, _LOOKBACK = 12, 12, 4
_SEEN = _CHUNK + _PAST


def gemma4a(clip: ClipGraph) -> Node:
    """Attention within chunks of frames and what lies before them."""
    x = _shrunk(clip)
    chunks = -(-x.ne[1] // _CHUNK)
    places = clip.input(ops.F32, clip.n_head * clip.d_head, _PAST + 1)
    mask = clip.input(ops.F32, _SEEN, _CHUNK, chunks)
    for il in range(clip.encoder.n_layer):
        x = _half(clip, x, il, "ffn_norm", "ffn_up", "ffn_down", "ffn_post_norm")
        x = ops.add(x, _attended(clip, il, x, places, mask))
        x = ops.add(x, _convolved(clip, il, x))
        x = _half(clip, x, il, "ffn_norm_1", "ffn_up_1", "ffn_down_1", "ffn_post_norm_1")
        x = _scaled(clip, x, clip.layer(il, "ln2.weight"))
    if (out := clip.weight("a.pre_encode.out.weight")) is not None:
        x = clip.plus(clip.product(out, x), "a.pre_encode.out.bias")
    x = clip.times(ops.rms_norm(x), "mm.a.soft_emb_norm.weight")
    out = clip.weight("mm.a.input_projection.weight")
    return x if out is None else clip.product(out, x)


def _shrunk(clip: ClipGraph) -> Node:
    """Two convolutions, each of which halves both sides, and a product."""
    x = ops.cont(views.transpose(clip.image(1)))
    for i in (0, 1):
        x = clip.plus(conv_2d(clip.need(f"a.conv1d.{i}.weight"), x, 2, 1), f"a.conv1d.{i}.bias")
        if (scale := clip.weight(f"a.conv1d.{i}.norm.weight")) is not None:
            x = ops.mul(ops.norm(ops.cont(views.permute(x, 1, 2, 0, 3))), scale)
            x = ops.cont(views.permute(x, 2, 0, 1, 3))
        x = ops.unary("RELU", x)
    x = ops.cont(views.permute(x, 1, 2, 0, 3))
    return clip.linear(views.reshape(x, x.ne[0] * x.ne[1], x.ne[2]), "a.input_projection")


def _scaled(clip: ClipGraph, x: Node, name: str) -> Node:
    """An RMS norm with the scale ``name``, if there is one."""
    scale = clip.weight(name)
    return x if scale is None else ops.mul(ops.rms_norm(x), scale)


def _half(clip: ClipGraph, x: Node, il: int, before: str, up: str, down: str, after: str) -> Node:
    """``x`` plus half of what a feed forward network makes of it."""
    y = _scaled(clip, x, clip.layer(il, f"{before}.weight"))
    y = ops.unary("SILU", clip.product(clip.need(clip.layer(il, f"{up}.weight")), y))
    y = clip.product(clip.need(clip.layer(il, f"{down}.weight")), y)
    return ops.add(x, ops.scale(_scaled(clip, y, clip.layer(il, f"{after}.weight"))))


def _attended(clip: ClipGraph, il: int, x: Node, places: Node, mask: Node) -> Node:
    """Attention of every chunk, softly capped."""
    n_pos, chunks, heads, width = x.ne[1], mask.ne[2], clip.n_head, clip.d_head
    before = clip.layer(il, "attn_pre_norm.weight")
    y = _scaled(clip, x, before if clip.weight(before) is not None else clip.layer(il, "ln1.weight"))
    parts = (clip.product(clip.need(clip.layer(il, f"attn_{part}.weight")), y) for part in "qkv")
    q, k, v = (views.reshape(part, width, heads, n_pos) for part in parts)
    q, k = _per_dimension(clip, il, q, "per_dim_scale"), _per_dimension(clip, il, k, "per_dim_k_scale")
    q = views.reshape(ops.pad(q, 0, 0, chunks * _CHUNK - n_pos), width, heads, _CHUNK, chunks)
    q = ops.cont(views.permute(q, 0, 3, 1, 2))
    k = ops.cont(views.permute(_overlapping(k, chunks), 0, 3, 1, 2))
    v = ops.cont(views.permute(_overlapping(v, chunks), 1, 3, 0, 2))
    scores = ops.mul_mat(k, q)
    if (relative := clip.weight(clip.layer(il, "attn_k_rel.weight"))) is not None:
        scores = ops.add(scores, _relative(clip, relative, places, q))
    scores = ops.add(ops.scale(ops.unary("TANH", ops.scale(scores))), mask)
    y = ops.cont(views.permute(ops.mul_mat(v, ops.soft_max(scores)), 0, 2, 3, 1))
    y = ops.cont_2d(y, width * heads, chunks * _CHUNK)
    if y.ne[1] > n_pos:
        y = ops.cont(views.view_2d(y, width * heads, n_pos, y.nb[1]))
    return _scaled(clip, clip.linear(y, clip.layer(il, "attn_out")), clip.layer(il, "attn_post_norm.weight"))


def _per_dimension(clip: ClipGraph, il: int, x: Node, name: str) -> Node:
    x, scale = ops.scale(x), clip.weight(clip.layer(il, f"{name}.weight"))
    return x if scale is None else ops.mul(x, views.reshape(scale, clip.d_head))


def _overlapping(x: Node, chunks: int) -> Node:
    """What every chunk sees: its own positions and those before it."""
    x = ops.pad(x, 0, 0, _SEEN * chunks - x.ne[2])
    ne = (x.ne[0], x.ne[1], _SEEN, chunks)
    return ops.cont(views.view_4d(x, ne, x.nb[1], x.nb[2], _CHUNK * x.nb[2]))


def _relative(clip: ClipGraph, weight: Node, places: Node, q: Node) -> Node:
    """Scores by distance, shifted row by row."""
    width, heads, chunks, n = clip.d_head, clip.n_head, q.ne[2], places.ne[1]
    p = views.reshape(ops.mul_mat(weight, places), width, heads, n)
    p = ops.cont(views.swap_middle(p))
    scores = ops.mul_mat(p, views.reshape(q, width, _CHUNK * chunks, heads))
    scores = ops.pad(views.reshape(scores, n, _CHUNK, chunks, heads), _SEEN + 1 - n)
    scores = views.reshape(scores, (_SEEN + 1) * _CHUNK, chunks, heads)
    scores = views.view_3d(scores, _CHUNK * _SEEN, chunks, heads, scores.nb[1], scores.nb[2])
    return views.reshape(ops.cont(scores), _SEEN, _CHUNK, chunks, heads)


def _convolved(clip: ClipGraph, il: int, x: Node) -> Node:
    """A gated product, a convolution over the frames before, and a product."""
    x = _scaled(clip, x, clip.layer(il, "conv_norm.weight"))
    x = clip.product(clip.need(clip.layer(il, "conv_pw1.weight")), x)
    half = x.ne[0] // 2
    gate = ops.unary("SIGMOID", ops.cont(views.view_2d(x, half, x.ne[1], x.nb[1], half * x.nb[0])))
    x = ops.mul(views.view_2d(x, half, x.ne[1], x.nb[1]), gate)
    x = ops.pad(ops.cont(views.transpose(x)), _LOOKBACK)
    x = ssm_conv(x, clip.need(clip.layer(il, "conv_dw.weight")))
    x = _scaled(clip, clip.plus(x, clip.layer(il, "conv_dw.bias")), clip.layer(il, "norm_conv.weight"))
    return clip.product(clip.need(clip.layer(il, "conv_pw2.weight")), ops.unary("SILU", x))

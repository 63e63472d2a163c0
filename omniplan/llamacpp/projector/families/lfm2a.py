"""LFM2's conformer, whose attention knows distances (tools/mtmd/models/conformer.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, conv_2d_direct, conv_2d_dw_direct
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph

# clip_graph_conformer: width of a distance, and frames on either side of a convolution.
_DISTANCE, _SIDES = 512, 4


def lfm2a(clip: ClipGraph) -> Node:
    """Half a feed forward network before attention and a convolution, half behind."""
    frames = -(-clip.encoder.width // 8)
    places = clip.input(ops.F32, _DISTANCE, frames * 2 - 1)
    clip.graph.expand(places)
    x = _shrunk(clip)
    for il in range(clip.encoder.n_layer):
        x = _half(clip, il, x, "ffn_norm", "ffn_up", "ffn_down")
        x = ops.add(x, _attended(clip, il, clip.norm(x, clip.layer(il, "ln1")), places))
        x = ops.add(x, _convolved(clip, il, clip.norm(x, clip.layer(il, "norm_conv"))))
        x = _half(clip, il, x, "ffn_norm_1", "ffn_up_1", "ffn_down_1")
        x = clip.norm(x, clip.layer(il, "ln2"))
    return clip.ffn(clip.norm(x, "mm.a.mlp.0"), "mm.a.mlp.1", "mm.a.mlp.3")


def _shrunk(clip: ClipGraph) -> Node:
    """Three convolutions, each of which halves both sides, and a product."""
    x = ops.cont(views.transpose(clip.image(1)))
    x = clip.plus(conv_2d(clip.need("a.conv1d.0.weight"), x, 2, 1), "a.conv1d.0.bias")
    for by_channel, across in ((2, 3), (5, 6)):
        x = ops.unary_inplace("RELU", x)
        x = conv_2d_dw_direct(clip.need(f"a.conv1d.{by_channel}.weight"), x, 2, 1)
        x = clip.plus(x, f"a.conv1d.{by_channel}.bias")
        x = clip.plus(conv_2d_direct(clip.need(f"a.conv1d.{across}.weight"), x, 1, 0), f"a.conv1d.{across}.bias")
    x = ops.cont(views.swap_middle(ops.unary_inplace("RELU", x)))
    return clip.linear(views.reshape(x, x.ne[0] * x.ne[1], x.ne[2]), "a.pre_encode.out")


def _half(clip: ClipGraph, il: int, x: Node, norm: str, up: str, down: str) -> Node:
    y = clip.ffn(clip.norm(x, clip.layer(il, norm)), clip.layer(il, up), clip.layer(il, down), act="SILU")
    return ops.add(x, ops.scale(y))


def _attended(clip: ClipGraph, il: int, x: Node, places: Node) -> Node:
    """Attention by content and by distance."""
    n, heads, width = x.ne[1], clip.n_head, clip.d_head
    q, k, v = (views.reshape(clip.linear(x, clip.layer(il, f"attn_{part}")), width, heads, n) for part in "qkv")
    by_content, by_distance = (
        views.swap_middle(ops.add(q, clip.need(clip.layer(il, f"pos_bias_{part}")))) for part in "uv"
    )
    k = ops.cont(views.swap_middle(k))
    v = ops.cont(views.permute(v, 1, 2, 0, 3))
    content = ops.cont(views.permute(ops.mul_mat(by_content, k), 1, 0, 2, 3))
    p = clip.product(clip.need(clip.layer(il, "linear_pos.weight")), places)
    p = views.swap_middle(views.reshape(p, width, heads, p.ne[1]))
    distance = _shifted(ops.cont(views.permute(ops.mul_mat(by_distance, p), 1, 0, 2, 3)))
    distance = views.view_3d(distance, content.ne[0], *distance.ne[1:3], *distance.nb[1:3])
    scores = ops.scale(ops.add(content, distance))
    x = views.permute(ops.mul_mat(ops.soft_max(scores), v), 2, 0, 1, 3)
    x = ops.cont_2d(x, x.ne[0] * x.ne[1], x.ne[2])
    return clip.linear(x, clip.layer(il, "attn_out"))


def _shifted(x: Node) -> Node:
    """Rows moved by one place each."""
    places, n, heads = x.ne[:3]
    x = views.reshape(ops.pad(x, 1), n, places + 1, heads)
    return ops.cont(views.view_3d(x, n, places, heads, x.nb[1], x.nb[2], x.nb[0] * n), (places, n, heads, 1))


def _convolved(clip: ClipGraph, il: int, x: Node) -> Node:
    """A gated product, a convolution over the frames around, and a product."""
    x = clip.linear(x, clip.layer(il, "conv_pw1"))
    half = x.ne[0] // 2
    gate = ops.unary("SIGMOID", views.view_2d(x, half, x.ne[1], x.nb[1], half * x.nb[0]))
    x = ops.mul(views.view_2d(x, half, x.ne[1], x.nb[1]), gate)
    x = ops.like("ROLL", ops.pad(ops.cont(views.transpose(x)), _SIDES))
    x = ssm_conv(ops.pad(x, _SIDES), clip.need(clip.layer(il, "conv_dw.weight")))
    x = clip.plus(
        clip.times(clip.plus(x, clip.layer(il, "conv_dw.bias")), clip.layer(il, "conv_norm.weight")),
        clip.layer(il, "conv_norm.bias"),
    )
    return clip.linear(ops.unary("SILU", x), clip.layer(il, "conv_pw2"))

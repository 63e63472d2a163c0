"""Parakeet, a conformer with positions in sines and cosines (tools/mtmd/models/parakeet.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, conv_2d_dw_direct
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph


def parakeet(clip: ClipGraph) -> Node:
    """The sound of a warm-up is short enough for every frame to see every other."""
    x = _shrunk(clip)
    n = x.ne[1]
    mask, places = clip.input(ops.F32, n, n), _places(clip, 2 * n - 1)
    for il in range(clip.encoder.n_layer):
        x = _half(clip, il, x, "ffn_norm", "ffn_up", "ffn_down")
        x = ops.add(x, _attended(clip, il, clip.norm(x, clip.layer(il, "ln1"), rms=False), places, mask))
        x = ops.add(x, _convolved(clip, il, clip.norm(x, clip.layer(il, "norm_conv"), rms=False)))
        x = _half(clip, il, x, "ffn_norm_1", "ffn_up_1", "ffn_down_1")
        x = clip.norm(x, clip.layer(il, "ln2"), rms=False)
    x = ops.mul(ops.rms_norm(x), clip.need("mm.a.norm_pre.weight"))
    x = ops.sqr(ops.unary("RELU", clip.product(clip.need("mm.a.mlp.1.weight"), x)))
    return clip.product(clip.need("mm.a.mlp.2.weight"), x)


def _shrunk(clip: ClipGraph) -> Node:
    """Three convolutions, each of which halves both sides, and a product."""
    x = ops.cont(views.transpose(clip.image(1)))
    x = ops.unary("RELU", clip.plus(conv_2d(clip.need("a.conv1d.0.weight"), x, 2, 1), "a.conv1d.0.bias"))
    for by_channel, across in ((2, 3), (5, 6)):
        x = conv_2d_dw_direct(clip.need(f"a.conv1d.{by_channel}.weight"), x, 2, 1)
        x = conv_2d(clip.need(f"a.conv1d.{across}.weight"), clip.plus(x, f"a.conv1d.{by_channel}.bias"), 1)
        x = ops.unary("RELU", clip.plus(x, f"a.conv1d.{across}.bias"))
    x = ops.cont(views.swap_middle(x))
    return clip.linear(views.reshape(x, x.ne[0] * x.ne[1], x.ne[2]), "a.pre_encode.out")


def _places(clip: ClipGraph, n: int) -> Node:
    """Sines and cosines of every distance, side by side."""
    half = clip.n_embd // 2
    frequencies, distances = clip.input(ops.F32, half), clip.input(ops.F32, 1, n)
    angles = ops.mul(ops.repeat(frequencies, (half, n, 1, 1)), distances)
    sines, cosines = (views.reshape(ops.like(name, angles), 1, half, n) for name in ("SIN", "COS"))
    return views.reshape(ops.cont(ops.concat(sines, cosines, 0)), clip.n_embd, n)


def _half(clip: ClipGraph, il: int, x: Node, norm: str, up: str, down: str) -> Node:
    y = clip.norm(x, clip.layer(il, norm), rms=False)
    y = ops.unary("SILU", clip.product(clip.need(clip.layer(il, f"{up}.weight")), y))
    return ops.add(x, ops.scale(clip.product(clip.need(clip.layer(il, f"{down}.weight")), y)))


def _attended(clip: ClipGraph, il: int, x: Node, places: Node, mask: Node) -> Node:
    """Attention by content and by distance."""
    n, heads, width = x.ne[1], clip.n_head, clip.d_head
    parts = (clip.product(clip.need(clip.layer(il, f"attn_{part}.weight")), x) for part in "qkv")
    q, k, v = (views.reshape(part, width, heads, n) for part in parts)
    p = clip.product(clip.need(clip.layer(il, "linear_pos.weight")), places)
    p = ops.cont(views.swap_middle(views.reshape(p, width, heads, places.ne[1])))
    u, w = (ops.add(q, clip.need(clip.layer(il, f"pos_bias_{part}"))) for part in "uv")
    content = ops.mul_mat(views.swap_middle(k), views.swap_middle(u))
    distance = _shifted(ops.mul_mat(p, ops.cont(views.swap_middle(w))), content)
    scores = ops.add(ops.scale(ops.add(content, distance)), mask)
    y = ops.mul_mat(ops.soft_max(scores), ops.cont(views.permute(v, 1, 2, 0, 3)))
    y = ops.cont_2d(views.permute(y, 2, 0, 1, 3), clip.n_embd, n)
    return clip.product(clip.need(clip.layer(il, "attn_out.weight")), y)


def _shifted(x: Node, content: Node) -> Node:
    """Rows moved by one place each, as many as there are frames."""
    places, n, heads = x.ne[:3]
    x = ops.cont(views.reshape(ops.pad(x, 1), n, places + 1, heads))
    x = ops.cont(views.view_3d(x, n, places, heads, 4 * places, x.nb[2], x.nb[0] * (places // 2 + 1)))
    return ops.cont(views.view_3d(x, content.ne[0], content.ne[1], heads, x.nb[1], x.nb[2]))


def _convolved(clip: ClipGraph, il: int, x: Node) -> Node:
    """A gated product, a convolution over the frames around, a norm by channel, and a product."""
    x = clip.product(clip.need(clip.layer(il, "conv_pw1.weight")), x)
    half, around = x.ne[0] // 2, (clip.encoder.number("conv_kernel_size", 1) - 1) // 2
    gate = views.view_2d(x, half, x.ne[1], x.nb[1], half * x.nb[0])
    x = ops.mul(views.view_2d(x, half, x.ne[1], x.nb[1]), ops.unary("SIGMOID", gate))
    x = ops.pad(ops.cont(views.transpose(x)), 2 * around)
    x = ops.sub(ssm_conv(x, clip.need(clip.layer(il, "conv_dw.weight"))), clip.need(clip.layer(il, "conv_norm_mean")))
    x = ops.div(x, ops.sqrt(clip.need(clip.layer(il, "conv_norm_var"))))
    x = clip.plus(clip.times(x, clip.layer(il, "conv_norm.weight")), clip.layer(il, "conv_norm.bias"))
    return clip.product(clip.need(clip.layer(il, "conv_pw2.weight")), ops.unary("SILU", x))

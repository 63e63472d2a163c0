"""Encoders of a voice (tools/mtmd/models/qwen3tts-spkenc.cpp, pockettts-spkenc.cpp, pockettts-seanet.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_1d
from omniplan.llamacpp.graph.node import Node, strides
from omniplan.llamacpp.projector.clip_graph import ClipGraph

# qwen3tts-spkenc.cpp: dilations of its blocks, and parts that each cuts its channels into.
_DILATIONS, _PARTS = (2, 3, 4), 8
# clip.cpp: load_hparams of pocket-tts, strides of its stages and of what follows the transformer.
_STRIDES, _DOWNSAMPLE = (4, 5, 6), 16


def qwen3tts_spkenc(clip: ClipGraph) -> Node:
    """Dilated convolutions in parts, weighed by channel, and their statistics weighed by attention."""
    sound = clip.image(1)
    x = ops.cont(views.transpose(views.reshape(sound, sound.ne[0], sound.ne[1])))
    x = ops.unary("RELU", _same(clip, x, "a.conv1d.0"))
    outs: list[Node] = []
    for i, dilation in enumerate(_DILATIONS, 1):
        x = _block(clip, x, f"a.blk.{i}", dilation)
        outs.append(x)
    x = ops.concat(ops.concat(outs[0], outs[1], 0), outs[2], 0)
    x = _statistics(clip, ops.unary("RELU", _same(clip, x, "a.conv_out")))
    x = _same(clip, x, "mm.a.fc")
    return ops.cont(views.reshape(x, x.ne[0]))


def _same(clip: ClipGraph, x: Node, name: str, dilation: int = 1) -> Node:
    """A convolution of [channels, length] that leaves the length, its ends reflected."""
    weight, bias = clip.need(f"{name}.weight"), clip.need(f"{name}.bias")
    kernel, channels = weight.ne[:2]
    around = (kernel - 1) * dilation // 2
    x = ops.cont(views.transpose(x))
    if around:
        x = ops.fresh("PAD_REFLECT_1D", x.type, (x.ne[0] + 2 * around, *x.ne[1:]), (x,))
    x = views.reshape(x, x.ne[0], channels)
    ne = (kernel, channels, 1, 1)
    shape = Node("NONE", ops.F32, ne, strides(ops.F32, ne))
    length = x.ne[0] - dilation * (kernel - 1)
    unfolded = ops.fresh("IM2COL", ops.F32, (kernel * channels, length, 1, 1), (shape, x))
    unfolded = views.reshape(unfolded, kernel * channels, length)
    y = ops.mul_mat(views.reshape(weight, kernel * channels, weight.ne[2]), unfolded)
    return ops.add(y, views.reshape(bias, weight.ne[2]))


def _block(clip: ClipGraph, x: Node, name: str, dilation: int) -> Node:
    y = ops.unary("RELU", _same(clip, x, f"{name}.conv_pw1"))
    y = ops.unary("RELU", _same(clip, _in_parts(clip, y, name, dilation), f"{name}.conv_pw2"))
    weigh = ops.unary("RELU", _same(clip, _mean(y), f"{name}.se_conv1"))
    weigh = ops.unary("SIGMOID", _same(clip, weigh, f"{name}.se_conv2"))
    return ops.add(ops.mul(y, weigh), x)


def _in_parts(clip: ClipGraph, x: Node, name: str, dilation: int) -> Node:
    """Each part of the channels hears what the one before made of its own."""
    width = x.ne[0] // _PARTS
    parts: list[Node] = []
    for i in range(_PARTS):
        part = ops.cont(views.view_2d(x, width, x.ne[1], x.nb[1], i * width * x.nb[0]))
        if i:
            heard = ops.add(part, parts[-1]) if i > 1 else part
            part = ops.unary("RELU", _same(clip, heard, f"{name}.res2.{i - 1}", dilation))
        parts.append(part)
    joined = parts[0]
    for part in parts[1:]:
        joined = ops.concat(joined, part, 0)
    return joined


def _mean(x: Node) -> Node:
    """Over the length of [channels, length]."""
    return ops.cont(views.transpose(ops.mean(ops.cont(views.transpose(x)))))


def _statistics(clip: ClipGraph, x: Node) -> Node:
    """Means and deviations of all channels, weighed by attention to both."""
    mean = ops.repeat(_mean(x), x.ne)
    deviation = ops.sqrt(ops.scale(_mean(ops.sqr(ops.sub(x, mean)))))
    seen = ops.concat(ops.concat(x, mean, 0), ops.repeat(deviation, x.ne), 0)
    a = ops.unary("TANH", ops.unary("RELU", _same(clip, seen, "a.asp_tdnn")))
    a = ops.cont(views.transpose(_same(clip, a, "a.asp_attn")))
    weights = ops.cont(views.transpose(ops.soft_max(a)))
    weighed = ops.scale(ops.mean(ops.cont(views.transpose(ops.mul(weights, x)))))
    weighed = ops.cont(views.transpose(weighed))
    apart = ops.mul(weights, ops.sqr(ops.sub(x, ops.repeat(weighed, x.ne))))
    spread = ops.cont(views.transpose(ops.scale(ops.mean(ops.cont(views.transpose(apart))))))
    return ops.concat(weighed, ops.sqrt(ops.scale(spread)), 0)


def pockettts_spkenc(clip: ClipGraph) -> Node:
    """Convolutions over a waveform, a transformer, and one more."""
    sound = clip.image(1)
    x = _causal(clip, views.reshape(sound, sound.ne[0], sound.ne[1]), "a.seanet.conv_in", 1)
    for i, stride in enumerate(_STRIDES):
        name = f"a.seanet.blk.{i}"
        y = _causal(clip, ops.unary("ELU", x), f"{name}.res_conv1", 1)
        x = ops.add(x, _causal(clip, ops.unary("ELU", y), f"{name}.res_conv2", 1))
        x = _causal(clip, ops.unary("ELU", x), f"{name}.scale_conv", stride)
    x = _causal(clip, ops.unary("ELU", x), "a.seanet.conv_out", 1)
    x = ops.cont(views.transpose(x))
    positions, mask = clip.indices(x.ne[1]), clip.mask(x.ne[1])
    for il in range(clip.encoder.n_layer):
        x = _voice_layer(clip, il, x, positions, mask)
    x = _causal(clip, ops.cont(views.transpose(x)), "a.downsample.conv", _DOWNSAMPLE, repeats=True)
    return clip.product(clip.need("a.speaker_proj.weight"), ops.cont(views.transpose(x)))


def _voice_layer(clip: ClipGraph, il: int, x: Node, positions: Node, mask: Node) -> Node:
    y = clip.norm(x, clip.layer(il, "ln1"))
    parts = (clip.product(clip.need(clip.layer(il, f"attn_{part}.weight")), y) for part in "qkv")
    q, k, v = (views.reshape(part, clip.d_head, clip.n_head, x.ne[1]) for part in parts)
    q, k = ops.rope(q, positions), ops.rope(k, positions)
    y = clip.attention(q, k, v, clip.layer(il, "attn_out"), mask)
    x = ops.add(clip.times(y, clip.layer(il, "ls1.weight")), x)
    y = clip.norm(x, clip.layer(il, "ln2"))
    y = ops.unary("GELU", clip.product(clip.need(clip.layer(il, "ffn_up.weight")), y))
    y = clip.product(clip.need(clip.layer(il, "ffn_down.weight")), y)
    return ops.add(clip.times(y, clip.layer(il, "ls2.weight")), x)


def _causal(clip: ClipGraph, x: Node, name: str, stride: int, *, repeats: bool = False) -> Node:
    """A convolution of [length, channels] that looks back; ``repeats`` the first frame before it, not silence."""
    kernel, bias = clip.need(f"{name}.weight"), clip.weight(f"{name}.bias")
    before = kernel.ne[0] - stride
    behind = -(-(x.ne[0] - stride) // stride) * stride + stride - x.ne[0]
    if repeats and before > 0:
        first = ops.repeat(views.view_2d(x, 1, x.ne[1], x.nb[1]), (before, x.ne[1], 1, 1))
        x = ops.pad(ops.concat(first, x, 0), behind)
    else:
        x = ops.pad(x, before + behind)
    y = conv_1d(kernel, x, stride, 0)
    y = views.reshape(y, y.ne[0], y.ne[1])
    return y if bias is None else ops.add(y, views.reshape(bias, 1, bias.ne[0]))

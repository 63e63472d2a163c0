"""Gemma 3n's MobileNet: blocks told apart by the tensors they have (tools/mtmd/models/mobilenetv5.cpp)."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d_direct, conv_2d_dw, interpolate
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph

# clip_graph_mobilenetv5: stages, those of them whose last features are fused, and the side that is left at the end.
_STAGES, _FUSED, _SIDE = 4, (2, 3), 16


def gemma3nv(clip: ClipGraph) -> Node:
    """Every stage halves the grid; the features of two are laid over each other."""
    x = conv_2d_direct(clip.need("v.conv_stem.conv.weight"), _padded(clip.image(), 3), 2, 0)
    x = ops.unary("GELU", _normed(clip, clip.plus(x, "v.conv_stem.conv.bias"), "v.conv_stem.bn.weight"))
    ends: list[Node] = []
    for stage in range(_STAGES):
        blocks = list(_blocks(clip, stage))
        for i, name in enumerate(blocks):
            x = _block(clip, name, x, 1 if i else 2)
        if blocks:
            ends.append(x)
    kept = [ends[i] for i in _FUSED] if len(ends) >= _STAGES else ends[-1:]
    x = _fused(clip, kept) if kept else x
    x = ops.cont(views.swap_middle(views.permute(x, 2, 1, 0, 3)))
    x = ops.scale(ops.cont(views.reshape(x, x.ne[0], x.ne[1] * x.ne[2])))
    x = ops.mul(ops.rms_norm(x), clip.need("mm.soft_emb_norm.weight"))
    return ops.rms_norm(clip.product(clip.need("mm.input_projection.weight"), x))


def _blocks(clip: ClipGraph, stage: int) -> Iterator[str]:
    """Names of a stage's blocks, up to the first number that has none."""
    kinds = ("conv_exp", "dw_start.conv", "pw_exp.conv", "attn.query.proj")
    i = 0
    while any(clip.weight(f"v.blk.{stage}.{i}.{kind}.weight") is not None for kind in kinds):
        yield f"v.blk.{stage}.{i}"
        i += 1


def _block(clip: ClipGraph, name: str, x: Node, stride: int) -> Node:
    if clip.weight(f"{name}.conv_exp.weight") is not None:
        return _edge(clip, name, x, stride)
    if clip.weight(f"{name}.attn.query.proj.weight") is not None:
        return _attended(clip, name, x)
    return _inverted(clip, name, x, stride)


def _padded(x: Node, kernel: int) -> Node:
    """Zeros around so that a stride of two leaves half the grid, rounded up."""
    more = [max(0, (-(-n // 2) - 1) * 2 + kernel - n) for n in x.ne[:2]]
    return ops.pad(x, *more) if any(more) else x


def _normed(clip: ClipGraph, x: Node, name: str) -> Node:
    """An RMS norm over channels, if it has a scale."""
    scale = clip.weight(name)
    if scale is None:
        return x
    x = ops.mul(ops.rms_norm(ops.cont(views.permute(x, 2, 1, 0, 3))), scale)
    return ops.cont(views.permute(x, 2, 1, 0, 3))


def _across(clip: ClipGraph, name: str, x: Node) -> Node:
    """A convolution of one pixel."""
    return conv_2d_direct(clip.need(name), x, 1, 0)


def _edge(clip: ClipGraph, name: str, x: Node, stride: int) -> Node:
    """A convolution that widens, and one that narrows again."""
    kernel = clip.need(f"{name}.conv_exp.weight")
    y = conv_2d_direct(kernel, _padded(x, 3), 2, 0) if stride > 1 else conv_2d_direct(kernel, x, 1, 1)
    y = ops.unary("GELU", _normed(clip, y, f"{name}.bn1.weight"))
    y = _normed(clip, _across(clip, f"{name}.conv_pwl.weight", y), f"{name}.bn2.weight")
    return ops.add(y, x) if stride == 1 and (y.ne[0], y.ne[2]) == (x.ne[0], x.ne[2]) else y


def _inverted(clip: ClipGraph, name: str, x: Node, stride: int) -> Node:
    """Convolutions by channel before and behind one that widens."""
    y = x
    if (kernel := clip.weight(f"{name}.dw_start.conv.weight")) is not None:
        y = _normed(clip, conv_2d_dw(kernel, y, 1, kernel.ne[0] // 2), f"{name}.dw_start.bn.weight")
    if clip.weight(f"{name}.pw_exp.conv.weight") is not None:
        y = _normed(clip, _across(clip, f"{name}.pw_exp.conv.weight", y), f"{name}.pw_exp.bn.weight")
        y = ops.unary("GELU", y)
    if (kernel := clip.weight(f"{name}.dw_mid.conv.weight")) is not None:
        side = kernel.ne[0]
        y = conv_2d_dw(kernel, _padded(y, side), 2, 0) if stride > 1 else conv_2d_dw(kernel, y, 1, side // 2)
        y = ops.unary("GELU", _normed(clip, y, f"{name}.dw_mid.bn.weight"))
    if clip.weight(f"{name}.pw_proj.conv.weight") is not None:
        y = _normed(clip, _across(clip, f"{name}.pw_proj.conv.weight", y), f"{name}.pw_proj.bn.weight")
    y = clip.times(y, f"{name}.layer_scale.gamma")
    return ops.add(y, x) if y.ne[:3] == x.ne[:3] else y


def _attended(clip: ClipGraph, name: str, x: Node) -> Node:
    """Attention whose keys and values lie on half the grid, one head for all queries."""
    y = _normed(clip, x, f"{name}.norm.weight")
    q = _across(clip, f"{name}.attn.query.proj.weight", y)
    k, v = (
        _across(clip, f"{name}.attn.{part}.proj.weight", _halved(clip, f"{name}.attn.{part}", y))
        for part in ("key", "value")
    )
    width, n, seen = k.ne[2], y.ne[0] * y.ne[1], k.ne[0] * k.ne[1]
    heads = q.ne[2] // width
    q = ops.cont(views.permute(views.reshape(q, n, width, heads), 1, 0, 2, 3))
    k = ops.cont(views.permute(views.reshape(k, seen, width), 1, 0, 2, 3))
    v = ops.cont(views.reshape(v, seen, width))
    weights = ops.soft_max(ops.scale(ops.mul_mat(k, q)))
    z = ops.cont(views.permute(ops.mul_mat(v, weights), 1, 0, 2, 3))
    z = ops.cont(views.reshape(z, y.ne[0], y.ne[1], width * heads))
    z = _across(clip, f"{name}.attn.output.proj.weight", z)
    if (z.ne[0], z.ne[2]) != (x.ne[0], x.ne[2]):
        return z
    return ops.add(clip.times(z, f"{name}.layer_scale.gamma"), x)


def _halved(clip: ClipGraph, name: str, x: Node) -> Node:
    kernel = clip.weight(f"{name}.down_conv.weight")
    if kernel is None:
        return x
    return _normed(clip, conv_2d_dw(kernel, _padded(x, kernel.ne[0]), 2, 0), f"{name}.norm.weight")


def _fused(clip: ClipGraph, features: list[Node]) -> Node:
    """Features at the size of the first, side by side, widened and narrowed, and pooled."""
    width, height = features[0].ne[:2]
    x = features[0]
    for other in features[1:]:
        columns, rows, channels, n = other.ne
        by = width // columns
        is_small = columns < width or rows < height
        x = ops.concat(x, interpolate(other, (columns * by, rows * by, channels, n)) if is_small else other, 2)
    if clip.weight("v.msfa.ffn.pw_exp.conv.weight") is not None:
        x = _normed(clip, _across(clip, "v.msfa.ffn.pw_exp.conv.weight", x), "v.msfa.ffn.pw_exp.bn.weight")
        x = ops.unary("GELU", x)
    if clip.weight("v.msfa.ffn.pw_proj.conv.weight") is not None:
        x = _normed(clip, _across(clip, "v.msfa.ffn.pw_proj.conv.weight", x), "v.msfa.ffn.pw_proj.bn.weight")
    if x.ne[0] > _SIDE:
        by = x.ne[0] // _SIDE
        x = ops.pool_2d(x, x.ne[0] // by, x.ne[1] // by)
    return _normed(clip, x, "v.msfa.norm.weight")

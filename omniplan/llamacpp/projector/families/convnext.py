"""A ConvNeXt tower whose blocks are counted by their tensors (tools/mtmd/models/yasa2.cpp)."""

from __future__ import annotations

from collections.abc import Callable

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, conv_2d_dw
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph

# clip_graph_yasa2: side of what is left in the end, and what lies around a kernel of seven.
_SIDE, _AROUND = 8, 3


def yasa2(clip: ClipGraph) -> Node:
    """Stages that halve the grid, learned positions, and two layers over a grid of eight by eight."""
    x = conv_2d(clip.need("v.patch_embd.weight"), clip.image(), clip.encoder.patch_size)
    x = _by_channel(clip.weight("v.patch_embd.bias"), x, ops.add)
    x = _normed(clip, x, "v.patch_ln")
    stage = 0
    while any(clip.weight(f"v.stage.{stage}.{part}.weight") is not None for part in ("down.conv", "blk.0.dw")):
        x = _stage(clip, f"v.stage.{stage}", x)
        stage += 1
    columns, rows = x.ne[:2]
    x = _tokens(x)
    learned = clip.weight("v.vision_pos_embed")
    if learned is not None and learned.ne[1] == x.ne[1]:
        x = ops.add(x, views.reshape(learned, learned.ne[0], learned.ne[1]))
    x = _grid(x, columns, rows)
    by = max(1, columns // min(_SIDE, columns)), max(1, rows // min(_SIDE, rows))
    return clip.ffn(_tokens(ops.pool_2d(x, columns // by[0], rows // by[1])), "mm.0", "mm.2")


def _stage(clip: ClipGraph, name: str, x: Node) -> Node:
    if (kernel := clip.weight(f"{name}.down.conv.weight")) is not None:
        x = conv_2d(kernel, _normed(clip, x, f"{name}.down.ln"), 2)
        x = _by_channel(clip.weight(f"{name}.down.conv.bias"), x, ops.add)
    i = 0
    while clip.weight(f"{name}.blk.{i}.dw.weight") is not None:
        x = ops.add(x, _block(clip, f"{name}.blk.{i}", x))
        i += 1
    return x


def _block(clip: ClipGraph, name: str, x: Node) -> Node:
    """A convolution by channel, and two layers with a norm over the whole grid between them."""
    columns, rows = x.ne[:2]
    x = conv_2d_dw(clip.need(f"{name}.dw.weight"), x, 1, _AROUND)
    x = _normed(clip, _by_channel(clip.weight(f"{name}.dw.bias"), x, ops.add), f"{name}.ln")
    x = ops.unary("GELU_ERF", _grid(_linear(clip, f"{name}.pw1", _tokens(x)), columns, rows))
    x = _over_the_grid(clip, x, f"{name}.grn")
    return _grid(_linear(clip, f"{name}.pw2", _tokens(x)), columns, rows)


def _linear(clip: ClipGraph, name: str, x: Node) -> Node:
    x, bias = ops.mul_mat(clip.need(f"{name}.weight"), x), clip.weight(f"{name}.bias")
    return x if bias is None else ops.add(x, views.reshape(bias, bias.ne[0]))


def _tokens(x: Node) -> Node:
    """[w, h, c] as rows of one pixel each."""
    return ops.cont(views.permute(views.reshape(x, x.ne[0] * x.ne[1], x.ne[2]), 1, 0, 2, 3))


def _grid(x: Node, columns: int, rows: int) -> Node:
    """The other way round."""
    return views.reshape(ops.cont(views.permute(x, 1, 0, 2, 3)), columns, rows, x.ne[0])


def _by_channel(weight: Node | None, x: Node, how: Callable[[Node, Node], Node]) -> Node:
    return x if weight is None else how(x, views.reshape(weight, 1, 1, weight.ne[0]))


def _normed(clip: ClipGraph, x: Node, name: str) -> Node:
    """A norm over channels, step by step."""
    x = ops.cont(views.permute(x, 2, 1, 0, 3))
    x = ops.sub(x, ops.mean(x))
    spread = ops.sqrt(ops.clamp(ops.mean(ops.mul(x, x))))
    x = ops.cont(views.permute(ops.div(x, spread), 2, 1, 0, 3))
    x = _by_channel(clip.weight(f"{name}.weight"), x, ops.mul)
    return _by_channel(clip.weight(f"{name}.bias"), x, ops.add)


def _over_the_grid(clip: ClipGraph, x: Node, name: str) -> Node:
    """``x`` and what it weighs among all channels."""
    columns, rows, channels = x.ne[:3]
    size = ops.sqrt(ops.sum_rows(views.reshape(ops.mul(x, x), columns * rows, channels)))
    usual = ops.clamp(ops.mean(ops.cont(views.permute(size, 1, 0, 2, 3))))
    share = ops.cont(views.swap_middle(ops.div(size, usual)))
    y = _by_channel(clip.weight(f"{name}.weight"), ops.mul(x, share), ops.mul)
    return ops.add(x, _by_channel(clip.weight(f"{name}.bias"), y, ops.add))

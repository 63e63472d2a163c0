"""CLIP towers of which a layer before the last is taken (tools/mtmd/models/llava.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, conv_2d_dw
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit

# ldpv2 lays tokens out in a grid of this side, whatever the image.
_SIDE = 24


def _tower(clip: ClipGraph, *, drops_last: bool) -> Node:
    """The layers up to the deepest feature, which are stacked where the header names several."""
    features = clip.encoder.numbers("feature_layer")
    deepest = max(features, default=clip.encoder.n_layer - drops_last)
    x = clip.patches()
    if (first := clip.weight("v.class_embd")) is not None:
        x = ops.concat(x, first, 1)
    n_pos = x.ne[1]
    x = ops.add(x, ops.get_rows(clip.need("v.position_embd.weight"), clip.indices(n_pos)))
    if clip.weight("v.pre_ln.weight") is not None:
        x = clip.norm(x, "v.pre_ln")
    stack: list[Node] = []
    for il in range(deepest):
        if il in features:
            stack.append(x)
        x = clip.vit_layer(il, x, Vit(n_pos=n_pos))
    if clip.weight("v.post_ln.weight") is not None:
        x = clip.norm(x, "v.post_ln")
    if deepest in features:
        stack.append(x)
    for i, part in enumerate(stack):
        x = ops.concat(x, part, 0) if i else part
    return x


def _chosen(clip: ClipGraph) -> Node:
    """The patches without what stands before them."""
    x = _tower(clip, drops_last=True)
    return ops.get_rows(views.reshape(x, x.ne[0], x.ne[1]), clip.indices(clip.n_patches))


def llava(clip: ClipGraph) -> Node:
    """One or two layers, or two with norms where the file has a fourth (Yi)."""
    x = clip.linear(_chosen(clip), "mm.0")
    if clip.weight("mm.3.weight") is not None:
        x = ops.unary("GELU", clip.norm(x, "mm.1"))
        return clip.norm(clip.linear(x, "mm.3"), "mm.4")
    x = ops.unary("GELU", x)
    return clip.linear(x, "mm.2") if clip.weight("mm.2.weight") is not None else x


def ldp(clip: ClipGraph) -> Node:
    """Two layers, and two blocks of convolutions by channel, the second of which halves the grid."""
    x = clip.linear(ops.unary("GELU", clip.linear(_chosen(clip), "mm.model.mlp.1")), "mm.model.mlp.3")
    x = views.permute(x, 1, 0, 2, 3)
    x = ops.cont(x, (_SIDE, _SIDE, x.ne[1], x.ne[2]))
    near = ops.cont(views.permute(_mobile_block(clip, x, 1, 1), 2, 0, 1, 3))
    x = _mobile_block(clip, ops.add(x, near), 2, 2)
    return views.reshape(x, x.ne[0], x.ne[1] * x.ne[2], x.ne[3])


def _mobile_block(clip: ClipGraph, x: Node, block: int, stride: int) -> Node:
    """A convolution by channel, weighed channel by channel, and a product; channels first."""
    name = f"mm.model.mb_block.{block}.block"
    x = ops.cont(views.permute(conv_2d_dw(clip.need(f"{name}.0.0.weight"), x, stride, 1), 1, 2, 0, 3))
    x = ops.cont(views.permute(clip.norm(x, f"{name}.0.1"), 2, 0, 1, 3))
    x = ops.unary("HARDSWISH", x)
    weigh = ops.pool_2d(x, 1, 1)
    weigh = views.reshape(weigh, weigh.ne[0] * weigh.ne[1] * weigh.ne[2], weigh.ne[3])
    weigh = ops.unary("RELU", clip.linear(weigh, f"{name}.1.fc1"))
    weigh = ops.unary("HARDSIGMOID", clip.linear(weigh, f"{name}.1.fc2"))
    x = ops.mul(x, views.reshape(weigh, 1, 1, weigh.ne[0], weigh.ne[1]))
    columns, rows = x.ne[:2]
    x = ops.cont(views.permute(views.reshape(x, columns * rows, x.ne[2], x.ne[3]), 1, 0, 2, 3))
    x = ops.mul_mat(clip.need(f"{name}.2.0.weight"), x)
    return clip.norm(views.reshape(x, x.ne[0], columns, rows, x.ne[3]), f"{name}.2.1")


def ldpv2(clip: ClipGraph) -> Node:
    """Two layers, tokens pooled in a grid, and what their neighbours add."""
    x = clip.ffn(_chosen(clip), "mm.model.mlp.0", "mm.model.mlp.2")
    x = views.permute(x, 1, 0, 2, 3)
    x = ops.pool_2d(ops.cont(x, (_SIDE, _SIDE, x.ne[1], x.ne[2])), _SIDE // 2, _SIDE // 2)
    near = ops.cont(views.permute(conv_2d_dw(clip.need("mm.model.peg.0.weight"), x, 1, 1), 1, 2, 0, 3))
    near = clip.plus(near, "mm.model.peg.0.bias")
    x = ops.add(near, ops.cont(views.permute(x, 1, 2, 0, 3)))
    return views.reshape(x, x.ne[0], x.ne[1] * x.ne[2], x.ne[3])


def glm_edge(clip: ClipGraph) -> Node:
    """Tokens merged by a convolution, a gated layer, and an embedding before and after."""
    x = _tower(clip, drops_last=False)
    side = int(x.ne[1] ** 0.5)
    x = views.permute(x, 1, 0, 2, 3)
    x = conv_2d(clip.need("adapter.conv.weight"), ops.cont(x, (side, side, x.ne[1], 1)), 2)
    x = ops.cont(views.permute(views.reshape(x, x.ne[0] * x.ne[1], x.ne[2]), 1, 0, 2, 3))
    x = clip.product(clip.need("adapter.linear.linear.weight"), clip.plus(x, "adapter.conv.bias"))
    x = ops.unary_inplace("GELU", clip.norm(x, "adapter.linear.norm1"))
    gate = clip.product(clip.need("adapter.linear.gate.weight"), x)
    up = clip.product(clip.need("adapter.linear.dense_h_to_4h.weight"), x)
    x = clip.product(clip.need("adapter.linear.dense_4h_to_h.weight"), ops.glu("SWIGLU", gate, up))
    return ops.concat(ops.concat(clip.need("adapter.boi"), x, 1), clip.need("adapter.eoi"), 1)

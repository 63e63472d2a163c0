"""Gemma 4: a tower that pools its tokens, and embedders without one (tools/mtmd/models/gemma4*.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, im2col
from omniplan.llamacpp.graph.node import Node, strides
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit, rope_2d


def _placed(clip: ClipGraph, x: Node) -> tuple[Node, Node, Node]:
    """``x`` plus what two tables hold for its column and row, and those positions."""
    across, down = clip.indices(clip.n_patches), clip.indices(clip.n_patches)
    table = clip.need("v.position_embd.weight")
    step = table.type.row_size(clip.n_embd)
    for half, positions in enumerate((across, down)):
        rows = views.view_2d(table, clip.n_embd, table.ne[1], step, half * table.ne[1] * step)
        x = ops.add(x, ops.get_rows(rows, positions))
    return x, across, down


def gemma4v(clip: ClipGraph) -> Node:
    """A transformer of clamped products, pooled in squares."""
    cut = conv_2d(clip.need("v.patch_embd.weight"), ops.scale(clip.image()), clip.encoder.patch_size)
    x = ops.cont(views.transpose(views.reshape(cut, clip.n_patches, clip.n_embd)))
    x, across, down = _placed(clip, x)
    x = clip.vit(x, Vit(n_pos=clip.n_patches, turn=lambda x: rope_2d(x, across, down)))
    x = ops.cont(views.transpose(x), (clip.columns, clip.rows, clip.n_embd, 1))
    columns, rows = clip.columns // clip.encoder.n_merge, clip.rows // clip.encoder.n_merge
    x = views.reshape(ops.pool_2d(x, columns, rows), columns * rows, clip.n_embd)
    x = ops.scale(ops.cont(views.transpose(x)))
    shift, scale = clip.weight("v.std_bias"), clip.weight("v.std_scale")
    if shift is not None and scale is not None:
        x = ops.mul(ops.sub(x, shift), scale)
    return clip.product(clip.need("mm.input_projection.weight"), ops.rms_norm(x))


def gemma4uv(clip: ClipGraph) -> Node:
    """Patches normalised and projected, no transformer."""
    image, side = clip.image(), clip.encoder.patch_size
    ne = (side, side, image.ne[2], 1)
    kernel = Node("NONE", ops.F32, ne, strides(ops.F32, ne))
    x = im2col(kernel, image, (side, side), (0, 0), ops.F32)
    x = clip.norm(views.reshape(x, x.ne[0], x.ne[1] * x.ne[2]), "v.patch_norm.1")
    x = ops.mul_mat(clip.need("v.patch_embd.weight"), x)
    x = clip.norm(clip.plus(x, "v.patch_embd.bias"), "v.patch_norm.2")
    x = clip.norm(_placed(clip, x)[0], "v.patch_norm.3")
    return clip.product(clip.need("mm.input_projection.weight"), ops.rms_norm(x))


def gemma4ua(clip: ClipGraph) -> Node:
    """Frames of a waveform projected as they are."""
    x = ops.cont(views.permute(clip.image(1), 1, 0, 2, 3))
    return clip.product(clip.need("mm.a.input_projection.weight"), ops.rms_norm(x))

"""Transformers over images of any size whose patches merge at the end.

Upstream, in tools/mtmd/models: kimivl.cpp, kimik25.cpp, paddleocr.cpp, dotsocr.cpp, hunyuanvl.cpp, minimax-m3.cpp,
step3vl.cpp.
"""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, interpolate
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Turn, Vit, rope_2d


def _in_two_dimensions(clip: ClipGraph) -> Turn:
    down, across = clip.indices(clip.n_patches), clip.indices(clip.n_patches)
    return lambda x: rope_2d(x, across, down)


def _by_sections(clip: ClipGraph) -> Turn:
    positions = clip.indices(clip.n_patches * 4)
    return lambda x: ops.rope(x, positions)


def _normed_after_merging(clip: ClipGraph, x: Node) -> Node:
    """Patches merged, but normalised one by one, and two layers."""
    x = clip.merged(x)
    width, n = x.ne[0], x.ne[1]
    x = views.view_2d(x, clip.n_embd, n * clip.encoder.n_merge**2, x.type.row_size(clip.n_embd))
    x = clip.norm(x, "mm.input_norm", rms=False)
    return clip.ffn(views.view_2d(x, width, n, x.type.row_size(width)), "mm.1", "mm.2")


def kimivl(clip: ClipGraph) -> Node:
    """Learned positions resized."""
    spec = Vit(n_pos=clip.n_patches, learned=clip.resized_positions(), turn=_in_two_dimensions(clip))
    return _normed_after_merging(clip, clip.vit(clip.patches(), spec))


def kimik25(clip: ClipGraph) -> Node:
    """Learned positions stored as a grid."""
    x = ops.add(clip.patches(), _resized_grid(clip))
    return _normed_after_merging(clip, clip.vit(x, Vit(n_pos=clip.n_patches, turn=_in_two_dimensions(clip))))


def _resized_grid(clip: ClipGraph) -> Node:
    grid = clip.need("v.position_embd.weight")
    if grid.ne[1:3] != (clip.columns, clip.rows):
        grid = interpolate(views.permute(grid, 2, 1, 0, 3), (clip.rows, clip.columns, clip.n_embd, 1))
        grid = views.permute(grid, 2, 1, 0, 3)
    return ops.cont_2d(grid, clip.n_embd, clip.n_patches)


def paddleocr(clip: ClipGraph) -> Node:
    """Normalised before merging."""
    spec = Vit(n_pos=clip.n_patches, learned=clip.resized_positions(), turn=_by_sections(clip))
    x = clip.norm(clip.vit(clip.patches(), spec), "mm.input_norm", rms=False)
    return clip.ffn(clip.merged(x), "mm.1", "mm.2")


def dots_ocr(clip: ClipGraph) -> Node:
    """The same without learned positions, its last norm among the projection's tensors."""
    spec = Vit(n_pos=clip.n_patches, turn=_by_sections(clip), post_norm="mm.post_norm")
    x = clip.norm(clip.vit(clip.patches(), spec), "mm.input_norm", rms=False)
    return clip.ffn(clip.merged(x), "mm.0", "mm.2")


def hunyuanvl(clip: ClipGraph) -> Node:
    """Positions given by the host, two convolutions, and a token at the end of each row and around them all."""
    n = clip.encoder.n_merge
    x = clip.vit(clip.patches(), Vit(n_pos=clip.n_patches, learned=clip.input(ops.F32, clip.n_embd, clip.n_patches)))
    x = ops.mul(ops.rms_norm(x), clip.need("mm.pre_norm.weight"))
    x = ops.cont(views.permute(views.reshape(x, clip.n_embd, clip.columns, clip.rows), 2, 0, 1, 3))
    x = ops.unary("GELU", _convolved(clip, x, "mm.0", n))
    x = _convolved(clip, x, "mm.2", 1)
    columns, rows, width = clip.columns // n, clip.rows // n, x.ne[2]
    end = views.reshape(clip.need("v.image_newline"), 1, 1, width)
    x = views.permute(ops.concat(x, ops.repeat(end, (1, rows, width, 1)), 0), 1, 2, 0, 3)
    x = clip.linear(ops.cont_2d(x, width, (columns + 1) * rows), "mm.model.fc")
    first, last = (_row(clip.need(name)) for name in ("mm.image_begin", "mm.image_end"))
    x = ops.concat(ops.concat(first, x, 1), last, 1)
    return ops.mul(ops.rms_norm(x), clip.need("mm.post_norm.weight"))


def minimax_m3(clip: ClipGraph) -> Node:
    """Pairs of frames, two layers per patch, and two per block of them."""
    n = clip.encoder.n_merge
    down, across = clip.indices(clip.n_patches), clip.indices(clip.n_patches)
    x = clip.by_blocks(views.permute(clip.both_frames(), 1, 2, 0, 3), n)
    x = clip.vit(x, Vit(n_pos=clip.n_patches, turn=lambda x: rope_2d(x, down, across)))
    x = clip.ffn(x, "mm.1", "mm.2")
    x = views.reshape(x, x.ne[0] * n * n, clip.n_patches // (n * n))
    return clip.ffn(x, "mm.merger.fc1", "mm.merger.fc2")


def step3vl(clip: ClipGraph) -> Node:
    """Learned positions resized, and two convolutions that halve the grid."""
    spec = Vit(n_pos=clip.n_patches, learned=clip.resized_positions(), turn=_in_two_dimensions(clip))
    x = views.permute(clip.vit(clip.patches(), spec), 1, 0, 2, 3)
    x = ops.cont(x, (clip.columns, clip.rows, clip.n_embd, 1))
    for name in ("mm.0", "mm.1"):
        x = _shifted(clip, conv_2d(clip.need(f"{name}.weight"), x, 2, 1), f"{name}.bias")
    x = ops.cont(views.permute(views.reshape(x, x.ne[0] * x.ne[1], x.ne[2]), 1, 0, 2, 3))
    return ops.mul_mat(clip.need("mm.model.fc.weight"), x)


def _shifted(clip: ClipGraph, x: Node, name: str) -> Node:
    if clip.weight(name) is None:
        return x
    columns, rows, channels = x.ne[:3]
    x = clip.plus(ops.cont(views.transpose(views.reshape(x, columns * rows, channels))), name)
    return views.reshape(ops.cont(views.transpose(x)), columns, rows, channels)


def _convolved(clip: ClipGraph, x: Node, name: str, stride: int) -> Node:
    x = conv_2d(clip.need(f"{name}.weight"), x, stride)
    bias = clip.weight(f"{name}.bias")
    return x if bias is None else ops.add(x, views.reshape(bias, 1, 1, bias.ne[0]))


def _row(a: Node) -> Node:
    return views.reshape(a, a.ne[0])

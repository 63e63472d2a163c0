"""Pixtral, Mistral Small, LightOnOCR and DeepSeek-V4 (tools/mtmd/models/pixtral.cpp, deepseek4v.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import im2col
from omniplan.llamacpp.graph.node import Node, strides
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit, rope_2d
from omniplan.units import pad


def pixtral(clip: ClipGraph) -> Node:
    """Patches turned in two dimensions, merged where the file can, and a token at the end of each row."""
    n_pos = clip.n_patches
    down, across = clip.indices(n_pos), clip.indices(n_pos)
    image = clip.patches()
    x = clip.vit(image, Vit(n_pos=n_pos, turn=lambda x: rope_2d(x, down, across)))
    if (merger := clip.weight("mm.patch_merger.weight")) is not None:
        x = ops.mul(ops.rms_norm(x), clip.need("mm.input_norm.weight"))
        x = clip.product(merger, _unfolded(clip, x))
    x = clip.ffn(x, "mm.1", "mm.2")
    ends = clip.weight("v.token_embd.img_break")
    return x if ends is None else _with_row_ends(clip, x, ends)


def deepseek4v(clip: ClipGraph) -> Node:
    """Blocks of patches and four tokens between them, in an order that the host gives."""
    n, positions = clip.encoder.n_merge, clip.indices(clip.n_patches * 4)
    x = clip.vit(clip.patches(), Vit(n_pos=clip.n_patches, turn=lambda x: ops.rope(x, positions)))
    x = clip.ffn(_unfolded(clip, x), "mm.1", "mm.2")
    for name in ("v.token_embd.img_start", "v.token_embd.img_end", "v.image_newline", "v.token_embd.img_pad"):
        x = ops.concat(x, views.reshape(clip.need(name), x.ne[0]), 1)
    columns, rows = pad(clip.columns, n) // n + 1, pad(pad(clip.rows, n) // n, 2)
    # clip-impl.h: dsv4_get_block_layout, pairs of rows by columns, filled up to an even number, and both ends.
    order = rows * columns + rows // 2 * columns % 2 * 2 + 2
    return ops.get_rows(x, clip.indices(order))


def _unfolded(clip: ClipGraph, x: Node) -> Node:
    """Blocks of patches as rows, by a kernel that is none."""
    n = clip.encoder.n_merge
    x = ops.cont(views.permute(views.reshape(x, clip.n_embd, clip.columns, clip.rows), 2, 0, 1, 3))
    if clip.columns % n or clip.rows % n:
        x = ops.pad(x, -clip.columns % n, -clip.rows % n)
    kernel = views.view_3d(x, n, n, x.ne[2], 0, 0)
    x = im2col(kernel, x, (n, n), (0, 0), ops.F32)
    return views.reshape(x, x.ne[0], x.ne[1] * x.ne[2])


def _with_row_ends(clip: ClipGraph, x: Node, ends: Node) -> Node:
    columns, rows = clip.columns // clip.encoder.n_merge, clip.rows // clip.encoder.n_merge
    width = x.ne[0]
    ne = (width, 1, rows, 1)
    blank = ops.scale(Node("NONE", x.type, ne, strides(x.type, ne)))
    x = ops.concat(views.reshape(x, width, columns, rows), ops.add(blank, ends), 1)
    return views.view_2d(x, width, columns * rows + rows - 1, x.type.row_size(width))

"""DeepSeek-OCR: a SAM tower, and a second one over what it sees (models/deepseekocr.cpp, deepseekocr2.cpp)."""

from __future__ import annotations

from math import isqrt

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, interpolate
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit
from omniplan.units import pad

# clip-model.h: global_attn_indices; deepseekocr2.cpp, patches of the smaller of two images.
_GLOBAL, _FEWER = (2, 5, 8, 11), 144


def deepseekocr(clip: ClipGraph) -> Node:
    """CLIP over SAM's features, both side by side, and a token at the end of each row."""
    seen = _sam(clip, _one_tile(clip))
    n = seen.ne[0] * seen.ne[1]
    x = ops.cont(views.permute(views.reshape(seen, n, seen.ne[2], seen.ne[3]), 1, 0, 2, 3))
    learned = _resized(clip, isqrt(x.ne[1]))
    x = ops.concat(ops.repeat(clip.need("v.class_embd"), (clip.n_embd, 1, 1, 1)), x, 1)
    n_pos = learned.ne[1]
    learned = ops.get_rows(learned, ops.cast(ops.arange(n_pos), ops.I32))
    x = clip.vit(x, Vit(n_pos=n_pos, learned=learned))
    clip.graph.expand(x)
    seen = ops.cont(views.permute(seen, 1, 2, 0, 3))
    seen = views.reshape(seen, seen.ne[0], n)
    x = views.view_3d(x, clip.n_embd, n, 1, x.nb[1], x.nb[2], x.nb[1])
    x = clip.linear(ops.concat(x, seen, 0), "mm.model.fc")
    side, width = isqrt(n), x.ne[0]
    x = ops.cont(views.swap_middle(views.reshape(x, width * side, side)))
    x = views.reshape(x, width, side, side)
    x = ops.concat(x, ops.repeat(clip.need("v.image_newline"), (width, 1, side, 1)), 1)
    return views.reshape(x, width, (side + 1) * side)


def deepseekocr2(clip: ClipGraph) -> Node:
    """A decoder over SAM's features and as many queries, of which only those are kept."""
    seen = _sam(clip, clip.image())
    n = seen.ne[0] * seen.ne[1]
    x = ops.cont(views.permute(views.reshape(seen, n, seen.ne[2], seen.ne[3]), 1, 0, 2, 3))
    queries = clip.need(f"v.resample_query_{768 if n == _FEWER else 1024}.weight")
    queries = ops.cast(queries, x.type)
    x = ops.concat(x, ops.repeat(queries, (queries.ne[0], n, 1, 1)), 1)
    mask, positions = clip.mask(2 * n), ops.cast(ops.arange(2 * n), ops.I32)
    x = clip.vit(x, Vit(n_pos=2 * n, turn=lambda x: ops.rope(x, positions), mask=lambda _: mask))
    x = ops.cont(views.view_3d(x, x.ne[0], n, 1, x.nb[1], x.nb[2], x.nb[1] * n))
    clip.graph.expand(x)
    return clip.linear(x, "mm.model.fc")


def _one_tile(clip: ClipGraph) -> Node:
    """The image as a row of one tile."""
    side = clip.encoder.width
    x = ops.cont(views.swap_middle(views.reshape(clip.image(), side * side, 1, 3)))
    return views.reshape(x, side, side, 3)


def _resized(clip: ClipGraph, side: int) -> Node:
    """CLIP's learned positions for so many patches per side."""
    learned = clip.need("v.position_embd.weight")
    own = isqrt(learned.ne[1] - 1)
    if own == side:
        return learned
    step = learned.type.row_size(learned.ne[0])
    grid, first = (
        views.view_2d(learned, learned.ne[0], n, step, at * step) for n, at in ((own * own, 0), (1, own * own))
    )
    grid = views.reshape(interpolate(grid, (side, side, learned.ne[0], 1)), clip.n_embd, side * side)
    return ops.concat(grid, first, 1)


def _sam(clip: ClipGraph, image: Node) -> Node:
    """Attention in windows but for four layers, and four convolutions."""
    kernel = clip.need("v.sam.patch_embd.weight")
    x = conv_2d(kernel, image, kernel.ne[0], keeps_f32=True)
    bias = clip.need("v.sam.patch_embd.bias")
    x = ops.cont(views.permute(ops.add(x, views.reshape(bias, 1, 1, bias.ne[0])), 1, 2, 0, 3))
    window = clip.encoder.number("window_size")
    near = clip.input(ops.I32, window, window)
    far = clip.input(ops.I32, x.ne[1], x.ne[2])
    x = ops.add(x, _sam_positions(clip, x.ne[1]))
    for il in range(clip.encoder.number("sam.block_count")):
        x = _sam_layer(clip, il, x, window, far if il in _GLOBAL else near)
    x = ops.cont(views.permute(x, 2, 0, 1, 3))
    for i, padding in ((0, 0), (2, 1)):
        x = conv_2d(clip.need(f"v.sam.neck.{i}.weight"), x, 1, padding, keeps_f32=True)
        x = clip.norm(ops.cont(views.permute(x, 1, 2, 0, 3)), f"v.sam.neck.{i + 1}", rms=False)
        x = ops.cont(views.permute(x, 2, 0, 1, 3))
    for i in (2, 3):
        x = conv_2d(clip.need(f"v.sam.net_{i}.weight"), x, 2, 1, keeps_f32=True)
    clip.graph.expand(x)
    return x


def _sam_positions(clip: ClipGraph, side: int) -> Node:
    learned = clip.need("v.sam.pos_embd.weight")
    if learned.ne[1] == side:
        return learned
    grid = ops.cont(views.permute(learned, 2, 0, 1, 3))
    return ops.cont(views.permute(interpolate(grid, (side, side, learned.ne[0], 1)), 1, 2, 0, 3))


def _sam_layer(clip: ClipGraph, il: int, x: Node, window: int, distances: Node) -> Node:
    name, is_global = f"v.sam.blk.{il}", il in _GLOBAL
    y = clip.norm(x, f"{name}.pre_ln", rms=False)
    columns, rows = y.ne[1:3]
    y = y if is_global else _windows(y, window)
    y = _sam_attention(clip, name, y, distances)
    y = y if is_global else _whole(y, columns, rows, window)
    x = ops.add(y, x)
    y = clip.norm(x, f"{name}.post_ln", rms=False)
    return ops.add(clip.ffn(y, f"{name}.mlp.lin1", f"{name}.mlp.lin2"), x)


def _windows(x: Node, window: int) -> Node:
    """[c, w, h] as [c, window, window, n]."""
    c, w, h = x.ne[:3]
    columns, rows = pad(w, window), pad(h, window)
    if (columns, rows) != (w, h):
        x = ops.pad(x, 0, columns - w, rows - h)
    x = views.reshape(x, c * window, columns // window, window, rows // window)
    x = ops.cont(views.swap_middle(x))
    return views.reshape(x, c, window, window, columns * rows // window**2)


def _whole(x: Node, w: int, h: int, window: int) -> Node:
    """The other way round."""
    c, columns, rows = x.ne[0], pad(w, window), pad(h, window)
    x = views.reshape(x, c * window, window, columns // window, rows // window)
    x = views.reshape(ops.cont(views.swap_middle(x)), c, columns, rows)
    return ops.cont(views.view_4d(x, (c, w, h, 1), x.nb[1], x.nb[2], x.nb[3]))


def _sam_attention(clip: ClipGraph, name: str, x: Node, distances: Node) -> Node:
    """Attention with a bias for every pair of positions, made of their distances along both sides."""
    n_embd, w, h, n = x.ne
    heads = clip.encoder.number("sam.head_count")
    width, size = n_embd // heads, w * h
    x = views.reshape(clip.linear(x, f"{name}.attn.qkv"), n_embd, 3, size, n)
    q, k, v = (
        views.reshape(
            ops.cont(views.view_3d(x, n_embd, size, n, x.nb[2], x.nb[3], part * x.nb[1])), width, heads, size, n
        )
        for part in range(3)
    )
    by_column = _distance(clip.need(f"{name}.attn.pos_w.weight"), distances, w)
    by_row = _distance(clip.need(f"{name}.attn.pos_h.weight"), distances, h)
    own = views.reshape(ops.cont(views.swap_middle(q)), width, w, h, n * heads)
    by_column = ops.mul_mat(by_column, ops.cont(views.swap_middle(own)))
    by_column = views.reshape(ops.cont(views.swap_middle(by_column)), w, 1, size, heads * n)
    by_column = ops.repeat(by_column, (w, h, size, heads * n))
    by_row = views.reshape(ops.mul_mat(by_row, own), 1, h, size, heads * n)
    mask = views.reshape(ops.add(by_column, by_row), size, size, heads, n)
    mask = ops.cast(mask, ops.F16) if clip.flash_attn else mask
    x = clip.attention(q, k, v, f"{name}.attn.out", mask)
    return views.reshape(ops.cont(x), n_embd, w, h, n)


def _distance(table: Node, distances: Node, size: int) -> Node:
    """Rows of a table by distance, stretched where it has other ones."""
    most = 2 * size - 1
    if table.ne[1] != most:
        ne = table.ne
        table = views.reshape(ops.cont(views.permute(table, 1, 0, 2, 3)), ne[1], 1, ne[0])
        table = views.reshape(interpolate(table, (most, 1, ne[0], 1)), most, ne[0])
        table = ops.cont(views.permute(table, 1, 0, 2, 3))
    rows = ops.get_rows(table, views.reshape(distances, size * size))
    return views.reshape(rows, table.ne[0], size, size)

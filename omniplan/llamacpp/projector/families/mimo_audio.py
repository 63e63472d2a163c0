"""MiMo's sound: an encoder, codes of what it hears, and a second encoder over these (models/mimo-audio.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_1d
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit

# The layer whose result is added to the last one's, and what a layer that sees everything is called.
_SKIPPED, _FULL = 2, -1


def mimo_audio(clip: ClipGraph) -> Node:
    """Frames encoded, halved, turned into codes and these into embeddings, and joined in groups."""
    x = _encoded(clip)
    x = ops.cont(views.transpose(x))
    x = ops.unary("GELU_ERF", conv_1d(clip.need("a.downsample.conv.weight"), x, 2, 0))
    x = clip.norm(ops.cont(views.transpose(x)), "a.downsample.norm")
    return _joined(clip, _embedded(clip, x))


def _encoded(clip: ClipGraph) -> Node:
    x = clip.image(1)
    for name, stride in (("a.conv1d.1", 1), ("a.conv1d.2", 2)):
        kernel = clip.need(f"{name}.weight")
        x = ops.unary("GELU_ERF", clip.plus(conv_1d(kernel, x, stride, kernel.ne[0] // 2), f"{name}.bias"))
    x = ops.cont(views.transpose(x))
    n_pos = x.ne[1]
    positions, everything, near = clip.indices(n_pos), clip.mask(n_pos), clip.mask(n_pos)
    modes = clip.encoder.numbers("wa_pattern_mode")
    spec = Vit(
        n_pos=n_pos,
        turn=lambda x: ops.rope(x, positions),
        mask=lambda il: everything if modes[il : il + 1] == (_FULL,) else near,
    )
    x = views.reshape(x, clip.n_embd, n_pos)
    skipped: Node | None = None
    for il in range(clip.encoder.n_layer):
        x = clip.attended(il, x, spec)
        skipped = x if il == _SKIPPED else skipped
        x = clip.fed(il, x)
    x = ops.add(x, clip.given(skipped, f"layer {_SKIPPED}"))
    return clip.norm(x, "a.post_ln")


def _embedded(clip: ClipGraph, x: Node) -> Node:
    """The sum of what each codebook's code stands for."""
    book, table = clip.need("a.rvq.codebook.weight"), clip.need("mm.a.code_embd.weight")
    codes: list[Node] = []
    for i, bins in enumerate(clip.encoder.numbers("rvq.codebook_size")):
        rows = ops.cont(views.view_2d(book, book.ne[0], bins, book.nb[1], i * book.nb[2]))
        sizes = ops.cont(views.transpose(ops.sum_rows(ops.sqr(rows))))
        code = ops.argmax(ops.sub(ops.scale(ops.mul_mat(rows, x)), sizes))
        codes.append(code)
        x = ops.sub(x, ops.get_rows(rows, code))
    total: Node | None = None
    for i, code in enumerate(codes):
        rows = ops.cont(views.view_2d(table, table.ne[0], table.ne[1], table.nb[1], i * table.nb[2]))
        found = ops.get_rows(rows, code)
        total = found if total is None else ops.add(total, found)
    return clip.given(total, "clip.audio.rvq.codebook_size")


def _joined(clip: ClipGraph, x: Node) -> Node:
    """A transformer within groups, each of which becomes one row."""
    size = clip.encoder.number("local_group_size", 1)
    groups = -(-x.ne[1] // size)
    n = groups * size
    x = ops.pad(x, 0, n - x.ne[1]) if n != x.ne[1] else x
    positions, mask = clip.indices(n), clip.mask(n)
    for il in range(clip.encoder.number("local_block_count")):
        block = f"mm.a.local_blk.{il}"
        y = clip.norm(x, f"{block}.ln1", rms=True)
        q, k, v = (views.reshape(clip.linear(y, f"{block}.attn_{part}"), clip.d_head, clip.n_head, n) for part in "qkv")
        q, k = ops.rope(q, positions), ops.rope(k, positions)
        x = ops.add(x, clip.attention(q, k, v, f"{block}.attn_out", mask))
        y = clip.norm(x, f"{block}.ln2", rms=True)
        x = ops.add(x, clip.ffn(y, f"{block}.ffn_up", f"{block}.ffn_down", gate=f"{block}.ffn_gate"))
    x = views.reshape(clip.norm(x, "mm.a.local_norm", rms=True), clip.n_embd * size, groups)
    x = ops.unary("GELU_ERF", clip.product(clip.need("mm.a.mlp.1.weight"), x))
    return clip.product(clip.need("mm.a.mlp.2.weight"), x)

"""Encoders that shrink a spectrogram by convolutions (tools/mtmd/models/qwen3a.cpp, dots3note.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit

# Frames that qwen3a takes together.
_CHUNK = 100


def _shrunk(clip: ClipGraph, x: Node) -> Node:
    """Three convolutions, each of which halves both sides, and a product."""
    for i in (1, 2, 3):
        x = conv_2d(clip.need(f"a.conv2d.{i}.weight"), x, 2, 1)
        x = ops.add(x, views.reshape(clip.need(f"a.conv2d.{i}.bias"), 1, 1, x.ne[2]))
        x = ops.unary("GELU_ERF", x)
    x = ops.cont(views.permute(x, 2, 0, 1, 3))
    x = views.reshape(x, x.ne[0] * x.ne[1], x.ne[2] * x.ne[3])
    return ops.mul_mat(clip.need("a.conv_out.weight"), x)


def qwen3a(clip: ClipGraph) -> Node:
    """Positions begin anew in every chunk of frames."""
    frames, bins = clip.encoder.width, clip.encoder.height
    chunks = frames // _CHUNK
    x = views.view_4d(clip.image(1), (_CHUNK, bins, 1, chunks), 4 * frames, 4 * _CHUNK, 4 * _CHUNK)
    x = _shrunk(clip, ops.cont(x))
    table, n_pos = clip.need("a.position_embd.weight"), x.ne[1]
    own = views.view_2d(table, table.ne[0], n_pos // chunks, table.nb[1])
    x = ops.add(x, ops.repeat(own, (table.ne[0], n_pos, 1, 1)))
    return clip.ffn(clip.vit(x, Vit(n_pos=n_pos)), "mm.a.mlp.1", "mm.a.mlp.2")


def dots3note_a(clip: ClipGraph) -> Node:
    """Positions turn Q and K, and a norm stands before the projection."""
    x = _shrunk(clip, clip.image(1))
    positions = clip.indices(x.ne[1])
    x = clip.vit(x, Vit(n_pos=x.ne[1], turn=lambda x: ops.rope(x, positions)))
    return clip.ffn(clip.norm(x, "mm.a.norm_pre", rms=False), "mm.a.mlp.1", "mm.a.mlp.3")

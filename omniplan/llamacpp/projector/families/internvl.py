"""Towers with a class token that is dropped before patches merge (models/internvl.cpp, nemotron-v2-vl.cpp)."""

from __future__ import annotations

from dataclasses import replace

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit

# The one tower of this kind with RMS norms, by width and layers, as clip_graph_internvl knows it.
_LARGE = (3200, 45)


def internvl(clip: ClipGraph) -> Node:
    """Patches merged column by column, and two layers after a norm."""
    clip.kind = replace(clip.kind, rms_norm=(clip.n_embd, clip.encoder.n_layer) == _LARGE)
    first = clip.need("v.class_embd")
    x = ops.concat(clip.patches(), ops.repeat(first, (first.ne[0], 1, 1, 1)), 1)
    x = clip.vit(x, Vit(n_pos=clip.n_patches + 1, learned=clip.need("v.position_embd.weight")))
    x = ops.cont(views.view_3d(x, clip.n_embd, clip.n_patches, 1, x.nb[1], x.nb[2]))
    n, columns, rows = clip.encoder.n_merge, clip.columns, clip.rows
    x = views.swap_middle(views.reshape(x, clip.n_embd * n, rows // n, columns))
    x = views.swap_middle(ops.cont(x, (clip.n_embd * n * n, rows // n, columns // n, 1)))
    x = ops.cont_2d(x, x.ne[0], x.ne[1] * x.ne[2])
    return clip.ffn(clip.norm(x, "mm.model.mlp.0", rms=False), "mm.model.mlp.1", "mm.model.mlp.3")


def nemotron(clip: ClipGraph) -> Node:
    """Registers before the patches, and squares in the projection."""
    first = clip.need("v.class_embd")
    x = ops.concat(first, ops.add(clip.patches(), clip.need("v.position_embd.weight")), 1)
    x = clip.vit(x, Vit(n_pos=clip.n_patches + first.ne[1]))
    step = x.type.row_size(clip.n_embd)
    x = clip.merged(views.view_2d(x, clip.n_embd, clip.n_patches, step, first.ne[1] * step))
    x = ops.mul(ops.rms_norm(x), clip.need("mm.model.mlp.0.weight"))
    x = ops.sqr(ops.unary("RELU", ops.mul_mat(clip.need("mm.model.mlp.1.weight"), x)))
    return ops.mul_mat(clip.need("mm.model.mlp.3.weight"), x)

"""Plain vision transformers with one projection each (tools/mtmd/models/siglip.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit


def _trunk(clip: ClipGraph, learned: Node | None) -> Node:
    return clip.vit(clip.patches(), Vit(n_pos=clip.n_patches, learned=learned))


def _fixed(clip: ClipGraph) -> Node:
    return _trunk(clip, clip.weight("v.position_embd.weight"))


def gemma3(clip: ClipGraph) -> Node:
    """Tokens pooled in a square grid, and a projection stored the other way round."""
    merge, side = clip.encoder.n_merge, clip.columns
    x = ops.cont(views.transpose(_fixed(clip)), (side, side, clip.n_embd, 1))
    x = ops.pool_2d(x, side // merge, side // merge)
    x = ops.cont(views.transpose(views.reshape(x, x.ne[0] * x.ne[0], clip.n_embd)))
    x = ops.mul(ops.rms_norm(x), clip.need("mm.soft_emb_norm.weight"))
    return ops.mul_mat(ops.cont(views.transpose(clip.need("mm.input_projection.weight"))), x)


def idefics3(clip: ClipGraph) -> Node:
    """Tokens merged, and one matrix."""
    return clip.product(clip.need("mm.model.fc.weight"), clip.merged(_fixed(clip)))


def lfm2(clip: ClipGraph) -> Node:
    """Tokens merged, normalised where there is a norm, and two layers."""
    x = clip.merged(_trunk(clip, clip.resized_positions()))
    if clip.weight("mm.input_norm.weight") is not None:
        x = ops.mul(ops.norm(x), clip.need("mm.input_norm.weight"))
    return clip.ffn(clip.plus(x, "mm.input_norm.bias"), "mm.1", "mm.2")


def janus_pro(clip: ClipGraph) -> Node:
    """Two layers per patch."""
    return clip.ffn(_fixed(clip), "mm.0", "mm.1")


def phi4(clip: ClipGraph) -> Node:
    """Two layers per patch, positions resized."""
    return clip.ffn(_trunk(clip, clip.resized_positions()), "mm.0", "mm.2")

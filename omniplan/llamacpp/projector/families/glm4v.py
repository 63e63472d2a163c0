"""GLM-4V and its kin (tools/mtmd/models/glm4v.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit


def glm4v(clip: ClipGraph) -> Node:
    """Pairs of frames in blocks of two by two, merged by a convolution, and a gated layer."""
    x = clip.plus(clip.by_blocks(views.permute(clip.both_frames(), 1, 2, 0, 3)), "v.patch_embd.bias")
    if clip.weight("v.norm_embd.weight") is not None:
        x = clip.norm(x, "v.norm_embd")
    has_learned = clip.weight("v.position_embd.weight") is not None
    learned = clip.by_blocks(clip.resized_positions()) if has_learned else None
    positions = clip.indices(clip.n_patches * 4)
    x = clip.vit(x, Vit(n_pos=clip.n_patches, learned=learned, turn=lambda x: ops.rope(x, positions)))
    n = clip.encoder.n_merge
    count = clip.n_patches // n // n
    x = ops.cont(views.permute(views.reshape(x, clip.n_embd, n, n, count), 2, 0, 1, 3))
    x = conv_2d(clip.need("mm.patch_merger.weight"), x, n)
    x = clip.plus(views.reshape(x, x.ne[2], count), "mm.patch_merger.bias")
    x = clip.norm(clip.product(clip.need("mm.model.fc.weight"), x), "mm.post_norm", rms=False)
    return clip.ffn(ops.unary("GELU_ERF", x), "mm.up", "mm.down", gate="mm.gate")

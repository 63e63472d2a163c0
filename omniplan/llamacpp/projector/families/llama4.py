"""Llama 4 and CogVLM (tools/mtmd/models/llama4.cpp, cogvlm.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import im2col
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit, rope_2d


def llama4(clip: ClipGraph) -> Node:
    """A class token that is dropped before patches merge, and two layers without bias."""
    n_pos, side = clip.n_patches + 1, clip.encoder.patch_size
    down, across = clip.indices(n_pos), clip.indices(n_pos)
    weight = clip.need("v.patch_embd.weight")
    kernel = views.reshape(weight, side, side, 3, clip.n_embd)
    cut = im2col(kernel, clip.image(), (side, side), (0, 0), ops.F32)
    x = views.reshape(ops.mul_mat(weight, cut), clip.n_embd, clip.n_patches)
    x = ops.concat(x, clip.need("v.class_embd"), 1)
    learned = clip.need("v.position_embd.weight")
    x = clip.vit(x, Vit(n_pos=n_pos, learned=learned, turn=lambda x: rope_2d(x, across, down)))
    x = _shuffled(clip, views.view_2d(x, clip.n_embd, clip.n_patches, x.type.row_size(clip.n_embd)))
    for name in ("mm.model.mlp.1.weight", "mm.model.mlp.2.weight"):
        x = ops.unary("GELU", ops.mul_mat(clip.need(name), x))
    return ops.mul_mat(clip.need("mm.model.fc.weight"), x)


def cogvlm(clip: ClipGraph) -> Node:
    """Norms behind attention and feed forward, a gated projection, and an embedding before and after."""
    x = ops.concat(clip.patches(), clip.need("v.class_embd"), 1)
    x = ops.add(x, clip.need("v.position_embd.weight"))
    for il in range(clip.encoder.n_layer):
        q, k, v = clip.heads(il, x, clip.n_patches + 1)
        y = clip.attention(q, k, v, clip.layer(il, "attn_out"))
        x = ops.add(clip.norm(y, clip.layer(il, "ln1")), x)
        x = ops.add(clip.norm(clip.layer_ffn(il, x), clip.layer(il, "ln2")), x)
    x = views.view_2d(x, clip.n_embd, clip.n_patches, x.type.row_size(clip.n_embd))
    x = clip.norm(clip.product(clip.need("mm.model.fc.weight"), x), "mm.post_fc_norm")
    x = ops.unary_inplace("GELU", x)
    up, gate = (ops.mul_mat(clip.need(f"mm.{name}.weight"), x) for name in ("up", "gate"))
    x = ops.mul_mat(clip.need("mm.down.weight"), ops.glu("SWIGLU", gate, up))
    return ops.concat(ops.concat(clip.need("v.boi"), x, 1), clip.need("v.eoi"), 1)


def _shuffled(clip: ClipGraph, x: Node) -> Node:
    n, columns, rows = clip.encoder.n_merge, clip.columns, clip.rows
    x = views.swap_middle(views.reshape(x, clip.n_embd * n, columns // n, rows))
    x = ops.cont(x, (clip.n_embd * n * n, columns // n, rows // n, 1))
    return ops.cont_2d(x, clip.n_embd * n * n, clip.n_patches // n // n)

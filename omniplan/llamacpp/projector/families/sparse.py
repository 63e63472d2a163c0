"""Windows of attention whose order the host gives (tools/mtmd/models/youtuvl.cpp, muse-glimmer.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit, rope_2d

# Patches per side of a block, which both graphs know by themselves; muse-glimmer's layers that see everything.
_SIDE, _GLOBAL = 2, 4


def youtuvl(clip: ClipGraph) -> Node:
    """Patches cut by moving elements, and the header's layers that see everything."""
    n_pos, blocks, wide = clip.n_patches, clip.n_patches // _SIDE**2, clip.n_embd * _SIDE**2
    everything = clip.encoder.numbers("wa_layer_indexes")
    positions = clip.indices(n_pos * 4)
    x = clip.plus(clip.product(clip.need("v.patch_embd.weight"), _cut(clip)), "v.patch_embd.bias")
    x = views.reshape(x, clip.n_embd, n_pos)
    if clip.weight("v.pre_ln.weight") is not None:
        x = clip.norm(x, "v.pre_ln")
    mask: Node | None = None
    if everything:
        mask = clip.mask(n_pos)
        mask = ops.cast(mask, ops.F16) if clip.flash_attn and not clip.half_masks else mask
        x = ops.get_rows(views.reshape(x, wide, blocks), clip.indices(blocks))
        x = views.reshape(x, clip.n_embd, n_pos)
    spec = Vit(n_pos=n_pos, turn=lambda x: ops.rope(x, positions), mask=lambda il: None if il in everything else mask)
    for il in range(clip.encoder.n_layer):
        x = clip.vit_layer(il, x, spec)
    if everything:
        x = ops.get_rows(views.reshape(x, wide, blocks), clip.indices(blocks))
        x = views.reshape(x, clip.n_embd, n_pos)
    if clip.weight("v.post_ln.weight") is not None:
        x = clip.norm(x, "v.post_ln")
    x = ops.mul(ops.rms_norm(x), clip.need("mm.input_norm.weight"))
    return clip.ffn(views.reshape(x, wide, blocks), "mm.0", "mm.2")


def _cut(clip: ClipGraph) -> Node:
    """The image as rows of one patch each, block by block."""
    side, columns, rows = clip.encoder.patch_size, clip.columns // _SIDE, clip.rows // _SIDE
    wide, blocks = _SIDE * side, columns * rows
    x = views.reshape(clip.image(), columns * wide, wide, rows, 3)
    x = ops.cont(views.permute(x, 1, 2, 3, 0), (wide * 3, columns, wide, rows))
    x = ops.cont(views.swap_middle(x), (wide * 3, side, _SIDE, blocks))
    x = ops.cont(views.permute(x, 1, 0, 2, 3), (side, 3, side, blocks * _SIDE**2))
    return ops.cont(views.permute(x, 2, 0, 1, 3), (3 * side * side, blocks * _SIDE**2, 1, 1))


def muse_glimmer(clip: ClipGraph) -> Node:
    """Every fourth layer sees everything, and the last."""
    n_pos, n, n_layer = clip.n_patches, clip.encoder.n_merge, clip.encoder.n_layer
    across, down = clip.indices(n_pos), clip.indices(n_pos)
    mask = clip.mask(n_pos)
    x = ops.get_rows(ops.add(clip.patches(), clip.resized_positions()), clip.indices(n_pos))
    spec = Vit(
        n_pos=n_pos,
        turn=lambda x: rope_2d(x, across, down),
        mask=lambda il: None if il == n_layer - 1 or (il + 1) % _GLOBAL == 0 else mask,
    )
    x = ops.get_rows(clip.vit(x, spec), clip.indices(n_pos))
    n_out = (clip.columns // n) * (clip.rows // n)
    x = views.reshape(ops.get_rows(x, clip.indices(n_pos)), clip.n_embd, n * n, n_out)
    x = views.reshape(ops.cont(views.permute(x, 1, 0, 2, 3)), clip.n_embd * n * n, n_out)
    for name in ("mm.0.weight", "mm.1.weight"):
        x = ops.unary("GELU_ERF", clip.product(clip.need(name), x))
    return clip.product(clip.need("mm.2.weight"), x)

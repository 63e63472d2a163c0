"""MiMo-VL: windows along rows and along columns, with sinks (tools/mtmd/models/mimovl.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph
from omniplan.llamacpp.projector.families.qwen import grouped_heads

# clip.vision.wa_pattern_mode of a layer that sees everything, and of one whose windows run along columns.
_FULL, _BY_COLUMN = -1, 1


def mimovl(clip: ClipGraph) -> Node:
    """Blocks of patches change their order wherever windows change direction."""
    block = clip.encoder.n_merge**2
    units = clip.n_patches // block
    x = clip.by_blocks(views.permute(clip.both_frames(), 1, 2, 0, 3))
    along = {is_by_column: clip.indices(clip.n_patches * 4) for is_by_column in (False, True)}
    order = clip.input(ops.F32, units)
    orders = {True: ops.cast(order, ops.I32), False: ops.argsort(order)}
    mask = clip.mask(clip.n_patches)
    mask = ops.cast(mask, ops.F16) if clip.flash_attn and not clip.half_masks else mask
    width = clip.need("v.blk.0.attn_qkv.weight").ne[1] // (clip.n_head + 2 * clip.n_head_kv)

    def ordered(x: Node, *, by_column: bool) -> Node:
        x = ops.get_rows(views.reshape(x, clip.n_embd * block, units), orders[by_column])
        return views.reshape(x, clip.n_embd, clip.n_patches)

    was_by_column = False
    for il, mode in enumerate(clip.encoder.numbers("wa_pattern_mode")):
        by_column = mode == _BY_COLUMN
        if by_column is not was_by_column:
            x = ordered(x, by_column=by_column)
        was_by_column = by_column
        q, k, v = grouped_heads(clip, il, clip.norm(x, clip.layer(il, "ln1")), width)
        q, k = ops.rope(q, along[by_column]), ops.rope(k, along[by_column])
        sinks = None if mode == _FULL else clip.need(clip.layer(il, "attn_sinks"))
        y = clip.attention(q, k, v, clip.layer(il, "attn_out"), None if mode == _FULL else mask, sinks)
        x = ops.add(y, x)
        x = ops.add(x, clip.layer_ffn(il, clip.norm(x, clip.layer(il, "ln2"))))
    if was_by_column:
        x = ordered(x, by_column=False)
    x = views.reshape(clip.norm(x, "v.post_ln", rms=False), clip.n_embd * block, units)
    x = ops.unary("GELU", ops.mul_mat(clip.need("mm.0.weight"), x))
    return ops.mul_mat(clip.need("mm.2.weight"), x)

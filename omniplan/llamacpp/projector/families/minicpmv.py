"""MiniCPM-V, whose projection is one more attention over fixed queries (tools/mtmd/models/minicpmv.cpp)."""

from __future__ import annotations

from collections.abc import Sequence

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit

_D_HEAD = 128
# The merge of a file that merges at the end alone.
_AT_THE_END = 2


def minicpmv(clip: ClipGraph) -> Node:
    """Positions in sines and cosines are added to the keys."""
    n_pos = clip.n_patches
    width = clip.need("resampler.proj.weight").ne[0]
    learned = ops.get_rows(clip.need("v.position_embd.weight"), clip.indices(n_pos))
    x = clip.vit(clip.patches(), Vit(n_pos=n_pos, learned=learned))
    v = clip.product(clip.need("resampler.kv.weight"), x)
    q = clip.norm(clip.need("resampler.query"), "resampler.ln_q")
    v = clip.norm(v, "resampler.ln_kv")
    k = ops.add(v, _waves(clip, width))
    q, k, v = (clip.linear(part, f"resampler.attn.{name}") for part, name in ((q, "q"), (k, "k"), (v, "v")))
    q, k, v = (views.reshape(part, _D_HEAD, width // _D_HEAD, part.ne[1]) for part in (q, k, v))
    x = clip.norm(clip.attention(q, k, v, "resampler.attn.out"), "resampler.ln_post")
    return clip.product(clip.need("resampler.proj.weight"), x)


def minicpmv4_6(clip: ClipGraph) -> Node:
    """Blocks of two by two are merged behind some layer, where the file can, and at the end."""
    n_pos, half = clip.n_patches, (clip.rows // 2) * (clip.columns // 2)
    learned = ops.get_rows(clip.need("v.position_embd.weight"), clip.indices(n_pos))
    x = ops.add(clip.patches(), learned)
    if clip.weight("v.pre_ln.weight") is not None:
        x = clip.norm(x, "v.pre_ln")
    first = 0
    if clip.encoder.n_merge != _AT_THE_END:
        first = next(iter(clip.encoder.numbers("wa_layer_indexes")), 0) + 1
        for il in range(first):
            x = clip.vit_layer(il, x, Vit(n_pos=n_pos))
        x = _merged_early(clip, x, half)
        n_pos = half
    for il in range(first, clip.encoder.n_layer):
        x = clip.vit_layer(il, x, Vit(n_pos=n_pos))
    if clip.weight("v.post_ln.weight") is not None:
        x = clip.norm(x, "v.post_ln")
    n_out = half if clip.encoder.n_merge == _AT_THE_END else (clip.rows // 4) * (clip.columns // 4)
    corners = [ops.get_rows(x, clip.indices(n_out)) for _ in range(4)]
    return clip.ffn(clip.norm(_side_by_side(corners), "mm.input_norm"), "mm.up", "mm.down")


def _merged_early(clip: ClipGraph, x: Node, half: int) -> Node:
    """Attention within each block, and two layers that add to its mean."""
    n_pos = clip.n_patches
    mask = clip.mask(n_pos)
    mask = ops.cast(mask, ops.F16) if clip.flash_attn and not clip.half_masks else mask
    y = ops.get_rows(clip.norm(x, "v.vit_merger.ln1"), clip.indices(n_pos))
    parts = (clip.linear(y, f"v.vit_merger.attn_{part}") for part in "qkv")
    q, k, v = (views.reshape(part, clip.d_head, clip.n_head, n_pos) for part in parts)
    y = clip.attention(q, k, v, "v.vit_merger.attn_out", mask)
    x = ops.add(ops.get_rows(y, clip.indices(n_pos)), x)
    corners = [ops.get_rows(x, clip.indices(half)) for _ in range(4)]
    mean = corners[0]
    for corner in corners[1:]:
        mean = ops.add(mean, corner)
    y = clip.norm(_side_by_side(corners), "v.vit_merger.ds_ln")
    return ops.add(clip.ffn(y, "v.vit_merger.ds_ffn_up", "v.vit_merger.ds_ffn_down"), ops.scale(mean))


def _side_by_side(parts: Sequence[Node]) -> Node:
    x = parts[0]
    for part in parts[1:]:
        x = ops.concat(x, part, 0)
    return x


def _waves(clip: ClipGraph, width: int) -> Node:
    n_pos = clip.n_patches
    frequencies = clip.input(ops.F32, width // 4)
    down, across = clip.input(ops.F32, 1, n_pos), clip.input(ops.F32, 1, n_pos)
    repeated = ops.repeat(frequencies, (frequencies.ne[0], n_pos, 1, 1))
    halves = [_wave(ops.mul(repeated, positions)) for positions in (across, down)]
    return ops.concat(halves[0], halves[1], 0)


def _wave(a: Node) -> Node:
    return ops.concat(ops.like("SIN", a), ops.like("COS", a), 0)

"""Qwen's vision transformers: pairs of frames, blocks of two by two, windows (models/qwen2vl.cpp, qwen3vl.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import F16
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Heads, Vit

# Patches of a block, which these graphs fix whatever the header merges by.
_BLOCK = 4


def _turn(clip: ClipGraph) -> Vit:
    positions = clip.indices(clip.n_patches * 4)
    return Vit(n_pos=clip.n_patches, turn=lambda x: ops.rope(x, positions))


def _cut(clip: ClipGraph) -> Node:
    return clip.by_blocks(views.permute(clip.both_frames(), 1, 2, 0, 3))


def qwen2vl(clip: ClipGraph) -> Node:
    """A head of K and V for each of Q."""
    return _windowed(clip, None)


def exaone4_5(clip: ClipGraph) -> Node:
    """Fewer heads of K and V."""
    return _windowed(clip, lambda il, x: grouped_heads(clip, il, x, clip.d_head))


def grouped_heads(clip: ClipGraph, il: int, x: Node, width: int) -> tuple[Node, Node, Node]:
    """Q, K and V of one product, heads of K and V being fewer."""
    x = clip.linear(x, clip.layer(il, "attn_qkv"))
    n_pos, size, step = clip.n_patches, x.type.size, x.nb[1]

    def part(heads: int, skipped: int) -> Node:
        return views.view_3d(x, width, heads, n_pos, size * width, step, size * width * skipped)

    n, n_kv = clip.n_head, clip.n_head_kv
    return part(n, 0), part(n_kv, n), part(n_kv, n + n_kv)


def _windowed(clip: ClipGraph, heads: Heads | None) -> Node:
    """Attention within windows but for every n-th layer, where the header has such a pattern."""
    pattern, n_pos, n_blocks = clip.encoder.number("n_wa_pattern"), clip.n_patches, clip.n_patches // _BLOCK
    x = _cut(clip)
    spec = _turn(clip)
    if clip.weight("v.pre_ln.weight") is not None:
        x = clip.norm(x, "v.pre_ln")
    mask: Node | None = None
    if pattern:
        order, mask = clip.indices(n_blocks), clip.mask(n_pos)
        mask = ops.cast(mask, F16) if clip.flash_attn and not clip.half_masks else mask
        x = ops.get_rows(views.reshape(x, clip.n_embd * _BLOCK, n_blocks), order)
        x = views.reshape(x, clip.n_embd, n_pos)
    spec = Vit(
        n_pos=n_pos, turn=spec.turn, heads=heads, mask=lambda il: mask if pattern and (il + 1) % pattern else None
    )
    for il in range(clip.encoder.n_layer):
        x = clip.vit_layer(il, x, spec)
    x = _projected(clip, x)
    if pattern:
        width = clip.encoder.number("projection_dim")
        x = ops.get_rows(views.reshape(x, width, n_blocks), clip.indices(n_blocks))
        x = views.reshape(x, width, n_blocks)
    return x


def qwen3vl(clip: ClipGraph) -> Node:
    """Learned positions, and features of some layers beside the last."""
    x = clip.plus(_cut(clip), "v.patch_embd.bias")
    x = ops.add(x, clip.by_blocks(clip.resized_positions()))
    spec = _turn(clip)
    if clip.weight("v.pre_ln.weight") is not None:
        x = clip.norm(x, "v.pre_ln")
    features: Node | None = None
    for il in range(clip.encoder.n_layer):
        x = clip.vit_layer(il, x, spec)
        if clip.weight(f"v.deepstack.{il}.fc1.weight") is not None:
            found = _deep(clip, il, x)
            features = found if features is None else ops.concat(features, found, 0)
    x = _projected(clip, x)
    return x if features is None else ops.concat(x, features, 0)


def ling3vl(clip: ClipGraph) -> Node:
    """Learned positions, and a norm of every patch before blocks are projected."""
    x = clip.plus(_cut(clip), "v.patch_embd.bias")
    learned = clip.by_blocks(clip.resized_positions())
    x = clip.vit(x, Vit(n_pos=clip.n_patches, learned=learned, turn=_turn(clip).turn))
    x = views.reshape(clip.norm(x, "mm.input_norm"), clip.n_embd * _BLOCK, clip.n_patches // _BLOCK)
    return clip.ffn(x, "mm.0", "mm.2")


def _deep(clip: ClipGraph, il: int, x: Node) -> Node:
    """The feature that layer ``il`` adds to the embedding."""
    block = clip.encoder.n_merge**2 or _BLOCK
    x = views.reshape(x, clip.n_embd * block, clip.n_patches // block)
    return clip.ffn(clip.norm(x, f"v.deepstack.{il}.norm"), f"v.deepstack.{il}.fc1", f"v.deepstack.{il}.fc2")


def _projected(clip: ClipGraph, x: Node) -> Node:
    if clip.weight("v.post_ln.weight") is not None:
        x = clip.norm(x, "v.post_ln")
    return clip.ffn(views.reshape(x, clip.n_embd * _BLOCK, clip.n_patches // _BLOCK), "mm.0", "mm.2")

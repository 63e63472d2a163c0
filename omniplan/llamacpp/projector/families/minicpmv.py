"""MiniCPM-V, whose projection is one more attention over fixed queries (tools/mtmd/models/minicpmv.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit

_D_HEAD = 128


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


def _waves(clip: ClipGraph, width: int) -> Node:
    n_pos = clip.n_patches
    frequencies = clip.input(ops.F32, width // 4)
    down, across = clip.input(ops.F32, 1, n_pos), clip.input(ops.F32, 1, n_pos)
    repeated = ops.repeat(frequencies, (frequencies.ne[0], n_pos, 1, 1))
    halves = [_wave(ops.mul(repeated, positions)) for positions in (across, down)]
    return ops.concat(halves[0], halves[1], 0)


def _wave(a: Node) -> Node:
    return ops.concat(ops.like("SIN", a), ops.like("COS", a), 0)

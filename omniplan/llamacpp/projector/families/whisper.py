"""Whisper's encoder with one projection each (tools/mtmd/models/whisper-enc.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_1d
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph, Vit


def _encoded(clip: ClipGraph) -> Node:
    """Two convolutions, the second of which halves the frames, and the transformer."""
    x = clip.image(1)
    for name, stride in (("a.conv1d.1", 1), ("a.conv1d.2", 2)):
        kernel = clip.need(f"{name}.weight")
        x = ops.unary("GELU_ERF", clip.plus(conv_1d(kernel, x, stride, kernel.ne[0] // 2), f"{name}.bias"))
    x, n_pos = ops.cont(views.transpose(x)), clip.encoder.width // 2
    table = clip.need("a.position_embd.weight")
    return clip.vit(x, Vit(n_pos=n_pos, learned=views.view_2d(table, table.ne[0], n_pos, table.nb[1])))


def _stacked(clip: ClipGraph) -> Node:
    return clip.stacked(_encoded(clip), clip.encoder.number("projector.stack_factor"))


def ultravox(clip: ClipGraph) -> Node:
    """Frames stacked, and a gated layer between two norms."""
    x = ops.mul(ops.rms_norm(_stacked(clip)), clip.need("mm.a.norm_pre.weight"))
    x = ops.glu_packed("SWIGLU", clip.product(clip.need("mm.a.mlp.1.weight"), x))
    x = ops.mul(ops.rms_norm(x), clip.need("mm.a.norm_mid.weight"))
    return clip.product(clip.need("mm.a.mlp.2.weight"), x)


def qwen2a(clip: ClipGraph) -> Node:
    """One layer."""
    return clip.linear(_encoded(clip), "mm.a.fc")


def voxtral(clip: ClipGraph) -> Node:
    """Frames stacked, and two layers."""
    return clip.ffn(_stacked(clip), "mm.a.mlp.1", "mm.a.mlp.2")


def musicflamingo(clip: ClipGraph) -> Node:
    """Two layers."""
    return clip.ffn(_encoded(clip), "mm.a.mlp.1", "mm.a.mlp.2")


def meralion(clip: ClipGraph) -> Node:
    """Frames stacked and compressed, then gated."""
    x = ops.unary("SILU", clip.linear(clip.norm(_stacked(clip), "mm.a.norm_pre"), "mm.a.mlp.0"))
    gate = ops.unary("SILU", clip.linear(x, "mm.a.mlp.1"))
    return clip.linear(ops.mul(gate, clip.linear(x, "mm.a.mlp.2")), "mm.a.mlp.3")


def glma(clip: ClipGraph) -> Node:
    """Normalised, stacked, two layers, and an embedding before and after."""
    x = clip.norm(_encoded(clip), "mm.a.norm_pre")
    x = clip.stacked(x, clip.encoder.number("projector.stack_factor"))
    x = clip.ffn(x, "mm.a.mlp.1", "mm.a.mlp.2")
    return ops.concat(ops.concat(clip.need("v.boi"), x, 1), clip.need("v.eoi"), 1)

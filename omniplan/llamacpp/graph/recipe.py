"""The facts in which decoder architectures differ; ``decoder`` turns them into a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import AttentionInput
from omniplan.llamacpp.graph.moe import Moe
from omniplan.llamacpp.graph.node import Node


@dataclass(slots=True, kw_only=True)
class Inputs:
    """Inputs that layers share; one that no layer reads never enters the graph."""

    positions: Node
    out_ids: Node
    attention: AttentionInput | None = None
    attn_scale: Node | None = None


Attention = Callable[[Builder, "Recipe", Inputs, int, Node], Node]
Feed = Callable[[Builder, "Recipe", int, Node], Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One decoder architecture as facts; the defaults are llama's.

    norm: "rms" or "layer", for every norm unless ``qk_norm_kind`` says otherwise.
    embedding: "" as looked up, "scale" times a constant, "scale_tokens" token rows only, "norm" normalised.
    attn_norm: name of the norm before attention, "" for none; ``ffn_norm`` likewise before the FFN.
    qk_norm: "" none, "before" or "after" rope per head, "whole" on the flat projection, before rope.
    rope: "all" layers, "sliding" layers only, "none"; ``rope_factors``: frequency divisors are read.
    positions: position ids per token (4 for multi-dimensional rope).
    q_scale: Q is scaled by an operation of its own. attn_temp: Q is multiplied by the temperature input.
    softcap: attention scores are soft-capped. sinks: attention reads ``attn_sinks``.
    post_attn_norm, post_ffn_norm: names of norms after the block, before the residual is added ("" for none).
    post_ffn_pin: whether the norm after the FFN is pinned to its layer's device.
    parallel: "" attention then FFN; "attn" both read the layer input and the FFN output joins attention first;
      "residual" it joins the residual first.
    residual_scale: block outputs are scaled when the header has ``residual_scale``.
    act, gate, ffn_scale: see ``ffn.ffn``. moe: how routed layers route; a layer routes when it owns a router.
    rows: "last" output rows are selected inside the last layer, "end" after it.
    logit_scale: logits are scaled when the header has ``logit_scale``.
    logit_softcap: "" never, "header" when ``final_logit_softcapping`` is set, "always".
    out_bias: whether attention reads ``attn_output.bias``. output_scale, output_bias: whether those tensors are read.
    attention, feed: builders that replace the standard blocks.
    """

    norm: str = "rms"
    embedding: str = ""
    attn_norm: str = "attn_norm"
    ffn_norm: str = "ffn_norm"
    qk_norm: str = ""
    qk_norm_kind: str = "rms"
    rope: str = "all"
    rope_factors: bool = False
    positions: int = 1
    q_scale: bool = False
    attn_temp: bool = False
    softcap: bool = False
    sinks: bool = False
    post_attn_norm: str = ""
    post_ffn_norm: str = ""
    post_ffn_pin: bool = False
    parallel: str = ""
    residual_scale: bool = False
    act: str = "SILU"
    gate: str = "par"
    ffn_scale: bool = False
    moe: Moe | None = None
    rows: str = "last"
    logit_scale: bool = False
    logit_softcap: str = ""
    out_bias: bool = True
    output_scale: bool = True
    output_bias: bool = True
    keys_only: bool = False
    attention: Attention | None = None
    feed: Feed | None = None

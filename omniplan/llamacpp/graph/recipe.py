"""The facts in which decoder architectures differ; ``decoder`` turns them into a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import AttentionInput, Deepstack, RecurrentInput
from omniplan.llamacpp.graph.moe import Moe
from omniplan.llamacpp.graph.node import Node


@dataclass(slots=True, kw_only=True)
class Inputs:
    """Inputs that layers share; one that no layer reads never enters the graph."""

    positions: Node
    out_ids: Node
    attention: AttentionInput | None = None
    recurrent: RecurrentInput | None = None
    attn_scale: Node | None = None
    batch_mask: Node | None = None


class Rope(StrEnum):
    """Which layers have rotary positions.

    SLIDING_IF_ANY: all of them in a model without sliding layers. SLIDING_OR_LEAD: the leading dense layers too.
    NOT_LAST_OF_4, NOT_FIRST_OF_4: all but every fourth. FINETUNED: all, unless ``rope.scaling.finetuned`` is false.
    PATTERN: those that ``attention.rope_pattern`` sets, and all that it does not reach.
    """

    ALL = "all"
    NONE = "none"
    SLIDING = "sliding"
    SLIDING_IF_ANY = "sliding_if_any"
    SLIDING_OR_LEAD = "sliding_or_lead"
    NOT_LAST_OF_4 = "not_last_of_4"
    NOT_FIRST_OF_4 = "not_first_of_4"
    FINETUNED = "finetuned"
    PATTERN = "pattern"


Qkv = Callable[[Builder, int, Node], tuple[Node, Node, Node]]
Attention = Callable[[Builder, "Recipe", Inputs, int, Node], Node]
Feed = Callable[[Builder, "Recipe", int, Node], Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One decoder architecture as facts; the defaults are llama's.

    upstream: the file of src/models whose graph this is, for rows; a module of this name says the same.
    norm: "rms" or "layer", for every norm unless ``qk_norm_kind`` says otherwise.
    embedding: "" as looked up, "scale" times a constant, "scale_tokens" token rows only, "norm" normalised,
      "positions" plus learned position rows where the file has them.
    attn_norm: name of the norm before attention, "" for none; ``ffn_norm`` likewise before the FFN.
    qk_norm: "" none, "before" or "after" rope per head, "whole" on the flat projection, before rope.
    rope: which layers have rotary positions. rope_factors: frequency divisors are read, by sliding layers if
      ``rope_factors_sliding``.
    positions: position ids per token, 4 for multi-dimensional rope; 0: 4 where the header splits the dimensions.
    q_scale: Q is scaled by an operation of its own. attn_temp: Q is multiplied by the temperature input.
    softcap: attention scores are soft-capped. sinks: attention reads ``attn_sinks``.
    cache: attention reads a KV cache, else only the batch itself.
    out_gate: activation of ``attn_gate``, which weighs the attended values per head or element, where present.
    post_attn_norm, post_ffn_norm: names of norms after the block, before the residual is added ("" for none).
    post_attn_pin, post_ffn_pin: whether those norms are pinned to their layer's device.
    parallel: "" attention then FFN; otherwise both read the layer's input x and this is the order of the sum:
      "ffn+attn+x", "ffn+x+attn", "attn+ffn+x" or "ffn+(attn+x)". Attention reads ``attn_norm_2`` where it exists.
    residual_first: whether the residual is the first term of both sums; ``ffn_residual_first``: of the second one.
    has_ffn: a layer with one block only has none.
    residual_scale: block outputs are scaled when the header has ``residual_scale``; "always": whatever it says.
    defaults: header values that the loader assumes when they are missing.
    deepstack: which parts of wide vector inputs join the residual, and where, if the header asks for that.
    act, gate, ffn_scale, ffn_bias: see ``ffn.ffn``. moe: how routed layers route; a layer routes when it owns a router.
    rows: "last" output rows are selected inside the last layer, "post_norm" there, behind the norm after attention,
      "end" after it, "normed" after the final norm, "all" never.
    output_norm: name of the final norm. norm_first: the norm before attention precedes everything else of its layer.
    embedding_out: ``cls.output`` projects the embedding that the host reads.
    hidden_scale: final embeddings are scaled before they become logits.
    logit_scale: logits are scaled when the header has ``logit_scale``; "always": whatever the header says.
    input_head: logits read the token embeddings of the input layer, not a copy on the output device.
    logit_pad: logits are padded to the vocabulary where the output weight has fewer rows.
    logit_softcap: "" never, "header" when ``final_logit_softcapping`` is set, "always".
    out_bias: whether attention reads ``attn_output.bias``. output_scale, output_bias: whether those tensors are read.
    keys_only: the cache holds latent K rows alone. qkv, attention, feed: builders that replace the standard blocks.
    """

    upstream: str = ""
    norm: str = "rms"
    embedding: str = ""
    attn_norm: str = "attn_norm"
    ffn_norm: str = "ffn_norm"
    qk_norm: str = ""
    qk_norm_kind: str = "rms"
    rope: Rope = Rope.ALL
    rope_factors: bool = False
    rope_factors_sliding: bool = True
    positions: int = 1
    q_scale: bool = False
    attn_temp: bool = False
    softcap: bool = False
    sinks: bool = False
    cache: bool = True
    out_gate: str = ""
    post_attn_norm: str = ""
    post_attn_pin: bool = True
    post_ffn_norm: str = ""
    post_ffn_pin: bool = False
    parallel: str = ""
    residual_first: bool = False
    ffn_residual_first: bool = False
    has_ffn: bool = True
    residual_scale: bool | str = False
    defaults: Mapping[str, float] = field(default_factory=dict)
    deepstack: Callable[[Builder], Deepstack | None] | None = None
    act: str = "SILU"
    gate: str = "par"
    ffn_scale: bool = False
    ffn_bias: bool = True
    moe: Moe | None = None
    rows: str = "last"
    norm_first: bool = False
    embedding_out: bool = False
    output_norm: str = "output_norm"
    hidden_scale: bool = False
    logit_scale: bool | str = False
    input_head: bool = False
    logit_pad: bool = False
    logit_softcap: str = ""
    out_bias: bool = True
    output_scale: bool = True
    output_bias: bool = True
    keys_only: bool = False
    qkv: Qkv | None = None
    attention: Attention | None = None
    feed: Feed | None = None

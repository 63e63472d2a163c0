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
    """Inputs that layers share; one that no layer reads never enters the graph.

    ``batch_window`` is the mask of sliding layers without a cache.
    """

    positions: Node
    out_ids: Node
    attention: AttentionInput | None = None
    recurrent: RecurrentInput | None = None
    attn_scale: Node | None = None
    batch_mask: Node | None = None
    batch_window: Node | None = None


class Rope(StrEnum):
    """Which layers have rotary positions.

    SLIDING_IF_ANY: all of them in a model without sliding layers. SLIDING_OR_LEAD: the leading dense layers too.
    NOT_LAST_OF_4, NOT_FIRST_OF_4: all but every fourth. FINETUNED: all, unless ``rope.scaling.finetuned`` is false.
    AT_32_LAYERS: all in a model of 32 layers, none in others (baichuan tells its 7B model so, the others use ALiBi).
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
    AT_32_LAYERS = "at_32_layers"
    PATTERN = "pattern"


class Embedding(StrEnum):
    """What becomes of embeddings: times a constant (all, or token rows only), normalised, plus learned positions."""

    PLAIN = "plain"
    SCALED = "scaled"
    SCALED_TOKENS = "scaled_tokens"
    NORMED = "normed"
    POSITIONS = "positions"


class QkNorm(StrEnum):
    """Where Q and K are normalised: per head before or after rope, or on the flat projection."""

    NONE = "none"
    BEFORE = "before"
    AFTER = "after"
    WHOLE = "whole"


class Rows(StrEnum):
    """Where rows without logits are dropped.

    LAST: inside the last layer, POST_NORM there, behind the norm after attention. END: after it, NORMED: after the
    final norm, ALL: never.
    """

    LAST = "last"
    POST_NORM = "post_norm"
    END = "end"
    NORMED = "normed"
    ALL = "all"


class When(StrEnum):
    """Whether an optional step is taken: never, when its header key is set, or whatever the header says."""

    NEVER = "never"
    HEADER = "header"
    ALWAYS = "always"


Qkv = Callable[[Builder, int, Node], tuple[Node, Node, Node]]
Attention = Callable[[Builder, "Recipe", Inputs, int, Node], Node]
Feed = Callable[[Builder, "Recipe", int, Node], Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One decoder architecture as facts; the defaults are llama's.

    upstream: the file of src/models whose graph this is, for rows; a module of this name says the same.
    norm: "rms" or "layer", for every norm unless ``qk_norm_kind`` says otherwise.
    attn_norm: name of the norm before attention, "" for none; ``ffn_norm`` likewise before the FFN.
    qkv_copied: Q, K and V are copied out of a fused projection, else views of it.
    rope_factors: frequency divisors are read, by sliding layers if
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
    residual_scale: whether block outputs are scaled.
    defaults: header values that the loader assumes when they are missing.
    deepstack: which parts of wide vector inputs join the residual, and where, if the header asks for that.
    act, gate, ffn_scale, ffn_bias: see ``ffn.ffn``. moe: how routed layers route; a layer routes when it owns a router.
    output_norm: name of the final norm. norm_first: the norm before attention precedes everything else of its layer.
    embedding_out: ``cls.output`` projects the embedding that the host reads.
    hidden_scale: final embeddings are scaled before they become logits.
    logit_scale: whether logits are scaled. logit_softcap: whether they are bounded (``final_logit_softcapping``).
    logits: whether there are any; an encoder ends with its rows.
    input_head: logits read the token embeddings of the input layer, not a copy on the output device.
    logit_pad: logits are padded to the vocabulary where the output weight has fewer rows.
    out_bias: whether attention reads ``attn_output.bias``. output_scale, output_bias: whether those tensors are read.
    beta_copied: the gate of a grouped delta net is copied before its sigmoid.
    keys_only: the cache holds latent K rows alone. qkv, attention, feed: builders that replace the standard blocks.
    """

    upstream: str = ""
    norm: str = "rms"
    embedding: Embedding = Embedding.PLAIN
    attn_norm: str = "attn_norm"
    ffn_norm: str = "ffn_norm"
    qkv_copied: bool = False
    qk_norm: QkNorm = QkNorm.NONE
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
    residual_scale: When = When.NEVER
    defaults: Mapping[str, float] = field(default_factory=dict)
    deepstack: Callable[[Builder], Deepstack | None] | None = None
    act: str = "SILU"
    gate: str = "par"
    ffn_scale: bool = False
    ffn_bias: bool = True
    moe: Moe | None = None
    rows: Rows = Rows.LAST
    norm_first: bool = False
    embedding_out: bool = False
    output_norm: str = "output_norm"
    hidden_scale: bool = False
    logit_scale: When = When.NEVER
    input_head: bool = False
    logits: bool = True
    logit_pad: bool = False
    logit_softcap: When = When.NEVER
    out_bias: bool = True
    output_scale: bool = True
    output_bias: bool = True
    beta_copied: bool = True
    keys_only: bool = False
    qkv: Qkv | None = None
    attention: Attention | None = None
    feed: Feed | None = None

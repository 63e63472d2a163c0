"""What a tensor is for, told from its name in the file."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a tensor is for."""

    TOKEN_EMBEDDING = "token_embedding"
    OUTPUT = "output"
    NORM = "norm"
    ATTENTION = "attention"
    INDEXER = "indexer"
    RECURRENT = "recurrent"
    ROUTER = "router"
    ROUTED_EXPERT = "routed_expert"
    SHARED_EXPERT = "shared_expert"
    DENSE_FFN = "dense_ffn"
    NEXTN = "nextn"
    OTHER = "other"


_BLOCK: Final = re.compile(r"^(?:enc\.|dec\.)?blk\.(\d+)\.(.+)$")

# First match wins; names from llama.cpp b11434 src/llama-arch.cpp:LLM_TENSOR_NAMES.
_LAYER_RULES: Final[tuple[tuple[re.Pattern[str], Role], ...]] = tuple(
    (re.compile(pattern), role)
    for pattern, role in (
        (r"^nextn\.", Role.NEXTN),
        (r"_(ch)?exps\b|^ffn_(gate|up|down)\.\d+\.", Role.ROUTED_EXPERT),
        (r"_shexp\b", Role.SHARED_EXPERT),
        (r"^(ffn_gate_inp|exp_probs_b|ffn_gate_tid2eid)", Role.ROUTER),
        (r"^indexer", Role.INDEXER),
        (r"^(ssm_|time_mix_|channel_mix_|shortconv)", Role.RECURRENT),
        (r"norm", Role.NORM),
        (r"^(attn_|vis_attn|cross_attn)", Role.ATTENTION),
        (r"^(ffn_|vis_(gate|down|up))", Role.DENSE_FFN),
    )
)
_GLOBAL_RULES: Final[tuple[tuple[re.Pattern[str], Role], ...]] = tuple(
    (re.compile(pattern), role)
    for pattern, role in (
        (r"^(token_embd|position_embd|token_types|per_layer_token_embd)\.", Role.TOKEN_EMBEDDING),
        (r"^output\.", Role.OUTPUT),
        (r"norm", Role.NORM),
    )
)


def layer_of(name: str) -> int | None:
    """The layer index in ``blk.N.``, or None for a tensor outside the layers."""
    match = _BLOCK.match(name)
    return int(match.group(1)) if match else None


def role_of(name: str, n_layer: int) -> Role:
    """Role of the tensor called ``name`` in a model with ``n_layer`` trunk layers; layers from there on are nextn."""
    match = _BLOCK.match(name)
    if match is None:
        return next((role for pattern, role in _GLOBAL_RULES if pattern.search(name)), Role.OTHER)
    if int(match.group(1)) >= n_layer:
        return Role.NEXTN
    return next((role for pattern, role in _LAYER_RULES if pattern.search(match.group(2))), Role.OTHER)

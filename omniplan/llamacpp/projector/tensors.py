"""Which tensors of a projector file an encoder loads: ``clip_model_loader::load_tensors`` of b11434."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from omniplan.domain.header import Tensor
from omniplan.llamacpp.projector.encoder import Encoder

# An encoder for sound takes the image tensors of its file a second time.
_COMMON: Final = (
    "v.class_embd {p}.pre_ln.weight {p}.pre_ln.bias {p}.post_ln.weight {p}.post_ln.bias v.patch_embd.bias "
    "v.patch_embd.weight v.patch_embd.weight.1 v.norm_embd.weight v.norm_embd.bias {p}.position_embd.weight"
).split()
_LAYER: Final = re.compile(
    r"(?P<own>[a-z.]+)\.blk\.(?P<il>\d+)\.("
    r"(attn_k|attn_q|attn_v|attn_out|attn_qkv|ln1|ln2|ffn_up|ffn_gate|ffn_down)\.(weight|bias)"
    r"|(attn_k_norm|attn_q_norm|ls1|ls2|out_scale|attn_post_norm|ffn_post_norm|ffn_gate_inp|ffn_gate_exps"
    r"|ffn_up_exps|ffn_down_exps|exp_probs_b)\.weight|attn_sinks)"
)
_DEEPSTACK: Final = re.compile(r"v\.deepstack\.(?P<il>\d+)\.(norm|fc1|fc2)\.(weight|bias)")


def loaded(encoder: Encoder) -> Iterator[Tensor]:
    """The tensors that ``encoder`` keeps in memory."""
    own = _pattern((*_COMMON, *encoder.kind.tensors), encoder.modality.prefix)
    n_layer = encoder.n_layer if encoder.kind.plain_layers else 0
    for tensor in encoder.header.tensors:
        if own.fullmatch(tensor.name) or _is_of_layer(tensor.name, encoder.modality.prefix, n_layer):
            yield tensor


def _is_of_layer(name: str, prefix: str, n_layer: int) -> bool:
    if found := _LAYER.fullmatch(name):
        return found["own"] == prefix and int(found["il"]) < n_layer
    found = _DEEPSTACK.fullmatch(name)
    return found is not None and int(found["il"]) < n_layer


@cache
def _pattern(globs: tuple[str, ...], prefix: str) -> re.Pattern[str]:
    texts = (re.escape(text.replace("{p}", prefix)).replace(r"\*", r"[^.]+") for text in globs)
    return re.compile("|".join(texts))

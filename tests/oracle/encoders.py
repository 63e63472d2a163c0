"""Small encoders, which embedding servers run and the oracle has no header of: see ``tests.oracle.small``.

``python -m tests.oracle.encoders`` writes the headers again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.headers import Item
from tests.oracle.small import EMBD, EXPERTS, FF, FOLDER, HEAD, Shapes, Small

_SQUARE: Final = (EMBD, EMBD)
_KEYS: Final[Mapping[str, Item]] = {
    "attention.layer_norm_epsilon": 1e-5,
    "attention.causal": False,
    "tokenizer.ggml.token_type_count": 2,
}
_WINDOW: Final[Mapping[str, Item]] = {**_KEYS, "attention.sliding_window": 64}


def _affine(name: str, shape: tuple[int, ...]) -> Shapes:
    return {name: shape, f"{name}.bias": (shape[-1],)}


def _norms(*names: str) -> Shapes:
    return {key: shape for name in names for key, shape in _affine(name, (EMBD,)).items()}


def _post(up: int = FF) -> Shapes:
    """A layer of BERT: biases everywhere, norms behind the sums."""
    parts = [_affine(f"attn_{part}", _SQUARE) for part in ("q", "k", "v", "output")]
    parts += [_norms("attn_output_norm", "layer_output_norm"), _affine("ffn_up", (EMBD, up))]
    parts += [_affine("ffn_down", (FF, EMBD))]
    return {name: shape for part in parts for name, shape in part.items()}


def _nomic_moe(il: int) -> Shapes:
    if il % 2 == 0:
        return _post()
    experts = {
        "ffn_gate_inp": (EMBD, EXPERTS),
        "ffn_up_exps": (EMBD, FF, EXPERTS),
        "ffn_down_exps": (FF, EMBD, EXPERTS),
    }
    return {name: shape for name, shape in _post().items() if not name.startswith("ffn_")} | experts


def _pre(up: int = FF) -> Shapes:
    """A layer that norms first and has no bias; where ``up`` is packed with a gate, Q, K and V are fused as well."""
    layer = {"attn_norm": (EMBD,), "attn_output": _SQUARE, "ffn_norm": (EMBD,), "ffn_up": (EMBD, up)}
    layer |= {"ffn_down": (FF, EMBD)}
    if up > FF:
        return {**layer, "attn_qkv": (EMBD, 3 * EMBD)}
    return {**layer, **dict.fromkeys(("attn_q", "attn_k", "attn_v"), _SQUARE), "ffn_gate": (EMBD, FF)}


def _gemma(_: int) -> Shapes:
    heads = dict.fromkeys(("attn_q_norm", "attn_k_norm"), (HEAD,))
    return {**_pre(), **heads, **dict.fromkeys(("post_attention_norm", "post_ffw_norm"), (EMBD,))}


def _modern(il: int) -> Shapes:
    """The first layer has no norm of its own: the embeddings have one."""
    return {name: shape for name, shape in _pre(2 * FF).items() if il or name != "attn_norm"}


_EMBEDDED: Final = {"token_types": (EMBD, 2), **_norms("token_embd_norm")}
_CLASSIFIER: Final = {**_affine("cls", _SQUARE), **_affine("cls.output", (EMBD, 1))}
_DENSE_WIDTH: Final = 512

MODELS: Final[Mapping[str, Small]] = {
    "bert": Small(
        layer=lambda _: _post(), keys=_KEYS, norm="", others={**_EMBEDDED, "position_embd": (EMBD, 256), **_CLASSIFIER}
    ),
    "eurobert": Small(layer=lambda _: _pre(), keys=_KEYS),
    "gemma-embedding": Small(
        layer=_gemma,
        n_layer=6,
        keys={
            **_WINDOW,
            "dense_2_feat_in": EMBD,
            "dense_2_feat_out": _DENSE_WIDTH,
            "dense_3_feat_in": _DENSE_WIDTH,
            "dense_3_feat_out": EMBD,
        },
        others={"dense_2": (EMBD, _DENSE_WIDTH), "dense_3": (_DENSE_WIDTH, EMBD)},
    ),
    "jina-bert-v2": Small(
        layer=lambda _: {**_post(2 * FF), **_norms("attn_q_norm", "attn_k_norm", "attn_norm_2")},
        keys=_KEYS,
        norm="",
        others=_EMBEDDED,
    ),
    "jina-bert-v3": Small(layer=lambda _: _post(), keys=_KEYS, norm="", others=_EMBEDDED),
    "modern-bert": Small(
        layer=_modern,
        n_layer=3,
        keys=_WINDOW,
        others={"token_embd_norm": (EMBD,), "cls": _SQUARE, "cls.norm": (EMBD,), **_affine("cls.output", (EMBD, 1))},
    ),
    "neo-bert": Small(layer=lambda _: _pre(2 * FF), keys=_KEYS, norm="enc.output_norm", others=_CLASSIFIER),
    "nomic-bert": Small(
        layer=lambda _: (
            {name: shape for name, shape in _post().items() if not name.startswith("ffn_")}
            | {"ffn_up": (EMBD, FF), "ffn_gate": (EMBD, FF), "ffn_down": (FF, EMBD)}
        ),
        keys=_KEYS,
        norm="",
        others=_EMBEDDED,
    ),
    "nomic-bert-moe": Small(
        layer=_nomic_moe,
        keys={**_KEYS, "moe_every_n_layers": 2, "expert_count": EXPERTS, "expert_used_count": 2},
        norm="",
        others=_EMBEDDED,
    ),
}


if __name__ == "__main__":
    for arch, small in MODELS.items():
        small.write(arch, FOLDER)

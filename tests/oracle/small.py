"""Small models of architectures that the oracle has no header of; their cases are the library's own (``drift.own``).

``python -m tests.oracle.small`` writes the headers again, under ``tests/data/models/small``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.headers import Item, write_gguf
from tests.oracle.cases import DATA

FOLDER: Final = DATA / "models" / "small"
EMBD, FF, VOCAB, HEAD, EXPERTS, PER_LAYER = 256, 384, 128, 128, 4, 32

Shapes = Mapping[str, tuple[int, ...]]
# Keys that no architecture's name stands before, and ends of names that are whole.
_GLOBAL: Final = ("xielu.", "tokenizer.")
_SUFFIXES: Final = (".scale", ".bias")


@dataclass(frozen=True, kw_only=True)
class Small:
    """A model of ``n_layer`` layers: ``keys`` of its architecture, tensors of a layer and outside of them.

    A name without a suffix is a weight's; ``norm`` is that of the final rows.
    """

    layer: Callable[[int], Shapes]
    n_layer: int = 2
    keys: Mapping[str, Item] = field(default_factory=dict)
    others: Shapes = field(default_factory=dict)
    norm: str = "output_norm"

    def write(self, arch: str, folder: Path) -> Path:
        """The header as a file."""
        keys = {**_KEYS, "block_count": self.n_layer, **self.keys}
        metadata: dict[str, Item] = {"general.architecture": arch, "tokenizer.ggml.model": "none"}
        metadata |= {key if key.startswith(_GLOBAL) else f"{arch}.{key}": value for key, value in keys.items()}
        shapes = {"token_embd": (EMBD, VOCAB), **({self.norm: (EMBD,)} if self.norm else {}), **self.others}
        for il in range(self.n_layer):
            shapes |= {f"blk.{il}.{name}": shape for name, shape in self.layer(il).items()}
        rows = [
            (name if name.endswith(_SUFFIXES) else name + ".weight", "f32", shape) for name, shape in shapes.items()
        ]
        return write_gguf(folder / f"{arch}.gguf", metadata, rows)


_KEYS: Final[Mapping[str, Item]] = {
    "vocab_size": VOCAB,
    "context_length": 256,
    "embedding_length": EMBD,
    "feed_forward_length": FF,
    "attention.head_count": 2,
    "attention.head_count_kv": 2,
    "attention.key_length": HEAD,
    "attention.value_length": HEAD,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
_SQUARE: Final = (EMBD, EMBD)
_ATTENTION: Final = {"attn_norm": (EMBD,), **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), _SQUARE)}
_UP_DOWN: Final = {"ffn_norm": (EMBD,), "ffn_up": (EMBD, FF), "ffn_down": (FF, EMBD)}
_DENSE: Final = {**_UP_DOWN, "ffn_gate": (EMBD, FF)}
_HEAD_NORMS: Final = {"attn_q_norm": (HEAD,), "attn_k_norm": (HEAD,)}
_GEMMA: Final = {**_ATTENTION, **_DENSE, **_HEAD_NORMS, "post_attention_norm": (EMBD,), "post_ffw_norm": (EMBD,)}
_GEMMA3N_LAYERS, _ALTUP, _LAUREL = 22, 4, 64


def _per_layer(n_layer: int, width: int) -> Shapes:
    return {
        "per_layer_token_embd": (width * n_layer, VOCAB),
        "per_layer_model_proj": (EMBD, width * n_layer),
        "per_layer_proj_norm": (width,),
    }


def _gemma3n(_: int) -> Shapes:
    return {
        **_GEMMA,
        "inp_gate": _SQUARE,
        "proj": _SQUARE,
        "post_norm": (EMBD,),
        "altup_correct_coef": (_ALTUP, _ALTUP),
        "altup_correct_scale": (EMBD,),
        "altup_router_norm": (EMBD,),
        "altup_predict_coef": (_ALTUP, _ALTUP * _ALTUP),
        "altup_router": (EMBD, _ALTUP),
        "laurel_l": (EMBD, _LAUREL),
        "laurel_r": (_LAUREL, EMBD),
        "laurel_post_norm": (EMBD,),
    }


def _gemma4(il: int) -> Shapes:
    """Experts in the first layer, V from K's projection in the second, no cache of their own in the others."""
    layer = {
        **_GEMMA,
        "inp_gate": (EMBD, PER_LAYER),
        "proj": (PER_LAYER, EMBD),
        "post_norm": (EMBD,),
        "layer_output_scale": (1,),
    }
    if il == 0:
        layer |= {"ffn_gate_inp": (EMBD, EXPERTS), "ffn_gate_inp.scale": (EMBD,), "ffn_down_exps.scale": (EXPERTS,)}
        layer |= dict.fromkeys(("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"), (EMBD,))
        layer |= {"ffn_gate_up_exps": (EMBD, 2 * FF, EXPERTS), "ffn_down_exps": (FF, EMBD, EXPERTS)}
    missing = ("attn_v", "attn_k", "attn_k_norm")[: (0, 1, 3, 3)[il]]
    return {name: shape for name, shape in layer.items() if name not in missing}


_EXPERTS: Final = {
    "ffn_norm": (EMBD,),
    "ffn_gate_inp": (EMBD, EXPERTS),
    **dict.fromkeys(("ffn_gate_exps", "ffn_up_exps"), (EMBD, FF, EXPERTS)),
    "ffn_down_exps": (FF, EMBD, EXPERTS),
    "ffn_down_shexp": (FF, EMBD),
    **dict.fromkeys(("ffn_gate_shexp", "ffn_up_shexp"), (EMBD, FF)),
}
_LATENT, _ROPE = 64, 32
_PLM_ATTENTION: Final = {
    "attn_norm": (EMBD,),
    "attn_q": _SQUARE,
    "attn_output": _SQUARE,
    "attn_kv_a_mqa": (EMBD, _LATENT + _ROPE),
    "attn_kv_a_norm": (_LATENT,),
    "attn_kv_b": (_LATENT, 2 * (HEAD - _ROPE + HEAD)),
}
_SLIDING: Final[Mapping[str, Item]] = {"attention.sliding_window": 32, "final_logit_softcapping": 30.0}

_SANDWICH: Final = {"post_attention_norm": (EMBD,), "post_ffw_norm": (EMBD,)}
_WINDOW: Final[Mapping[str, Item]] = {
    "attention.sliding_window": 32,
    "attention.sliding_window_pattern": [True, False],
}
_ROUTED_KEYS: Final[Mapping[str, Item]] = {
    "expert_count": EXPERTS,
    "expert_used_count": 2,
    "expert_feed_forward_length": FF,
    "expert_weights_scale": 2.5,
    "expert_weights_norm": True,
    "expert_gating_func": 2,
}
_ROUTED: Final = {name: shape for name, shape in _EXPERTS.items() if "shexp" not in name}
_NARROW: Final = {
    "ffn_norm": (EMBD,),
    "ffn_gate_inp": (EMBD, EXPERTS),
    "ffn_latent_down": (EMBD, _LATENT),
    "ffn_latent_up": (_LATENT, EMBD),
    **dict.fromkeys(("ffn_gate_exps", "ffn_up_exps"), (_LATENT, FF, EXPERTS)),
    "ffn_down_exps": (FF, _LATENT, EXPERTS),
}
_RESIDUALS: Final = dict.fromkeys(
    [f"{block}_resid_{part}" for block in ("attn", "ffn") for part in ("alpha", "beta")], (EMBD,)
)


def _k2_horizon(il: int) -> Shapes:
    """Values from one weight and a dense FFN, then from experts."""
    layer = {**_ATTENTION, "attn_gate": _SQUARE, **dict.fromkeys(("attn_q_norm", "attn_k_norm"), (EMBD,))}
    if il == 0:
        return {**layer, **_DENSE}
    del layer["attn_v"]
    values = {"attn_v_gate": (EMBD, EXPERTS), "attn_v_exps": (EMBD, EMBD, EXPERTS)}
    return {**layer, **values, **_EXPERTS, "exp_probs_b.bias": (EXPERTS,)}


def _beam(il: int) -> Shapes:
    layer = {**_ATTENTION, **_HEAD_NORMS, **_SANDWICH, "attn_gate": _SQUARE, "attn_gate.bias": (2,)}
    return {**layer, **({**_ROUTED, "exp_probs_b.bias": (EXPERTS,)} if il else _DENSE)}


def _gemma_embedding2(_: int) -> Shapes:
    own = {"inp_gate": (EMBD, PER_LAYER), "proj": (PER_LAYER, EMBD), "post_norm": (EMBD,), "layer_output_scale": (1,)}
    return {**_GEMMA, **own}


def _muse_spark(_: int) -> Shapes:
    norms = {"post_ffw_norm": (EMBD,), **dict.fromkeys(("ffn_pre_exp_norm", "ffn_post_exp_norm"), (_LATENT,))}
    gated = {**_ATTENTION, **_HEAD_NORMS, "attn_gate": _SQUARE, "exp_probs_b.bias": (EXPERTS,)}
    return {**gated, **_RESIDUALS, **norms, **_NARROW}


MODELS: Final[Mapping[str, Small]] = {
    "apertus": Small(
        layer=lambda _: {**_ATTENTION, **_UP_DOWN, **_HEAD_NORMS},
        keys={f"xielu.{key}": [1.0, 1.0] for key in ("alpha_n", "alpha_p", "beta", "eps")},
        others={"output": (EMBD, VOCAB), "rope_freqs": (HEAD // 2,)},
    ),
    "beam": Small(
        layer=_beam,
        keys={
            **_ROUTED_KEYS,
            **_WINDOW,
            "leading_dense_block_count": 1,
            "attention.temperature_scale": 0.1,
            "attention.temperature_length": 8192,
        },
    ),
    "bitnet": Small(
        layer=lambda _: {**_ATTENTION, **_DENSE, "attn_sub_norm": (EMBD,), "ffn_sub_norm": (FF,), "attn_q.scale": (1,)},
    ),
    "deepseek2-ocr": Small(
        layer=lambda il: {**_ATTENTION, **(_EXPERTS if il else _DENSE)},
        keys={
            "expert_count": EXPERTS,
            "expert_used_count": 2,
            "expert_shared_count": 1,
            "leading_dense_block_count": 1,
            "expert_feed_forward_length": FF,
            "expert_weights_norm": True,
            "expert_weights_scale": 2.5,
        },
        others={"output": (EMBD, VOCAB)},
    ),
    "gemma-embedding2": Small(
        layer=_gemma_embedding2,
        keys={**_WINDOW, "embedding_length_per_layer_input": PER_LAYER, "embedding_length_out": _LATENT},
        others={
            "output": (EMBD, _LATENT),
            "per_layer_model_proj": (EMBD, PER_LAYER * 2),
            "per_layer_proj_norm": (PER_LAYER,),
        },
    ),
    "gemma3n": Small(
        layer=_gemma3n,
        n_layer=_GEMMA3N_LAYERS,
        keys=_SLIDING,
        others={
            **dict.fromkeys(("altup_proj", "altup_unembd_proj"), (EMBD, EMBD, _ALTUP - 1)),
            **_per_layer(_GEMMA3N_LAYERS, EMBD),
        },
    ),
    "gemma4": Small(
        layer=_gemma4,
        n_layer=4,
        keys={
            **_SLIDING,
            "attention.key_length_swa": HEAD,
            "attention.value_length_swa": HEAD,
            "attention.shared_kv_layers": 2,
            "attention.sliding_window_pattern": [True, False, True, False],
            "expert_count": EXPERTS,
            "expert_used_count": 2,
            "expert_feed_forward_length": FF,
            "embedding_length_per_layer_input": PER_LAYER,
        },
        others={**_per_layer(4, PER_LAYER), "rope_freqs": (HEAD // 2,)},
    ),
    "k2-horizon": Small(
        layer=_k2_horizon,
        keys={
            **_ROUTED_KEYS,
            "expert_shared_count": 1,
            "leading_dense_block_count": 1,
            "attention.group_norm_groups": 4,
            "attention.value_expert_count": EXPERTS,
            "attention.value_expert_used_count": 2,
        },
    ),
    "kolibri1": Small(
        layer=lambda _: {**_ATTENTION, **_HEAD_NORMS, **_SANDWICH, **_EXPERTS, "exp_probs_b.bias": (EXPERTS,)},
        keys={**_ROUTED_KEYS, **_WINDOW, "expert_shared_count": 1, "expert_shared_feed_forward_length": FF},
        others={"output": (EMBD, VOCAB)},
    ),
    "maion-coder": Small(
        layer=lambda il: {**_ATTENTION, **_HEAD_NORMS, **_SANDWICH, **(_NARROW if il else _DENSE)},
        keys={**_ROUTED_KEYS, **_WINDOW, "interleave_moe_layer_step": 2, "moe_latent_size": _LATENT},
        others={"output": (EMBD, VOCAB)},
    ),
    "muse-spark": Small(
        layer=_muse_spark,
        keys={
            **_ROUTED_KEYS,
            **_WINDOW,
            "post_norm_epsilon": 1e-5,
            "rope.freq_base_swa": 1e4,
            "final_logit_softcapping": 30.0,
            "logit_scale": 0.5,
            "moe_latent_size": _LATENT,
        },
        others={"output": (EMBD, VOCAB)},
    ),
    "plm": Small(
        layer=lambda _: {**_PLM_ATTENTION, **_UP_DOWN},
        keys={"attention.kv_lora_rank": _LATENT, "rope.dimension_count": _ROPE},
    ),
}


if __name__ == "__main__":
    for arch, small in MODELS.items():
        small.write(arch, FOLDER)

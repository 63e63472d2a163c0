"""Small headers with nextn layers, made from headers without: another layer of the same kind, and what joins it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.domain.header import ArrayInfo, Tensor, Value
from omniplan.domain.model import Model
from tests.headers import Item, TensorRow, Typed, write_gguf

# Arrays of integers that llama.cpp reads as signed ones.
_SIGNED: Final = frozenset({"tokenizer.ggml.token_type"})
# Ones that it reads as 64 bits.
_LONG: Final = (".ple.layer_multipliers", ".ple.head_offsets", ".ple.head_vocab_sizes")
# Its shape is a row for every residual stream.
_STREAMS: Final = "output_hc_norm.weight"


@dataclass(frozen=True, kw_only=True)
class Nextn:
    """What an architecture's nextn layer has otherwise than the layers before: norms, one weight for Q, K and V."""

    norms: tuple[str, ...] = ("nextn.shared_head_norm",)
    fuses_qkv: bool = False
    zeroed: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    ends_streams: bool = False


_USUAL: Final = Nextn()
_KINDS: Final[Mapping[str, Nextn]] = {
    "bailingmoe3": Nextn(norms=("layer_output_norm",)),
    "deepseek4": Nextn(zeroed=("attention.compress_ratios",), without=("attn_compressor", "indexer")),
    "mimo2": Nextn(fuses_qkv=True),
    "qwen4exp": Nextn(norms=(), ends_streams=True),
    "nemotron_h_moe": Nextn(norms=("nextn.shared_head_norm", "post_attention_norm")),
}


def write_nextn(model: Model, path: Path, *, count: int = 1, own_head: bool = False, alone: bool = False) -> Path:
    """``model`` with ``count`` nextn layers; ``own_head``: with token embeddings and an output of their own.

    ``alone``: without the other layers, as a file that drafts for the model.
    """
    h, arch = model.hparams, model.arch
    metadata = {key: _item(key, value) for key, value in model.header.metadata.items()}
    for key, value in model.header.metadata.items():
        if isinstance(value, tuple) and key.startswith(f"{arch}.") and len(value) == h.n_layer:
            is_zero = key.removeprefix(f"{arch}.") in _KINDS.get(arch, _USUAL).zeroed
            metadata[key] = _item(key, (*value, *[0 if is_zero else value[_attending(model)]] * count))
    metadata |= {f"{arch}.block_count": h.n_layer + count, f"{arch}.nextn_predict_layers": count}
    kept = (t for t in model.header.tensors if not (alone and t.name.startswith("blk.")))
    rows: list[TensorRow] = [(t.name, t.type.name, t.shape) for t in kept]
    for il in range(h.n_layer, h.n_layer + count):
        rows += _layer(model, il, own_head=own_head)
    return write_gguf(path, metadata, rows)


def _item(key: str, value: Value) -> Item:
    assert not isinstance(value, ArrayInfo), f"{key} is too long to be read whole"
    if not isinstance(value, tuple):
        return Typed("i32", value) if isinstance(value, int) and value < 0 else value
    if not value:
        return Typed("str", value)
    if key.endswith(_LONG):
        return Typed("u64", value)
    is_signed = key in _SIGNED or any(isinstance(item, int) and item < 0 for item in value)
    return Typed("i32", value) if is_signed else list(value)


def _attending(model: Model) -> int:
    """The last layer that attends."""
    h, keys = model.hparams, ("attn_k", "attn_qkv", "attn_kv")
    attends = (any(_stem(t.name).startswith(keys) for t in layer.tensors) for layer in model.layers)
    return max(il for il, has_keys in enumerate(attends) if has_keys and not h.is_recr[il] and h.n_head_kv[il])


def _layer(model: Model, il: int, *, own_head: bool) -> Iterator[TensorRow]:
    n_embd, kind = model.hparams.n_embd, _KINDS.get(model.arch, _USUAL)
    matrix = next(t.type.name for t in model.header.tensors if len(t.shape) == 2 and t.name.startswith("blk."))
    copied = {name: t for name, t in _copied(model).items() if not name.startswith(kind.without or "/")}
    split = [copied.pop(f"attn_{part}.weight") for part in "qkv"] if kind.fuses_qkv else []
    for name, tensor in copied.items():
        yield (f"blk.{il}.{name}", tensor.type.name, tensor.shape)
    if split:
        width = sum(tensor.shape[1] for tensor in split)
        yield (f"blk.{il}.attn_qkv.weight", matrix, (n_embd, width))
    yield (f"blk.{il}.nextn.eh_proj.weight", matrix, (2 * n_embd, n_embd))
    for name in ("nextn.enorm", "nextn.hnorm", *kind.norms):
        is_wide = kind.ends_streams and name == "nextn.hnorm"
        yield (f"blk.{il}.{name}.weight", "f32", model.header.by_name[_STREAMS].shape if is_wide else (n_embd,))
    for name in ("norm", "down", "up") if kind.ends_streams else ():
        tensor = model.header.by_name[f"output_hc_{name}.weight"]
        yield (f"blk.{il}.nextn.hc_head_{name}.weight", tensor.type.name, tensor.shape)
    for name in ("embed_tokens", "shared_head_head") if own_head else ():
        yield (f"blk.{il}.nextn.{name}.weight", matrix, (n_embd, model.hparams.n_vocab))


def _copied(model: Model) -> dict[str, Tensor]:
    """Attention of the last layer that attends, FFN of the last that feeds forward; scales stay behind."""
    attending = model.layers[_attending(model)].tensors
    fed = next(found for layer in reversed(model.layers) if (found := [t for t in layer.tensors if _is_ffn(t.name)]))
    parts = {_stem(t.name): t for t in attending if not _is_ffn(t.name)} | {_stem(t.name): t for t in fed}
    return {name: tensor for name, tensor in parts.items() if not name.endswith("scale")}


def _stem(name: str) -> str:
    return name.split(".", 2)[2]


def _is_ffn(name: str) -> bool:
    return _stem(name).startswith(("ffn_", "exp_probs"))

"""Header to Model: hyper-parameters, layers by kind, and what had to be assumed."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from omniplan.domain.evidence import Assumption
from omniplan.domain.header import Header, Tensor
from omniplan.domain.hparams import Hparams
from omniplan.domain.model import NO_COMPANIONS, Companions, FeedForwardKind, Layer, MixerKind, Model
from omniplan.domain.roles import layer_of
from omniplan.errors import UnsupportedModel
from omniplan.gguf.model import architectures
from omniplan.gguf.model import hparams as loader
from omniplan.gguf.model.architectures import MemoryKind

# Weights that make keys.
_KEYS: Final = (".attn_k.", ".attn_kv_a_mqa.", ".attn_qkv.")


def build_model(header: Header, companions: Companions = NO_COMPANIONS) -> Model:
    """The Model of ``header`` with what is loaded beside it.

    Raises UnsupportedModel for what llama.cpp would not load as a language model.
    """
    arch = header.architecture
    path = header.paths[0]
    if not arch:
        raise UnsupportedModel(f"{path}: general.architecture is missing; this is not a language model file")
    row = architectures.row(arch)
    if row.not_a_model:
        raise UnsupportedModel(f"{path}: architecture {arch!r} is {row.not_a_model}")
    if not header.tensors:
        raise UnsupportedModel(f"{path}: the file holds no tensors; a vocabulary-only file cannot be planned")
    hparams = loader.load(header, row)
    layers = _layers(header, hparams)
    _check_heads(path, hparams, layers, has_both=row.memory is MemoryKind.HYBRID_ALL)
    return Model(
        header=header,
        arch=arch,
        hparams=hparams,
        layers=layers,
        assumptions=_assumptions(header),
        companions=companions,
    )


def _layers(header: Header, hparams: Hparams) -> tuple[Layer, ...]:
    tensors: dict[int, list[Tensor]] = defaultdict(list)
    for tensor in header.tensors:
        il = layer_of(tensor.name)
        if il is not None:
            tensors[il].append(tensor)
    return tuple(
        Layer(
            il=il,
            mixer=_mixer(il, hparams, tensors[il]),
            ffn=_ffn(tensors[il]),
            is_nextn=il >= hparams.n_layer,
            tensors=tuple(tensors[il]),
            is_sliding=hparams.is_swa[il] and _has_attention(il, hparams, tensors[il]),
        )
        for il in range(hparams.n_layer_all)
    )


def _has_attention(il: int, hparams: Hparams, tensors: list[Tensor]) -> bool:
    """Whether a layer mixes tokens by attention, and by nothing else."""
    names = (tensor.name for tensor in tensors)
    return not hparams.is_recr[il] and any(".attn_" in n and "norm" not in n and "gate" not in n for n in names)


def _check_heads(path: str, hparams: Hparams, layers: tuple[Layer, ...], *, has_both: bool) -> None:
    """Raise UnsupportedModel where a layer makes keys for no heads: llama.cpp finds tensors of other sizes.

    Recurrent layers make them for their state, unless every layer ``has_both`` a state and a cache.
    """
    for layer in layers:
        is_attending = has_both or not hparams.is_recr[layer.il]
        has_keys = any(suffix in tensor.name for tensor in layer.tensors for suffix in _KEYS)
        n_head, n_head_kv = hparams.n_head[layer.il], hparams.n_head_kv[layer.il]
        if is_attending and has_keys and not 0 < n_head_kv <= n_head:
            heads = f"{n_head} heads and {n_head_kv} KV heads"
            raise UnsupportedModel(f"{path}: layer {layer.il} has {heads} by the header, and attention weights")


def _mixer(il: int, hparams: Hparams, tensors: list[Tensor]) -> MixerKind:
    if hparams.is_recr[il]:
        has_both = any(".attn_output." in t.name for t in tensors) and hparams.n_head_kv[il] > 0
        return MixerKind.RECURRENT_ATTENTION if has_both else MixerKind.RECURRENT
    if not _has_attention(il, hparams, tensors):
        return MixerKind.NONE
    if hparams.is_mla or any(".attn_kv_a_mqa." in t.name for t in tensors):
        return MixerKind.MLA
    if hparams.n_head_kv[il] == hparams.n_head[il]:
        return MixerKind.MHA
    return MixerKind.MQA if hparams.n_head_kv[il] == 1 else MixerKind.GQA


def _ffn(tensors: list[Tensor]) -> FeedForwardKind:
    names = [tensor.name for tensor in tensors]
    if any("_exps" in name or ".ffn_down.0." in name for name in names):
        return FeedForwardKind.MOE_SHARED if any("_shexp" in name for name in names) else FeedForwardKind.MOE
    is_dense = any(".ffn_" in name and "norm" not in name for name in names)
    return FeedForwardKind.DENSE if is_dense else FeedForwardKind.NONE


def _assumptions(header: Header) -> tuple[Assumption, ...]:
    if header.architecture in architectures.known():
        return ()
    return (
        Assumption(
            subject=f"architecture {header.architecture}",
            statement="in no known build of llama.cpp: taken by the general rule (KV cache on every layer)",
            source="data/architecture_names.toml",
        ),
    )

"""What one token touches: bytes of weights and cache per device, arithmetic per device, and graph nodes per device."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.roles import Role, layer_of, role_of
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load import weights
from omniplan.llamacpp.load.placement import Placement
from omniplan.predict.cache_reads import attended, cache_reads

# An embedding and an output matrix of a head's own are the model's, or stand in for them.
_HEADS_OWN: Final = re.compile(r"nextn\.(embed_tokens|shared_head_head)\.")


@dataclass(slots=True)
class Traffic:
    """Bytes and weights one token touches, by device name or "CPU".

    ``weights`` are bytes, ``cache`` bytes of KV cache and recurrent state read at the given depth, ``reread`` those
    read again for heads that one pass does not serve, ``attention`` operations of scores and values at that depth.
    ``dense`` and ``routed`` are parameters multiplied, outside and in the routed experts, ``dense_f16`` those of
    ``dense`` that are stored in 16 bits or more but BF16, ``dense_bf16`` and ``routed_bf16`` those that are in BF16,
    ``routed_mxfp4`` those in MXFP4;
    ``whole`` are bytes with every expert. ``streamed`` are all bytes of matrices on the CPU, which a prompt batch
    copies to the GPU, and ``cpu_types`` the bytes one token reads there, by tensor type.
    ``matrices`` counts matrices of layers by device, ``cpu_layers`` the layers with some on the CPU, ``latent_layers``
    and ``recurrent_layers`` the layers of latent attention (MLA) and of recurrent state by device. ``state`` are bytes
    of one row of recurrent state, ``used`` the share of a layer's experts that a token asks for. ``missing`` are bytes
    of experts that a GPU computes with and its cache does not hold, ``looked_up`` the layers whose experts are looked
    for there.
    """

    weights: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    cache: Counter[str] = field(default_factory=Counter)
    reread: Counter[str] = field(default_factory=Counter)
    attention: Counter[str] = field(default_factory=Counter)
    dense: Counter[str] = field(default_factory=Counter)
    dense_f16: Counter[str] = field(default_factory=Counter)
    dense_bf16: Counter[str] = field(default_factory=Counter)
    routed_bf16: Counter[str] = field(default_factory=Counter)
    routed_mxfp4: Counter[str] = field(default_factory=Counter)
    routed: Counter[str] = field(default_factory=Counter)
    cpu_types: Counter[str] = field(default_factory=Counter)
    matrices: Counter[str] = field(default_factory=Counter)
    streamed: int = 0
    cpu_layers: set[int] = field(default_factory=set)
    gpu_layers: set[int] = field(default_factory=set)
    missing: Counter[str] = field(default_factory=Counter)
    looked_up: set[int] = field(default_factory=set)
    latent_layers: Counter[str] = field(default_factory=Counter)
    recurrent_layers: Counter[str] = field(default_factory=Counter)
    state: Counter[str] = field(default_factory=Counter)
    used: float = 1.0

    def packed(self, device: str) -> int:
        """Weights on ``device`` that one token multiplies and that are stored in less than 16 bits."""
        wide = self.dense_f16[device] + self.dense_bf16[device] + self.routed_bf16[device]
        return self.dense[device] + self.routed[device] - wide

    def share_of(self, device: str) -> float:
        """Share of the layers' matrices that is on ``device``."""
        return self.matrices[device] / self.matrices.total() if self.matrices.total() else 0.0

    def gpu_share(self) -> float:
        """Share of the layers' matrices that is on GPUs."""
        total = self.matrices.total()
        return 1 - self.matrices[buffers.CPU] / total if total else 0.0

    def asked(self, n_tokens: int) -> float:
        """Share of a layer's experts that ``n_tokens`` at once ask for."""
        return 1 - (1 - self.used) ** n_tokens if n_tokens > 1 else self.used

    def touched(self, device: str, n_tokens: float) -> float:
        """Bytes of weights on ``device`` that ``n_tokens`` at once read: experts that nobody asks for are left out.

        Each token is taken to choose by itself, so ``n_tokens`` ask for 1 - (1 - used) ^ n_tokens of the experts.
        """
        if self.used == 1 or n_tokens == 1:
            return self.weights[device] if n_tokens == 1 else self.whole[device]
        experts = (self.whole[device] - self.weights[device]) / (1 - self.used)
        return self.whole[device] - math.pow(1 - self.used, n_tokens) * experts


def traffic(model: Model, placement: Placement, *, depth: int) -> Traffic:
    """What one token touches with ``depth`` tokens already in the cache of its sequence."""
    return at_depth(_of_weights(model, placement.weights), model, placement, depth=depth)


def cached(known: Traffic, model: Model, placement: Placement, hits: Mapping[int, float]) -> Traffic:
    """The same token where GPUs compute with the experts of layers in ``hits``, and have that share of them at hand."""
    found = _of_cached_weights(model, placement, hits)
    return replace(
        found,
        cache=known.cache,
        reread=known.reread,
        attention=known.attention,
        state=known.state,
        latent_layers=known.latent_layers,
        recurrent_layers=known.recurrent_layers,
    )


@lru_cache(maxsize=64)
def _of_weights(model: Model, held: weights.Weights) -> Traffic:
    found = _none(model)
    device = {buffer: _device(buffer) for buffer in held.buffer_of.values()}
    for matter in _matters(model):
        _add_weight(found, matter, device[held.buffer_of[matter.name]])
    return found


def _none(model: Model) -> Traffic:
    h = model.hparams
    return Traffic(used=max(h.n_expert_used) / h.n_expert if h.n_expert else 1.0)


def _of_cached_weights(model: Model, placement: Placement, hits: Mapping[int, float]) -> Traffic:
    found = _none(model)
    for matter in _matters(model):
        device = _device(placement.weights.buffer_of[matter.name])
        if matter.is_routed and matter.il in hits:
            device = placement.layers[matter.il]
            found.missing[device] += round((1 - hits[matter.il]) * matter.whole)
            found.looked_up.add(matter.il)
        _add_weight(found, matter, device)
    return found


def heads(model: Model, placement: Placement, *, with_output: bool) -> Traffic:
    """What one pass through each of the MTP heads of ``model`` touches, and the output matrix where it is asked for."""
    h = model.hparams
    found = Traffic()
    for tensor in model.header.tensors:
        il = layer_of(tensor.name)
        if il is not None and il >= h.n_layer and not _HEADS_OWN.search(tensor.name):
            slot = weights.Slot(tensor.name, tensor, il)
            _add_weight(found, _matter(model, slot), _device(_home(tensor.name, il, placement)))
    output = model.tensor(weights.OUTPUT) or model.tensor(weights.TOKEN_EMBEDDING)
    if with_output and output:
        slot = weights.Slot(weights.OUTPUT, output, h.n_layer_all)
        device = _device(_home(weights.OUTPUT, h.n_layer_all, placement))
        for _ in range(h.n_layer_all - h.n_layer):
            _add_weight(found, _matter(model, slot), device)
    return found


def _home(name: str, il: int, placement: Placement) -> str:
    """Where a tensor of a head is, or will be once heads are loaded: with its layer."""
    return placement.weights.buffer_of.get(name) or placement.layers[min(il, len(placement.layers) - 1)]


def at_depth(known: Traffic, model: Model, placement: Placement, *, depth: int) -> Traffic:
    """The same token with another ``depth``: weights do not depend on it."""
    found = replace(
        known,
        cache=Counter(),
        reread=Counter(),
        attention=Counter(),
        state=Counter(),
        latent_layers=Counter(),
        recurrent_layers=Counter(),
    )
    per_head = {gpu.buffer for gpu in placement.gpus if gpu.backend.reads_per_head}
    device_of = [_device(placement.cache_device(il)) for il in range(model.hparams.n_layer_all)]
    for read in cache_reads(model, placement.context, depth):
        device = device_of[read.il]
        size = (read.n_readers if device in per_head else 1) * read.nbytes
        found.cache[device] += size
        found.reread[device] += read.again * size
        found.state[device] += read.state
    for device, (attention, is_latent) in zip(device_of, attended(model, depth), strict=False):
        if attention is None:
            found.recurrent_layers[device] += 1
        else:
            found.attention[device] += attention
            found.latent_layers[device] += is_latent
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matter:
    """A weight and what one token does with it, wherever it is; ``layer`` is None outside the layers."""

    name: str
    il: int
    layer: int | None
    kind: str
    nbytes: int
    whole: int
    active: int
    is_routed: bool
    is_matrix: bool
    is_quantized: bool


@lru_cache(maxsize=16)
def _matters(model: Model) -> tuple[_Matter, ...]:
    slots = (slot for slot in weights.slots(model) if slot.il >= 0 and not slot.name.startswith("rope_f"))
    return tuple(
        _matter(model, slot) for slot in slots if not model.hparams.n_layer <= slot.il < model.hparams.n_layer_all
    )


def _matter(model: Model, slot: weights.Slot) -> _Matter:
    tensor = slot.tensor
    # A head has experts as any layer has, whatever its role in a file is.
    is_routed = role_of(tensor.name, model.hparams.n_layer_all) is Role.ROUTED_EXPERT and model.hparams.n_expert > 0
    share = _share(model.hparams, slot.il) if is_routed else 1.0
    return _Matter(
        name=slot.name,
        il=slot.il,
        layer=slot.il if slot.il < model.hparams.n_layer_all else None,
        kind=tensor.type.name,
        nbytes=round(tensor.nbytes * share),
        whole=tensor.nbytes,
        active=round(tensor.n_elements * share),
        is_routed=is_routed,
        is_matrix=len(tensor.shape) > 1 and tensor.shape[1] > 1,
        is_quantized=tensor.type.is_quantized,
    )


def _add_weight(found: Traffic, matter: _Matter, device: str) -> None:
    found.weights[device] += matter.nbytes
    found.whole[device] += matter.whole
    (found.routed if matter.is_routed else found.dense)[device] += matter.active
    if matter.kind == "bf16":
        (found.routed_bf16 if matter.is_routed else found.dense_bf16)[device] += matter.active
    elif matter.kind == "mxfp4" and matter.is_routed:
        found.routed_mxfp4[device] += matter.active
    elif not matter.is_routed and not matter.is_quantized:
        found.dense_f16[device] += matter.active
    if matter.is_matrix and matter.layer is not None:
        found.matrices[device] += 1
    if device != buffers.CPU:
        found.gpu_layers.add(matter.il)
        return
    found.cpu_types[matter.kind] += matter.nbytes
    if matter.is_matrix:
        found.streamed += matter.whole
        if matter.layer is not None:
            found.cpu_layers.add(matter.layer)


def _share(h: Hparams, il: int) -> float:
    return (h.n_expert_used[il] if il < h.n_layer_all else max(h.n_expert_used)) / h.n_expert


def _device(buffer: str) -> str:
    return buffers.CPU if buffers.is_host(buffer) else buffer

"""Which buffer type holds which weight, and how many bytes that takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from omniplan.domain.header import Tensor
from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.roles import layer_of
from omniplan.gguf.model import architectures
from omniplan.llamacpp.load import buffers
from omniplan.llamacpp.load.tensors import LayerClass, tensor_class

OUTPUT: Final = "output.weight"
TOKEN_EMBEDDING: Final = "token_embd.weight"
_LAZY_ROWS: Final = "per_layer_token_embd.weight"
# ggml-cuda.cu:ggml_backend_cuda_device_supports_op, SSM_SCAN and SSM_CONV.
_CUDA_SCAN_STATES: Final = (96, 128, 256)
_CUDA_CONV_CHANNELS: Final = 128
_CONVOLUTION: Final = re.compile(r"\.(ssm_conv1d|ple_conv1d|shortconv\.conv)\.weight$")
_AFFIXES: Final = re.compile(r"^blk\.\d+\.|\.(weight|bias|scale)$")
_ROPE_FACTORS: Final = re.compile(r"^rope_(freqs|factors_long|factors_short)\.")


@dataclass(frozen=True, slots=True)
class Slot:
    """One tensor the loader creates: its name in the graph, the file's tensor, and where its layer class puts it.

    ``name`` differs from the file's only for a tied output, which is the token embedding a second time.
    ``il`` is the layer, ``n_layer_all`` for output tensors and -1 for inputs.
    """

    name: str
    tensor: Tensor
    il: int


@lru_cache(maxsize=64)
def slots(model: Model) -> tuple[Slot, ...]:
    """Every tensor that b11434 allocates for ``model``, duplicates included, nextn blocks left out."""
    return tuple(_slots(model))


def _slots(model: Model) -> Iterator[Slot]:
    h = model.hparams
    arch = architectures.row(model.arch)
    for tensor in model.header.tensors:
        il = layer_of(tensor.name)
        if il is not None:
            if il < h.n_layer or not arch.skips_nextn or _stem(tensor.name) in arch.nextn_loaded:
                yield Slot(tensor.name, tensor, min(il, h.n_layer_all))
        elif _ROPE_FACTORS.match(tensor.name):
            # Every layer asks for its own copy; the caller keeps one per buffer type.
            n_layer = h.n_layer_all if _stem(tensor.name) in arch.nextn_loaded else h.n_layer
            layers = (layer for layer in range(n_layer) if not (arch.factors_on_full and h.is_swa[layer]))
            yield from (Slot(tensor.name, tensor, layer) for layer in layers)
        elif (kind := _class(tensor.name, arch)) is not LayerClass.UNUSED:
            yield Slot(tensor.name, tensor, {LayerClass.INPUT: -1, LayerClass.REPEATING: 0}.get(kind, h.n_layer_all))
    yield from _tied(model)


def _stem(name: str) -> str:
    """The name without ``blk.N.`` and its suffix."""
    return _AFFIXES.sub("", name)


def _class(name: str, arch: architectures.ArchRow) -> LayerClass:
    if arch.embedding_norm_is_output and name.startswith("token_embd_norm."):
        return LayerClass.OUTPUT
    return tensor_class(name)


def _tied(model: Model) -> Iterator[Slot]:
    embedding, output = model.tensor(TOKEN_EMBEDDING), model.tensor(OUTPUT)
    if output is None and embedding is not None and not architectures.row(model.arch).no_output:
        yield Slot(OUTPUT, embedding, model.hparams.n_layer_all)
    elif embedding is None and output is not None:
        # codeshell does it the other way round.
        yield Slot(TOKEN_EMBEDDING, output, -1)


@dataclass(frozen=True, slots=True)
class Weights:
    """Where every weight lives, and the bytes per buffer type.

    ``factors`` is the buffer type of each layer's copy of the rotary factors, which are the only weights with copies.
    ``n_tensors`` counts what the loader creates.
    """

    buffer_of: Mapping[str, str]
    factors: Mapping[int, str]
    nbytes: Mapping[str, int]
    n_tensors: int


def place(
    model: Model,
    layers: Sequence[str],
    devices: Sequence[str],
    overridden: Mapping[str, str],
    *,
    host: str,
    lazy_over: int | None = None,
) -> Weights:
    """Put every weight of ``model`` into a buffer type.

    ``layers`` is the device of each layer, output last; ``overridden`` maps names in the file to the buffer type their
    first matching override asks for; ``host`` is what weights on the CPU use ("CUDA_Host", or "CPU"). Rows that are
    read on demand stay in plain RAM, if they have more than ``lazy_over`` bytes.
    """
    buffer_of: dict[str, str] = {}
    factors: dict[int, str] = {}
    held: set[tuple[str, str]] = set()
    has_gpu = bool(devices)
    column = {name: _column(name) for name in {buffers.CPU, host, *layers, *overridden.values()}}
    nbytes: Counter[str] = Counter()
    for priced in _priced(model):
        forced = overridden.get(priced.tensor)
        buffer = forced or (layers[priced.il] if priced.il >= 0 else buffers.CPU)
        # The first buffer type of the slot's list whose device can run its op (select_weight_buft).
        if forced is None or forced == buffers.CPU:
            if has_gpu and not priced.cuda_can_use:
                buffer = buffers.CPU
            elif buffer == buffers.CPU:
                buffer = host
        if priced.is_lazy and lazy_over is not None and priced.nbytes > lazy_over:
            buffer = buffers.CPU
        buffer_of.setdefault(priced.name, buffer)
        if priced.is_factor:
            factors[priced.il] = buffer
        if (buffer, priced.key) not in held:
            held.add((buffer, priced.key))
            nbytes[buffer] += priced.sizes[column[buffer]]
    return Weights(buffer_of=buffer_of, factors=factors, nbytes=nbytes, n_tensors=len(held))


def _is_lazy(slot: Slot, model: Model) -> bool:
    return slot.name == _LAZY_ROWS and architectures.row(model.arch).lazy_rows


@dataclass(frozen=True, slots=True)
class _Priced:
    """A slot with all that no placement changes; slots of one ``key`` share their bytes within a buffer type.

    ``tensor`` is its name in the file; ``sizes`` are bytes on a GPU, in pinned and in plain RAM, padding included.
    """

    name: str
    tensor: str
    il: int
    nbytes: int
    key: str
    is_factor: bool
    is_lazy: bool
    cuda_can_use: bool
    sizes: tuple[int, int, int]


def _column(buffer: str) -> int:
    """Which of ``_Priced.sizes`` is that in ``buffer``."""
    if buffer == buffers.CPU:
        return 2
    return 1 if buffers.is_host(buffer) else 0


@lru_cache(maxsize=64)
def _priced(model: Model) -> tuple[_Priced, ...]:
    # gemma3n and gemma4 create the tied output before the input, so the two are never shared.
    twice = architectures.row(model.arch).embedding_twice
    return tuple(_price(slot, model, slot.name if twice else slot.tensor.name) for slot in slots(model))


def _price(slot: Slot, model: Model, key: str) -> _Priced:
    tensor = slot.tensor
    nbytes = tensor.nbytes
    gpu, host, cpu = (
        buffers.padded_size(buffer, tensor.type, tensor.shape[0], nbytes)
        for buffer in ("CUDA0", buffers.CUDA_HOST, buffers.CPU)
    )
    return _Priced(
        name=slot.name,
        tensor=tensor.name,
        il=slot.il,
        nbytes=nbytes,
        key=key,
        is_factor=_ROPE_FACTORS.match(slot.name) is not None,
        is_lazy=_is_lazy(slot, model),
        cuda_can_use=_cuda_can_use(slot, model),
        sizes=(gpu, host, cpu),
    )


def _cuda_can_use(slot: Slot, model: Model) -> bool:
    tensor = slot.tensor
    if slot.il < 0 and slot.name != OUTPUT:
        return buffers.cuda_get_rows(tensor.type, tensor.shape[0])
    if tensor.name.endswith(".ssm_a") and f"blk.{slot.il}.ssm_d" in model.header.by_name:
        return _cuda_scans(model.hparams, tensor)
    if _CONVOLUTION.search(tensor.name):
        return len(tensor.shape) < 2 or tensor.shape[1] % _CUDA_CONV_CHANNELS == 0
    return not tensor.type.is_quantized or tensor.type.name in buffers.CUDA_MATRIX_TYPES


def _cuda_scans(h: Hparams, ssm_a: Tensor) -> bool:
    """Whether CUDA runs SSM_SCAN on this ``ssm_a`` (``supports_op``, probed as ``weight_buft_supported`` does)."""
    n_head = ssm_a.shape[1] if len(ssm_a.shape) > 1 else 1
    head_dim = h.ssm_d_inner // n_head
    if ssm_a.shape[0] == 1:
        return h.ssm_d_state in _CUDA_SCAN_STATES and head_dim % 16 == 0
    return ssm_a.shape[0] == 16 and head_dim == 1 and n_head % 128 == 0 and max(h.ssm_n_group, 1) == 1

"""Which buffer type holds which weight, and how many bytes that takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from omniplan.domain.header import Tensor
from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.roles import layer_of
from omniplan.domain.tensor_type import TensorType
from omniplan.gguf.model import architectures
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.backend import Backend, Device
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.ggml.cpu_buffers import Repacked
from omniplan.llamacpp.graph import kernels, ops
from omniplan.llamacpp.graph.node import Node, strides
from omniplan.llamacpp.load.division import Division
from omniplan.llamacpp.load.tensors import LayerClass, tensor_class

OUTPUT: Final = "output.weight"
TOKEN_EMBEDDING: Final = "token_embd.weight"
_LAZY_ROWS: Final = "per_layer_token_embd.weight"
_ROWS: Final = 512  # src/llama-model-loader.cpp:weight_buft_supported, the batch that is asked about
_CONVOLUTION: Final = re.compile(r"\.(ssm_conv1d|ple_conv1d|shortconv\.conv)\.weight$")
# src/llama-arch.cpp: LLM_TENSOR_INFOS, the operations of weights
_LOOKED_UP: Final = re.compile(r"\.(nextn\.embed_tokens|(attn|indexer)_compressor_ape)\.weight$")
_EXPERTS: Final = re.compile(r"\.ffn_\w+_(ch|)exps\.weight$")
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
def slots(model: Model, *, mtp: bool = False) -> tuple[Slot, ...]:
    """Every tensor that b11434 allocates for ``model``, duplicates included; nextn blocks for ``mtp`` alone."""
    return tuple(_slots(model, mtp=mtp))


def _slots(model: Model, *, mtp: bool) -> Iterator[Slot]:
    h = model.hparams
    arch = architectures.row_of(model)
    skips_nextn = arch.skips_nextn and not (mtp and arch.mtp)
    for tensor in model.header.tensors:
        il = layer_of(tensor.name)
        if il is not None:
            is_loaded = not {_stem(tensor.name), tensor.name.split(".", 2)[-1]}.isdisjoint(arch.nextn_loaded)
            if il < h.n_layer or not skips_nextn or is_loaded:
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
    if name in arch.inputs:
        return LayerClass.INPUT
    return tensor_class(name)


def _tied(model: Model) -> Iterator[Slot]:
    embedding, output = model.tensor(TOKEN_EMBEDDING), model.tensor(OUTPUT)
    if output is None and embedding is not None and not architectures.row_of(model).no_output:
        yield Slot(OUTPUT, embedding, model.hparams.n_layer_all)
    elif embedding is None and output is not None:
        # codeshell does it the other way round.
        yield Slot(TOKEN_EMBEDDING, output, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Where every weight lives, and the bytes per buffer type; as with a model, one is equal to itself alone.

    ``factors`` is the buffer type of each layer's copy of the rotary factors, which are the only weights with copies.
    ``n_tensors`` counts what the loader creates.
    """

    buffer_of: Mapping[str, str]
    factors: Mapping[int, str]
    nbytes: Mapping[str, int]
    n_tensors: int

    def of(self, slot: Slot) -> str:
        """The buffer type that holds a slot."""
        return self.factors[slot.il] if _ROPE_FACTORS.match(slot.tensor.name) else self.buffer_of[slot.name]


@lru_cache(maxsize=64)
def place(
    model: Model,
    layers: tuple[str, ...],
    devices: tuple[Device, ...],
    overridden: tuple[tuple[str, str], ...],
    *,
    host: Backend | None,
    repacked: tuple[Repacked, ...] = (),
    mapped: tuple[str, ...] = (),
    lazy_over: int | None = None,
    mtp: bool = False,
) -> Weights:
    """Put every weight of ``model`` into a buffer type; kept, since it does not depend on the context.

    ``layers`` is the device of each layer, output last; ``overridden`` are names in the file with the buffer type their
    first matching override asks for, of any of ``devices``; ``host`` is the back end whose pinned memory takes weights
    on the CPU, None where there is none; ``repacked`` are the CPU's own buffer types, which are asked after that. Of
    ``mapped`` buffer types the span in each file counts. Rows that are read on demand stay in plain RAM, if they have
    more than ``lazy_over`` bytes. ``mtp``: nextn blocks are loaded.
    """
    buffer_of: dict[str, str] = {}
    factors: dict[int, str] = {}
    asked = dict(overridden)
    held: set[tuple[str, str]] = set()
    usable = {device.buffer: _usable(model, device.backend, mtp=mtp) for device in devices}
    sizes = {device.buffer: _sizes(model, device.memory, mtp=mtp) for device in devices}
    sizes[buffers.CPU] = _sizes(model, CPU.memory, mtp=mtp)
    pinned = host.host if host else None
    if host and pinned:
        usable[pinned.name], sizes[pinned.name] = _usable(model, host, mtp=mtp), _sizes(model, pinned, mtp=mtp)
    for kind in repacked:
        usable[kind.name], sizes[kind.name] = _usable(model, kind, mtp=mtp), _sizes(model, kind, mtp=mtp)
    in_ram = [*([pinned.name] if pinned else []), *(kind.name for kind in repacked)]
    nbytes: Counter[str] = Counter()
    spans = _Spans(model)
    for i, priced in enumerate(_priced(model, mtp=mtp)):
        forced = asked.get(priced.tensor)
        buffer = forced or (layers[priced.il] if priced.il >= 0 else buffers.CPU)
        # The first buffer type of the slot's list whose device can run its op (select_weight_buft).
        if forced is None or forced == buffers.CPU:
            if buffer != buffers.CPU and not usable[buffer][i]:
                buffer = buffers.CPU
            if buffer == buffers.CPU:
                buffer = next((name for name in in_ram if usable[name][i]), buffer)
        if priced.is_lazy and lazy_over is not None and priced.nbytes > lazy_over:
            buffer = buffers.CPU
        buffer_of.setdefault(priced.name, buffer)
        if priced.is_factor:
            factors[priced.il] = buffer
        if (buffer, priced.key) not in held:
            held.add((buffer, priced.key))
            nbytes[buffer] += sizes[buffer][i]
            if buffer in mapped:
                spans.add(buffer, priced.tensor)
    nbytes.update({buffer: size - nbytes[buffer] for buffer, size in spans.sizes().items()})
    return Weights(buffer_of=buffer_of, factors=factors, nbytes=nbytes, n_tensors=len(held))


class _Spans:
    """From the first to the last byte of what buffer types hold of each file (``get_mapping_range``)."""

    def __init__(self, model: Model) -> None:
        self._tensors = model.header.by_name
        self._ends: dict[tuple[str, int], tuple[int, int]] = {}

    def add(self, buffer: str, name: str) -> None:
        tensor = self._tensors[name]
        key, end = (buffer, tensor.shard), tensor.offset + tensor.nbytes
        first, last = self._ends.get(key, (tensor.offset, end))
        self._ends[key] = min(first, tensor.offset), max(last, end)

    def sizes(self) -> Counter[str]:
        """Bytes by buffer type."""
        sizes: Counter[str] = Counter()
        for (buffer, _), (first, last) in self._ends.items():
            sizes[buffer] += last - first
        return sizes


def divide(weights: Weights, model: Model, device: Device, division: Division, *, mtp: bool = False) -> Weights:
    """The same where ``device`` spreads its weights over its members."""
    nbytes = Counter(weights.nbytes)
    del nbytes[device.buffer]
    held: set[str] = set()
    for slot, priced in zip(slots(model, mtp=mtp), _priced(model, mtp=mtp), strict=True):
        if weights.of(slot) == device.buffer and priced.key not in held:
            held.add(priced.key)
            for part, piece in zip(device.parts, division.weight(slot.tensor), strict=True):
                nbytes[part.buffer] += part.memory.size(slot.tensor.type, piece.ne0, piece.nbytes)
    return replace(weights, nbytes=nbytes)


def _is_lazy(slot: Slot, model: Model) -> bool:
    return slot.name == _LAZY_ROWS and architectures.row_of(model).lazy_rows


@dataclass(frozen=True, slots=True)
class _Priced:
    """A slot with all that no placement changes; slots of one ``key`` share their bytes within a buffer type.

    ``tensor`` is its name in the file.
    """

    name: str
    tensor: str
    il: int
    nbytes: int
    key: str
    is_factor: bool
    is_lazy: bool


@lru_cache(maxsize=64)
def _priced(model: Model, *, mtp: bool) -> tuple[_Priced, ...]:
    # gemma3n and gemma4 create the tied output before the input, so the two are never shared.
    twice = architectures.row_of(model).embedding_twice
    return tuple(
        _Priced(
            name=slot.name,
            tensor=slot.tensor.name,
            il=slot.il,
            nbytes=slot.tensor.nbytes,
            key=slot.name if twice else slot.tensor.name,
            is_factor=_ROPE_FACTORS.match(slot.name) is not None,
            is_lazy=_is_lazy(slot, model),
        )
        for slot in slots(model, mtp=mtp)
    )


@lru_cache(maxsize=64)
def _sizes(model: Model, memory: BufferType | Repacked, *, mtp: bool) -> tuple[int, ...]:
    return tuple(size(slot, memory) for slot in slots(model, mtp=mtp))


def size(slot: Slot, memory: BufferType | Repacked) -> int:
    """Bytes a slot takes in ``memory``, padding included."""
    return memory.size(slot.tensor.type, slot.tensor.shape[0], slot.tensor.nbytes)


@lru_cache(maxsize=64)
def _usable(model: Model, backend: Backend | Repacked, *, mtp: bool) -> tuple[bool, ...]:
    """Which slots can be used there; those that any back end can are none that are laid out anew."""
    plain = isinstance(backend, Backend)
    return tuple(backend.supports(node) if (node := _probe(slot, model)) else plain for slot in slots(model, mtp=mtp))


def _probe(slot: Slot, model: Model) -> Node | None:
    """The operation that decides whether a back end can use a weight (weight_buft_supported); None if all can."""
    tensor = slot.tensor
    a, b, c, d = (*tensor.shape, 1, 1, 1)[:4]
    weight = _given(tensor.type, a, b, c, d)
    if (slot.il < 0 and slot.name != OUTPUT) or _LOOKED_UP.search(slot.name):
        return ops.get_rows(weight, _given(ops.I32, _ROWS))
    is_scanned = f"blk.{slot.il}.ssm_d" in model.header.by_name or architectures.row_of(model).scanned
    if tensor.name.endswith(".ssm_a") and is_scanned:
        return _scan(weight, model.hparams)
    if _CONVOLUTION.search(tensor.name) and len(tensor.shape) > 1:
        return kernels.ssm_conv(_given(ops.F32, a - 1 + _ROWS, b), weight)
    if not (tensor.type.is_quantized or (tensor.type is ops.F16 and len(tensor.shape) > 1)):
        # Weights in full are added and multiplied as well, which takes no special kernel.
        return None
    if _EXPERTS.search(slot.name):
        n_used = max(model.hparams.n_expert_used)
        return ops.mul_mat_id(weight, _given(ops.F32, a, n_used, _ROWS), _given(ops.I32, n_used, _ROWS))
    return ops.mul_mat(weight, _given(ops.F32, a, _ROWS, c, d))


def _scan(weight: Node, h: Hparams) -> Node:
    """Mamba's scan with ``ssm_a``, whose first dimension is the state of Mamba 1 and 1 in Mamba 2."""
    d_state = h.ssm_d_state if weight.ne[0] == 1 else weight.ne[0]
    n_head = weight.ne[1]
    state = _given(ops.F32, d_state, h.ssm_d_inner // n_head, n_head)
    x = _given(ops.F32, state.ne[1], n_head, _ROWS)
    group = _given(ops.F32, d_state, max(h.ssm_n_group, 1), _ROWS)
    return kernels.ssm_scan(state, x, _given(ops.F32, n_head, _ROWS), weight, group, group, _given(ops.I32, 1))


def _given(kind: TensorType, *shape: int) -> Node:
    a, b, c, d = (*shape, 1, 1, 1)[:4]
    return Node("NONE", kind, (a, b, c, d), strides(kind, (a, b, c, d)))

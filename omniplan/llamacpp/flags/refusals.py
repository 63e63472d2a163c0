"""Arguments that only a model or a machine shows to be wrong: llama.cpp b11434 refuses them or aborts later on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from omniplan.documents.source import read_table
from omniplan.domain.machine import Gpu
from omniplan.domain.model import Model
from omniplan.domain.params import MAX_SEQUENCES, FlashAttn, ServerParams, SplitMode
from omniplan.domain.tensor_type import LATER_TYPES, TYPE_BY_NAME, TensorType
from omniplan.errors import ArgumentError
from omniplan.gguf import adapter
from omniplan.gguf.model.architectures import MemoryKind, row_of
from omniplan.llamacpp.flags.overrides import first_match
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.registry import backend_name, is_integrated
from omniplan.llamacpp.load.context import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSplit:
    """Backends, by how their devices' names begin, that can split a weight by rows; ``until`` a build, some could."""

    source: str
    devices: tuple[str, ...]
    until: Mapping[str, int]

    def has(self, device: str, build: int) -> bool:
        """Whether ``device`` can in ``build``."""
        could = any(device.startswith(name) and build < until for name, until in self.until.items())
        return could or device.startswith(self.devices)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitModes:
    """``data/split_mode_tensor.toml``: architectures that refuse a split by tensor, and who can split by rows."""

    source: str
    unsupported: tuple[str, ...]
    row: RowSplit


@cache
def _split_modes() -> SplitModes:
    return read_table("split_mode_tensor.toml", SplitModes)


def check(params: ServerParams, model: Model, gpus: Sequence[Gpu]) -> None:
    """Raise the ``ArgumentError`` that ``params`` earn with ``model`` where ``gpus`` are registered, also hosts'.

    Checks stand in the order in which llama.cpp reaches them.
    """
    for refuse in _CHECKS:
        refuse(params, model, tuple(gpus))


def _types(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    del gpus
    for kind in later_types(model):
        if params.build <= LATER_TYPES[kind]:
            problem = f"b{params.build} does not know the tensor type {kind}"
            raise ArgumentError("--model", problem, remedy=f"run a build after b{LATER_TYPES[kind]}")


@lru_cache(maxsize=32)
def later_types(model: Model) -> frozenset[str]:
    """Types of the model's tensors that came after b11434."""
    return frozenset(tensor.type.name for tensor in model.header.tensors) & LATER_TYPES.keys()


def _adapters(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    del gpus
    for file, header in zip(params.adapters, model.companions.adapters, strict=False):
        if wrong := adapter.faults(header, model.header.by_name, model.arch):
            raise ArgumentError("--lora", f"{file.path}: {wrong}", remedy="use an adapter of this model")


def _counts(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    del gpus
    n_seq_max = params.n_seq_max
    if n_seq_max > MAX_SEQUENCES:
        raise ArgumentError(
            "--parallel", f"{n_seq_max} slots, llama.cpp has at most {MAX_SEQUENCES}", remedy="lower -np"
        )
    for flag, value, least in (("--ctx-size", params.n_ctx, 0), ("--batch-size", params.n_batch, 1)):
        if value < least:
            raise ArgumentError(flag, f"{value} is no number of tokens", remedy=f"use at least {least}")
    if params.n_ubatch < 0:
        raise ArgumentError("--ubatch-size", f"{params.n_ubatch} is no number of tokens", remedy="use at least 1")
    if params.n_ctx_asked == 0 and model.hparams.n_ctx_train == 0:
        raise ArgumentError("--ctx-size", "the model does not say its training context", remedy="give -c")


def _devices(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    del model
    names = _names(gpus)
    named = ("--device", params.devices), ("--spec-draft-device", params.draft.devices)
    projector = ("--mmproj-device", None if params.mmproj_device is None else (params.mmproj_device,))
    for flag, devices in (*named, projector):
        for device in devices or ():
            if device not in names:
                problem = f"there is no device '{device}'"
                raise ArgumentError(flag, problem, remedy=_available(device, (*names, "none")))


def _buffer_types(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    del model
    known = (buffers.CPU, *(gpu.buffer_type for gpu in gpus))
    flags = ("--override-tensor", params.overrides), ("--spec-draft-override-tensor", params.draft.overrides)
    for flag, overrides in flags:
        for override in overrides:
            if override.buffer_type not in known:
                problem = f"unknown buffer type '{override.buffer_type}' for pattern '{override.pattern}'"
                raise ArgumentError(flag, problem, remedy=_available(override.buffer_type, known))


def _available(wrong: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}this machine has {', '.join(known)}"


def _main_gpu(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    del model
    devices = _selected(params, gpus)
    if params.split_mode is SplitMode.NONE and devices and params.main_gpu >= len(devices):
        problem = f"{params.main_gpu} is out of range, {len(devices)} devices are available"
        raise ArgumentError("--main-gpu", problem, remedy=f"use 0 to {len(devices) - 1}")


def _split_mode(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    devices = _selected(params, gpus)
    if params.split_mode is SplitMode.ROW:
        for device in devices:
            if not _split_modes().row.has(device, params.build):
                raise ArgumentError(
                    "--split-mode", f"device {device} does not support split buffers", remedy="use -sm layer"
                )
    if params.split_mode is not SplitMode.TENSOR:
        return
    if model.arch in _split_modes().unsupported:
        problem = f"tensor is not implemented for architecture '{model.arch}'"
        raise ArgumentError("--split-mode", problem, remedy="use -sm layer")
    if not devices:
        raise ArgumentError("--split-mode", "tensor needs a GPU", remedy="use -sm layer")
    if params.flash_attn is FlashAttn.OFF:
        raise ArgumentError("--split-mode", "tensor needs flash attention", remedy="use -fa on or -fa auto")


def _unused_devices(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    """Weights on a device that computes nothing make the scheduler abort: no back end can run their operation."""
    # What divides every tensor is one device, and none that an override can name.
    devices = () if params.split_mode is SplitMode.TENSOR else devices_in_use(params, gpus)
    used = {buffers.CPU, *(gpu.buffer_type for gpu in gpus if gpu.name in devices)}
    if not any(override.buffer_type not in used for override in params.overrides):
        return
    for name, override in first_match(params.overrides, _loaded(params, model)).items():
        if override.buffer_type not in used:
            problem = f"'{override.pattern}={override.buffer_type}' puts {name} on a device that is not in use"
            remedy = f"in use are {', '.join(sorted(used))}: change the override, --split-mode, --main-gpu or --device"
            raise ArgumentError("--override-tensor", problem, remedy=remedy)


def _names(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    return tuple(gpu.name for gpu in gpus)


def devices_in_use(params: ServerParams, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """GPUs that compute, in split order: ``-dev`` or all with RPC first, then one of them with ``-sm none``.

    Integrated GPUs only do where there is no other, but of another host. With ``-sm tensor`` all keep their order
    (src/llama.cpp: ``llama_prepare_model_devices``).
    """
    devices = _selected(params, gpus)
    if params.split_mode is not SplitMode.NONE:
        return devices
    return devices[params.main_gpu : params.main_gpu + 1] if params.main_gpu >= 0 else ()


def _selected(params: ServerParams, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    if params.devices is not None:
        return params.devices
    if params.split_mode is SplitMode.TENSOR:
        return _names(gpus)
    remote = [gpu for gpu in gpus if gpu.name.startswith("RPC")]
    local = [gpu for gpu in gpus if gpu not in remote]
    integrated = [gpu for gpu in local if is_integrated(gpu)]
    if len(integrated) == len(local):
        # What several back ends see is the first's.
        local = [gpu for gpu in integrated if backend_name(gpu) == backend_name(integrated[0])]
    else:
        local = [gpu for gpu in local if gpu not in integrated]
    return _names([*remote, *local])


def _loaded(params: ServerParams, model: Model) -> Iterable[str]:
    skipped = {
        tensor.name for layer in model.layers if layer.is_nextn and not params.load_mtp for tensor in layer.tensors
    }
    return (tensor.name for tensor in model.header.tensors if tensor.name not in skipped)


def _cache_types(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    """``llama_init_from_model``: one type for MLA, flash attention for quantised V, whole blocks per head."""
    del gpus
    arch = row_of(model)
    type_k, type_v = TYPE_BY_NAME[params.cache_type_k], TYPE_BY_NAME[params.cache_type_v]
    if (model.hparams.is_mla or arch.memory is MemoryKind.DSV4) and type_k is not type_v:
        problem = f"{model.arch} keeps K and V in one cache, {type_k.name} and {type_v.name} differ"
        raise ArgumentError("--cache-type-v", problem, remedy=f"use -ctk {type_k.name} -ctv {type_k.name}")
    is_off = params.flash_attn is FlashAttn.OFF or not arch.flash_attention
    if type_v.is_quantized and is_off:
        why = "which is off" if params.flash_attn is FlashAttn.OFF else f"which {model.arch} does not have"
        remedy = "use -ctv f16" + (" or -fa on" if arch.flash_attention else "")
        raise ArgumentError("--cache-type-v", f"{type_v.name} needs flash attention, {why}", remedy=remedy)
    if not is_off:
        _whole_blocks("--cache-type-k", "K", type_k, model.hparams.n_embd_head_k[: model.hparams.n_layer])
        _whole_blocks("--cache-type-v", "V", type_v, model.hparams.n_embd_head_v[: model.hparams.n_layer])


def _sequences(params: ServerParams, model: Model, gpus: tuple[Gpu, ...]) -> None:
    """``llama_context::graph_reserve`` rounds the batch up to a multiple of the slots, which some graphs abort on."""
    del gpus
    context = resolve(model, params, flash_attn=True)
    if row_of(model).whole_sequences and context.n_stream > 1 and context.n_tokens % context.n_seq_max:
        problem = f"llama.cpp aborts, {context.n_seq_max} slots do not divide a batch of {context.n_tokens} tokens"
        raise ArgumentError("--parallel", problem, remedy="use --kv-unified or another --ubatch-size")


def _whole_blocks(flag: str, which: str, kind: TensorType, head_sizes: Sequence[int]) -> None:
    for size in head_sizes if kind.is_quantized else ():
        if size % kind.block:
            problem = f"{kind.name} has blocks of {kind.block}, which do not divide the {which} head size {size}"
            raise ArgumentError(flag, problem, remedy="use f16 or bf16")


_CHECKS: Final[tuple[Callable[[ServerParams, Model, tuple[Gpu, ...]], None], ...]] = (
    _types,
    _devices,
    _buffer_types,
    _counts,
    _main_gpu,
    _split_mode,
    _cache_types,
    _sequences,
    _unused_devices,
    _adapters,
)

"""Where a model lies and what it takes there: context, devices, buffer types, bytes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from omniplan.domain.footprint import BufferSize, sum_of
from omniplan.domain.hosts import joined
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import FlashAttn, LazyMode, LoadMode, ServerParams, SplitMode
from omniplan.gguf.adapter import pairs
from omniplan.gguf.model.architectures import row_of
from omniplan.llamacpp.flags import overrides, refusals
from omniplan.llamacpp.ggml import registry
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.cpu_buffers import repacked
from omniplan.llamacpp.ggml.meta import meta
from omniplan.llamacpp.load import compute, expert_cache, layers, memory, weights
from omniplan.llamacpp.load.context import resolve
from omniplan.llamacpp.load.division import Division
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.speculation import settled

# src/llama-model-loader.cpp: auto_min_size.
_LAZY_AUTO: Final = 4 << 30
_MAPPING: Final = (LoadMode.AUTO, LoadMode.MMAP, LoadMode.MMAP_MLOCK)


def place(
    model: Model, machine: Machine, params: ServerParams, *, is_mtp: bool = False, no_alloc: bool = False
) -> Placement:
    """Resolve ``params`` to a context, a device per layer and a buffer type per weight.

    ``is_mtp``: the context is the one that drafts with the model's nextn layers.
    """
    params, machine = settled(model, params), joined(machine, params.rpc)
    refusals.check(params, model, machine.gpus)
    devices = refusals.devices_in_use(params, machine.gpus)
    known = {gpu.name: registry.device(gpu, params.build) for gpu in machine.gpus}
    gpus = tuple(known[name] for name in devices)
    division = None
    if params.split_mode is SplitMode.TENSOR:
        division = Division(model, layers.shares(params, len(gpus)))
        gpus = (meta(gpus),)
    layer_devices = layers.layer_devices(params, machine, [gpu.name for gpu in gpus], model.hparams.n_layer_all)
    matched = overrides.first_match(params.overrides, model.header.by_name)
    named = {gpu.buffer_type: gpu.name for gpu in machine.gpus}
    forced = ((name, named.get(override.buffer_type, override.buffer_type)) for name, override in matched.items())
    wanted = params.flash_attn is not FlashAttn.OFF and row_of(model).flash_attention
    context = replace(resolve(model, params, flash_attn=wanted), is_mtp=is_mtp)
    if is_mtp or no_alloc:
        # Adapters are the main context's, and loaded after --fit has measured.
        context = replace(context, adapters=())
    held = weights.place(
        model,
        layer_devices,
        # Which of a back end's devices it is changes nothing about weights.
        tuple(replace(gpu, capability=0) for gpu in {**known, **{gpu.name: gpu for gpu in gpus}}.values()),
        tuple(forced),
        host=None if params.no_host else registry.host(gpus),
        mapped=() if no_alloc else _mapped(params, gpus),
        repacked=repacked(machine.cpu.features) if params.repack and machine.cpu else (),
        lazy_over=_lazy_over(params, machine, devices),
        mtp=params.load_mtp,
    )
    cache = expert_cache.resolve(model, machine, params, layer_devices, gpus, held, no_alloc=no_alloc)
    placement = Placement(
        context=context if cache is None else replace(context, expert_slots=cache.slots),
        gpus=gpus,
        layers=layer_devices,
        weights=held,
        n_copies=layers.pipeline_copies(params, model.hparams.n_layer_all, gpus),
        expert_cache=cache,
        division=division,
        no_alloc=no_alloc,
    )
    if division:
        placement = _divided(model, placement, division, mtp=params.load_mtp)
    # With a quantised V cache or divided tensors auto is on before anyone looks at devices (llama_init_from_model).
    is_on = division is not None or placement.context.type_v.is_quantized
    is_auto = wanted and params.flash_attn is FlashAttn.AUTO and not is_on
    if is_auto and not compute.attention_follows_layers(model, placement):
        placement = replace(placement, context=replace(placement.context, flash_attn=False))
    return compute.resolve_fused(model, placement)


def _divided(model: Model, placement: Placement, division: Division, *, mtp: bool) -> Placement:
    """The same with weights spread over the members of its one device."""
    device = placement.gpus[0]
    adapted = (name for at in placement.context.adapters for name in pairs(model.companions.adapters[at]))
    division.check_adapters(name for name in adapted if placement.weights.buffer_of[name] == device.buffer)
    caches = memory.caches(model, placement.context)
    division.check_readers(cache for cache in caches if placement.cache_device(cache.il) == device.buffer)
    return replace(placement, weights=weights.divide(placement.weights, model, device, division, mtp=mtp))


def _mapped(params: ServerParams, gpus: Sequence[Device]) -> tuple[str, ...]:
    """Buffer types of devices that read weights where the mapped file lies (llama_model_base::load_tensors)."""
    if params.load_mode not in _MAPPING:
        return ()
    return tuple(gpu.buffer for gpu in gpus if gpu.backend.in_place)


def _lazy_over(params: ServerParams, machine: Machine, devices: tuple[str, ...]) -> int | None:
    """Bytes over which rows are read on demand, None for never (src/llama-model-loader.cpp: ``lazy_read::add``)."""
    if params.lazy_mode is LazyMode.AUTO:
        return _LAZY_AUTO if all(map(registry.maps_files, map(machine.gpu, devices))) else None
    return 0 if params.lazy_mode is LazyMode.ON else None


def measure(model: Model, placement: Placement) -> Mapping[str, BufferSize]:
    """Bytes per buffer type of a resolved placement, which is what ``--fit`` asks llama.cpp for, and no more."""
    return measured_with(model, placement, compute.reserved_bytes(model, placement))


def measured_with(model: Model, placement: Placement, reserved: Mapping[str, int]) -> Mapping[str, BufferSize]:
    """The same where compute buffers are ``reserved``; the cache of experts counts."""
    return sum_of((sizes_of(model, placement, reserved), expert_cache.sizes(placement.expert_cache)))


def sizes_of(model: Model, placement: Placement, reserved: Mapping[str, int]) -> dict[str, BufferSize]:
    """Bytes per buffer type of a resolved placement whose compute buffers are ``reserved``."""
    held = context_bytes(model, placement)
    model_bytes = placement.weights.nbytes
    return {
        name: BufferSize(model=model_bytes.get(name, 0), context=held[name], compute=reserved.get(name, 0))
        for name in dict.fromkeys((*placement.members, *model_bytes, *held, *reserved))
    }


def context_bytes(model: Model, placement: Placement) -> Counter[str]:
    """Bytes of KV caches and recurrent states per buffer type."""
    held: Counter[str] = Counter()
    for cache in memory.caches(model, placement.context):
        for buffer, size in placement.cache_sizes(cache):
            held[buffer] += size
    return held

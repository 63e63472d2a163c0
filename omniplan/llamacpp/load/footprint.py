"""The price of given arguments: weights, caches and compute buffers per buffer type, added up as b11434 does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import RAM, BufferSize, ContextKind, Footprint, Pool, sum_of
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import FlashAttn, LazyMode, ServerParams
from omniplan.gguf.model.architectures import row
from omniplan.llamacpp.flags import overrides, refusals
from omniplan.llamacpp.ggml import buffers, registry
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.load import compute, expert_cache, layers, memory, weights
from omniplan.llamacpp.load.beside import beside
from omniplan.llamacpp.load.context import resolve
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.unpriced import unpriced

# src/llama-model-loader.cpp: auto_min_size.
_LAZY_AUTO: Final = 4 << 30


def footprint(model: Model, machine: Machine, params: ServerParams) -> Footprint:
    """Price ``params`` for ``model`` on ``machine``; raises ArgumentError for what llama-server would refuse."""
    return placed(model, machine, params)[1]


def placed(model: Model, machine: Machine, params: ServerParams) -> tuple[Placement, Footprint]:
    """The same with the placement behind it."""
    placement = place(model, machine, params)
    return placement, price(model, machine, params, placement)


def place(model: Model, machine: Machine, params: ServerParams) -> Placement:
    """Resolve ``params`` to a context, a device per layer and a buffer type per weight."""
    refusals.check(params, model, tuple(gpu.name for gpu in machine.gpus))
    devices = refusals.devices_in_use(params, tuple(gpu.name for gpu in machine.gpus))
    layer_devices = layers.layer_devices(params, machine, devices, model.hparams.n_layer_all)
    known = {gpu.name: registry.device(gpu) for gpu in machine.gpus}
    gpus = tuple(known[name] for name in devices)
    matched = overrides.first_match(params.overrides, model.header.by_name)
    forced = {name: override.buffer_type for name, override in matched.items()}
    wanted = params.flash_attn is not FlashAttn.OFF and row(model.arch).flash_attention
    context = resolve(model.hparams, params, flash_attn=wanted)
    held = weights.place(
        model,
        layer_devices,
        tuple(known.values()),
        forced,
        host=None if params.no_host else registry.host(gpus),
        lazy_over=_lazy_over(params, machine, devices),
    )
    cache = expert_cache.resolve(model, machine, params, layer_devices, gpus, held)
    placement = Placement(
        context=context if cache is None else replace(context, expert_slots=cache.slots),
        gpus=gpus,
        layers=layer_devices,
        weights=held,
        n_copies=layers.pipeline_copies(params, model.hparams.n_layer_all, devices),
        expert_cache=cache,
    )
    # With a quantised V cache llama.cpp turns auto into on before it looks at devices (llama_init_from_model).
    is_auto = wanted and params.flash_attn is FlashAttn.AUTO and not placement.context.type_v.is_quantized
    if is_auto and not compute.attention_follows_layers(model, placement):
        placement = replace(placement, context=replace(placement.context, flash_attn=False))
    return compute.resolve_fused(model, placement)


def _lazy_over(params: ServerParams, machine: Machine, devices: tuple[str, ...]) -> int | None:
    """Bytes over which rows are read on demand, None for never (src/llama-model-loader.cpp: ``lazy_read::add``)."""
    if params.lazy_mode is LazyMode.AUTO:
        # An integrated GPU cannot map files.
        return None if any(machine.gpu(name).is_unified for name in devices) else _LAZY_AUTO
    return 0 if params.lazy_mode is LazyMode.ON else None


def price(model: Model, machine: Machine, params: ServerParams, placement: Placement) -> Footprint:
    """Bytes of a resolved placement and of what ``params`` load beside it, and whether each pool holds its share."""
    context = placement.context
    reserved = compute.reserve(model, placement)
    main = _sizes(model, placement, reserved.nbytes)
    contexts = {ContextKind.MAIN: main, **beside(model, machine, params, placement)}
    sizes = sum_of(contexts.values())
    gpus = tuple(machine.gpu(name) for name in placement.devices)
    return Footprint(
        llama_cpp=context.build.name,
        layers=placement.layers,
        contexts=contexts,
        buffers=sizes,
        graph_splits=reserved.splits,
        pools=tuple(pools(machine, sizes)),
        n_ctx=context.n_ctx,
        n_ctx_seq=context.n_ctx_seq,
        n_seq_max=context.n_seq_max,
        n_ubatch=context.n_ubatch,
        flash_attn=context.flash_attn,
        n_nodes=reserved.n_nodes,
        sched_copies=placement.n_copies,
        compute_parts=reserved.parts,
        assumptions=tuple(_assumptions(model)),
        is_graph_known=families.is_known(model.arch),
        unpriced=tuple(unpriced(model, params, gpus)),
        output_buffer=4 * context.n_seq_max * model.hparams.n_vocab,
    )


def measure(model: Model, placement: Placement) -> Mapping[str, BufferSize]:
    """Bytes per buffer type of a resolved placement: what ``--fit`` asks llama.cpp for, and no more."""
    main = _sizes(model, placement, compute.reserved_bytes(model, placement))
    return sum_of((main, expert_cache.sizes(placement.expert_cache)))


def _sizes(model: Model, placement: Placement, reserved: Mapping[str, int]) -> dict[str, BufferSize]:
    held = context_bytes(model, placement)
    model_bytes = placement.weights.nbytes
    return {
        name: BufferSize(model=model_bytes.get(name, 0), context=held[name], compute=reserved.get(name, 0))
        for name in dict.fromkeys((*placement.devices, *model_bytes, *held, *reserved))
    }


def _assumptions(model: Model) -> Iterator[Assumption]:
    yield from model.assumptions
    if not families.is_known(model.arch):
        yield Assumption(
            subject=f"graph of {model.arch}",
            statement="compute buffers and splits are those of a llama decoder with these tensors, not checked",
            source="no graph of this architecture in omniplan.llamacpp.graph.families",
        )


def context_bytes(model: Model, placement: Placement) -> Counter[str]:
    """Bytes of KV caches and recurrent states per buffer type."""
    held: Counter[str] = Counter()
    for cache in memory.caches(model, placement.context):
        buffer = placement.cache_device(cache.il)
        held[buffer] += placement.memory(buffer).size(cache.type, cache.row, cache.nbytes)
    return held


def pools(machine: Machine, sizes: Mapping[str, BufferSize]) -> Iterator[Pool]:
    """What each pool of ``machine`` has free, and what buffers of these sizes take of it."""
    held = {gpu.name: sizes[gpu.name].total if gpu.name in sizes else 0 for gpu in machine.gpus}
    for gpu in machine.gpus:
        yield Pool(name=gpu.name, free=gpu.room, used=held[gpu.name], members=(gpu.name,))
    drawing = [gpu.name for gpu in machine.gpus if gpu.draws_on_ram]
    used = host_bytes(sizes) + sum(held[name] for name in drawing)
    yield Pool(name=RAM, free=machine.ram, used=used, members=(buffers.CPU, *drawing))


def host_bytes(sizes: Mapping[str, BufferSize]) -> int:
    """Bytes in RAM, pinned or not."""
    return sum(size.total for name, size in sizes.items() if buffers.is_host(name))

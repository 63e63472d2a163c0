"""Layers, weights and caches of a case without its graph, for architectures whose graph is not built yet."""

from __future__ import annotations

from omniplan.domain.footprint import BufferSize
from omniplan.domain.params import FlashAttn
from omniplan.llamacpp import buffers, layers, memory, overrides, refusals, weights
from omniplan.llamacpp.args import parse
from omniplan.llamacpp.context import resolve
from tests.oracle import cases
from tests.oracle.cases import Case


def weigh(case: Case) -> tuple[tuple[str, ...], dict[str, BufferSize]]:
    """Device of every layer, and model and context bytes per buffer."""
    model, machine, params = cases.model(case["model"]), cases.machines()[case["machine"]], parse(case["args"])
    names = tuple(gpu.name for gpu in machine.gpus)
    refusals.check(params, model, names)
    devices = refusals.devices_in_use(params, names)
    placed = layers.layer_devices(params, machine, devices, model.hparams.n_layer_all)
    host = buffers.CUDA_HOST if devices else buffers.CPU
    matched = overrides.first_match(params.overrides, model.header.by_name)
    forced = {name: override.buffer_type for name, override in matched.items()}
    held = dict(weights.place(model, placed, devices, forced, host=host).nbytes)
    context = resolve(model.hparams, params, flash_attn=params.flash_attn is not FlashAttn.OFF)
    cached: dict[str, int] = {}
    for cache in memory.caches(model, context):
        home = placed[cache.il] if context.offload_kqv else buffers.CPU
        cached[home] = cached.get(home, 0) + buffers.padded_size(home, cache.type, cache.row, cache.nbytes)
    sizes = {name: BufferSize(model=held.get(name, 0), context=cached.get(name, 0)) for name in {*held, *cached}}
    return placed, sizes

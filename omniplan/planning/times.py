"""Predicted seconds per layer and device, from the time model's own answers for whole placements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import add
from typing import Final

from omniplan.domain.build import PricedBuild
from omniplan.domain.footprint import Footprint
from omniplan.domain.hosts import joined_addresses
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Objective
from omniplan.domain.request import Request
from omniplan.llamacpp.ggml.registry import backend_of
from omniplan.planning import candidates, patterns
from omniplan.planning.costs import LayerCosts
from omniplan.planning.pins import Pins
from omniplan.planning.timing import seconds
from omniplan.predict.constants import known_on
from omniplan.predict.request import predict_priced, unsized

# Seconds per layer do not depend on how finely the scheduler cuts the graph.
_UNPRICED: Final = Footprint(
    build=PricedBuild.known(""),
    layers=(),
    contexts={},
    buffers={},
    graph_splits=None,
    pools=(),
    n_ctx=0,
    n_ctx_seq=0,
    n_seq_max=1,
    n_ubatch=0,
    flash_attn=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTimes:
    """Seconds per layer, output layer last, in the words of ``ranges.Bin``."""

    kept: tuple[float, ...]
    part: tuple[float, ...]
    cpu: tuple[float, ...]
    handover: float


def device_times(
    model: Model, machine: Machine, request: Request, costs: LayerCosts, params: ServerParams, streaming: ServerParams
) -> Mapping[str, DeviceTimes]:
    """Seconds per layer on every GPU of ``machine`` for the objective of ``request``.

    Two placements are predicted per kind of GPU, everything on it and the movable weights of all layers on the CPU, and
    divided among layers by the bytes a token reads: the time model is a sum over layers of what is in proportion to
    them. ``params`` are what was asked for, ``streaming`` the same for what is on the CPU. A layer of which something
    is on the CPU, or pinned to another GPU, is handed over and back, which takes two splits.
    """
    known: dict[tuple[object, ...], DeviceTimes] = {}
    found = {}
    # One GPU alone is never split by what is free on it.
    machine = unsized(machine)
    known_on_machine, tokens = known_on(machine.constants), _tokens(request)
    to_gpu, to_cpu = (2 * tokens * known_on_machine[name] for name in ("gpu.split", "cpu.split"))
    for index, gpu in enumerate(machine.gpus):
        kind = _kind(gpu)
        if kind not in known:
            times = _times(model, *_alone(machine, index), request, costs, (params, streaming))
            known[kind] = replace(times, handover=to_cpu)
        away = [to_gpu if others - {gpu.name} else 0.0 for others in costs.pinned]
        times = known[kind]
        found[gpu.name] = replace(times, kept=tuple(map(add, times.kept, away))) if any(away) else times
    return found


def _alone(machine: Machine, index: int) -> tuple[Machine, int]:
    """The machine with one of its GPUs alone, called like the first of its kind, and its number there.

    What is placed on one is then placed once for all of a back end. Those of other hosts keep their places.
    """
    gpu = machine.gpus[index]
    if joined_addresses(machine):
        return machine, index
    name = next(other.name for other in machine.gpus if backend_of(other) == backend_of(gpu))
    return replace(machine, gpus=(replace(gpu, name=name),)), 0


def _tokens(request: Request) -> int:
    """Tokens of the answer in what is to be short: only these wait for splits in the time model."""
    match request.objective:
        case Objective.REQUEST:
            return request.n_gen
        case Objective.DECODE:
            return 1
        case Objective.PROMPT:
            return 0


def _kind(gpu: Gpu) -> tuple[object, ...]:
    """What the time model may look at."""
    lanes = (gpu.pcie_generation, gpu.pcie_width, gpu.pcie_generation_max, gpu.pcie_width_max, gpu.link_bandwidth)
    rates = (gpu.bandwidth, gpu.fp16_flops, gpu.int8_ops, gpu.compute_capability)
    return (gpu.description, gpu.total, gpu.endpoint, *lanes, *rates)


def _times(
    model: Model,
    machine: Machine,
    index: int,
    request: Request,
    costs: LayerCosts,
    asked: tuple[ServerParams, ServerParams],
) -> DeviceTimes:
    n_layer_all = model.hparams.n_layer_all
    kept_params, away_params = (candidates.single_gpu(each, index, n_layer_all, Pins()).params for each in asked)
    # Nothing is offloaded from RAM where nothing is there.
    whole = _seconds(model, machine, request, replace(kept_params, op_offload=True))
    active = [size * costs.active_share for size in costs.movable]
    total = sum(costs.base) + sum(active) + costs.rest
    part = tuple(whole * size / total for size in active)
    kept = tuple(whole * base / total + share for base, share in zip(costs.base, part, strict=True))
    layers = [il for il, size in enumerate(costs.movable) if size]
    if not layers:
        return DeviceTimes(kept=kept, part=part, cpu=(0.0,) * len(kept), handover=0.0)
    away_params = replace(away_params, overrides=(patterns.to_cpu(layers, costs.tensors),))
    away = _seconds(model, machine, request, away_params) - whole + sum(part)
    there = sum(costs.on_cpu)
    cpu = tuple(max(0.0, away) * size / there for size in costs.on_cpu)
    return DeviceTimes(kept=kept, part=part, cpu=cpu, handover=0.0)


def _seconds(model: Model, machine: Machine, request: Request, params: ServerParams) -> float:
    return _predicted(model, machine, params, request.n_prompt, request.n_gen, request.objective)


@lru_cache(maxsize=256)
def _predicted(
    model: Model, machine: Machine, params: ServerParams, n_prompt: int, n_gen: int, objective: Objective
) -> float:
    return seconds(predict_priced(model, machine, params, _UNPRICED, n_prompt, n_gen, 0), objective)

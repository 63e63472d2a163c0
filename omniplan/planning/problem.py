"""What is to be placed where: model, machine, request and policy, with bytes and seconds per layer, and prices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final

from omniplan.domain.footprint import RAM, Footprint, GraphSplits
from omniplan.domain.headroom import CACHE_STEP, PROMPT_CACHE, shortfall
from omniplan.domain.hosts import joined_addresses, own_gpus
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.params import LoadMode, Override, ServerParams
from omniplan.domain.plan import Settings
from omniplan.domain.prediction import Prediction
from omniplan.domain.request import Request
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.cuda import HOST
from omniplan.llamacpp.ggml.registry import backend_of
from omniplan.llamacpp.load import memory, weights
from omniplan.llamacpp.load.context import resolve
from omniplan.llamacpp.load.process import process
from omniplan.planning import candidates, patterns, timing
from omniplan.planning.advice import with_threads
from omniplan.planning.candidates import Candidate
from omniplan.planning.costs import LayerCosts, layer_costs
from omniplan.planning.pins import Pins, pins_of
from omniplan.planning.solution import Solution
from omniplan.planning.times import DeviceTimes, device_times
from omniplan.predict.rates import assumed_gpu_bandwidth
from omniplan.predict.request import placed, predict_placed, predict_priced
from omniplan.units import MIB

# Host memory that CUDA can copy from by itself; llama.cpp b11434 takes it when it does not map the file.
_PINNED: Final = LoadMode.NONE


class Problem:
    """One request for one model on one machine, with ``settings`` settled so far.

    Raises RequestError for pins that cannot be kept, ArgumentError for what llama-server would refuse.
    """

    def __init__(self, model: Model, machine: Machine, request: Request, settings: Settings) -> None:
        self.model = model
        self.machine = machine
        self.request = request
        self.settings = settings
        self.headroom = request.headroom
        self.params = candidates.asked(request, settings, rpc=joined_addresses(machine))
        self.context = resolve(model, self.params, flash_attn=True)
        self.pins: Pins = pins_of(model, machine, (*request.pins, *self._head()))

    def settled(self, settings: Settings) -> Problem:
        """The same problem with something else settled."""
        return Problem(self.model, self.machine, self.request, settings)

    @cached_property
    def costs(self) -> LayerCosts:
        """Bytes per layer."""
        return layer_costs(self.model, self.context, self.pins, mtp=self.params.load_mtp)

    @cached_property
    def times(self) -> Mapping[str, DeviceTimes]:
        """Seconds per layer and device."""
        return device_times(self.model, self.machine, self.request, self.costs, self.params, self.streaming)

    @cached_property
    def is_beyond_all(self) -> bool:
        """Whether weights and cache alone are more than all pools together hold beside what stays free of them."""
        most, ram = self.machine.everything, self.machine.ram
        if most is None or ram is None:
            return False
        apart = [gpu for gpu in self.machine.gpus if not gpu.draws_on_ram]
        kept = min(ram, self.headroom.ram) + sum(max(0, gpu.room - self.headroom.budget_of(gpu)) for gpu in apart)
        held = {slot.tensor.name: slot.tensor.nbytes for slot in weights.slots(self.model, mtp=self.params.load_mtp)}
        cached = sum(cache.nbytes for cache in memory.caches(self.model, self.context))
        return sum(held.values()) + cached > most - kept

    @property
    def streaming(self) -> ServerParams:
        """What was asked for, loaded so that GPUs copy weights from RAM well; pinning needs RAM of known size.

        A GPU whose memory is the RAM copies as fast from a mapped file, and other hosts are sent nothing of it. One
        that reads the file in place holds all between its first and its last weight there, the CPU's among them.
        """
        copies = self.params.op_offload or self.params.moe_cache > 0
        is_free = self.params.load_mode is LoadMode.AUTO and copies
        is_apart = self._maps_in_place or any(not gpu.draws_on_ram for gpu in own_gpus(self.machine))
        is_pinned = is_free and is_apart and self.machine.memory is not None
        return replace(self.params, load_mode=_PINNED) if is_pinned else self.params

    @cached_property
    def _maps_in_place(self) -> bool:
        return any(backend_of(gpu).in_place for gpu in own_gpus(self.machine))

    @property
    def is_moe(self) -> bool:
        """Whether what can move are routed experts."""
        return self.costs.tensors == patterns.EXPERTS

    @property
    def what_moves(self) -> str:
        """The word for weights that can move."""
        return "routed experts" if self.is_moe else "FFN weights"

    @property
    def may_move(self) -> bool:
        """Whether parts of layers may go to the CPU."""
        request = self.request
        return request.cpu_weights and (request.cpu_experts or not self.is_moe) and self.patterns_left != 0

    @property
    def patterns_left(self) -> int | None:
        """Overrides the search may add to the pins; None without a bound."""
        most = self.request.max_patterns
        return None if most is None else max(0, most - len(self.pins.overrides))

    def price(self, candidate: Candidate, *, is_plain: bool = False) -> Solution:
        """Price a candidate; a prompt cache that does not fit into RAM is made smaller before anything else gives.

        One that ``is_plain`` gets nothing beside its own parameters, such as threads.
        """
        placement, priced = placed(self.model, self.machine, candidate.params)
        if self._maps_in_place and not is_plain and self.streams(priced):
            candidate = replace(candidate, params=replace(candidate.params, load_mode=self.streaming.load_mode))
            placement, priced = placed(self.model, self.machine, candidate.params)
        cache = PROMPT_CACHE
        short = shortfall(self.headroom.margins(self.machine, priced, cache)).get(RAM, 0)
        if 0 < short <= cache:
            cache = (cache - short) // CACHE_STEP * CACHE_STEP
            candidate = replace(candidate, params=replace(candidate.params, cache_ram=cache // MIB))
        params = candidate.params if is_plain else self.hosted(candidate.params, priced)
        # Whether RAM is pinned changes what CUDA takes and no placement.
        priced = replace(priced, process=process(self.machine, params, priced.contexts))
        margins = self.headroom.margins(self.machine, priced, cache)
        request = self.request
        # Threads and loading change no placement, so that of the candidate will do.
        workload = (request.n_prompt, request.n_gen, 0)
        prediction = predict_placed(self.model, self.machine, params, placement, priced, workload, None)
        return Solution(
            candidate=candidate,
            params=params,
            footprint=priced,
            margins=margins,
            prediction=prediction,
            seconds=timing.seconds(prediction, request.objective),
        )

    def predicted(self, candidate: Candidate, priced: Footprint) -> Prediction:
        """What a candidate would take if it were priced as ``priced`` is."""
        request, params = self.request, self.hosted(candidate.params, priced)
        return predict_priced(self.model, self.machine, params, priced, request.n_prompt, request.n_gen, 0)

    def least(self, candidate: Candidate, like: Footprint) -> float:
        """Seconds that a candidate takes at least, without a simulation: it needs the splits of its moved layers.

        ``like`` is the price of something similar.
        """
        n_moved = sum(self.costs.movable[il] > 0 for il in candidate.moved)
        # The first two are in every run: the look-up of the token, and what follows on a device.
        splits = GraphSplits(prefill=0, decode=2 + 2 * n_moved)
        return timing.seconds(self.predicted(candidate, replace(like, graph_splits=splits)), self.request.objective)

    def hosted(self, params: ServerParams, priced: Footprint) -> ServerParams:
        """A priced placement with what it takes of the host: how it loads, and threads."""
        load_mode = self.streaming.load_mode if self.streams(priced) else params.load_mode
        return with_threads(replace(params, load_mode=load_mode), self.machine, priced)

    def keeps(self, solution: Solution) -> bool:
        """Whether a solution from elsewhere keeps what was asked, beside the limits."""
        request, on_cpu = self.request, self.streams(solution.footprint)
        if request.max_patterns is not None and solution.n_patterns > request.max_patterns:
            return False
        if isinstance(request.moe_cache, int) and on_cpu and solution.params.moe_cache != request.moe_cache:
            return False
        return not on_cpu or (request.cpu_weights and (request.cpu_experts or not self.is_moe))

    def streams(self, priced: Footprint) -> bool:
        """Whether anything but what tokens are looked up in is in RAM."""
        held = sum(size.model for name, size in priced.buffers.items() if buffers.is_host(name))
        return held > self._inputs

    @cached_property
    def _inputs(self) -> int:
        return sum(weights.size(slot, HOST) for slot in weights.slots(self.model) if slot.il < 0)

    def _head(self) -> tuple[Override, ...]:
        """The pin of an output matrix that stays in RAM; a tied one is the token embedding."""
        if not self.settings.head_on_cpu:
            return ()
        name = weights.OUTPUT if self.model.tensor(weights.OUTPUT) else weights.TOKEN_EMBEDDING
        return (Override(f"^{re.escape(name)}", buffers.CPU),)


def speed(gpu: Gpu) -> float:
    """What GPUs are ordered by: bytes per second from memory, one figure for all that nobody knows."""
    return assumed_gpu_bandwidth(gpu)

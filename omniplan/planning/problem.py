"""What is to be placed where: model, machine, request and policy, with bytes and seconds per layer, and prices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from omniplan.domain.footprint import RAM, Footprint
from omniplan.domain.headroom import PROMPT_CACHE, Headroom, shortfall
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.params import LoadMode, ServerParams
from omniplan.domain.plan import Request
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.cuda import HOST
from omniplan.llamacpp.load import weights
from omniplan.llamacpp.load.context import resolve
from omniplan.planning import arguments, patterns, timing
from omniplan.planning.advice import thread_args
from omniplan.planning.arguments import Candidate
from omniplan.planning.costs import LayerCosts, layer_costs
from omniplan.planning.pins import Pins, pins_of
from omniplan.planning.solution import Solution
from omniplan.planning.times import DeviceTimes, device_times
from omniplan.predict.rates import UNKNOWN_GPU_BANDWIDTH, gpu_bandwidth
from omniplan.predict.request import placed, predict_placed
from omniplan.units import MIB

_CACHE_STEP: Final = 256 * MIB
# Host memory that CUDA can copy from by itself; llama.cpp b11434 takes it when it does not map the file.
_PINNED: Final = ("--load-mode", "none")


class Problem:
    """One request for one model on one machine; raises InputError for pins that cannot be kept."""

    def __init__(self, model: Model, machine: Machine, request: Request, headroom: Headroom) -> None:
        self.model = model
        self.machine = machine
        self.request = request
        self.headroom = headroom
        self.context = resolve(model.hparams, self.params(arguments.request_args(request)), flash_attn=True)
        self.pins: Pins = pins_of(model, machine, (*request.pins, *self._head()))

    def with_request(self, **changes: object) -> Problem:
        """The same problem with something else asked for."""
        return Problem(self.model, self.machine, replace(self.request, **changes), self.headroom)  # type: ignore[arg-type]

    def params(self, args: Sequence[str]) -> ServerParams:
        """What the request's build of llama.cpp reads in ``args``."""
        return parse(args, build=self.request.build)

    @cached_property
    def costs(self) -> LayerCosts:
        """Bytes per layer."""
        return layer_costs(self.model, self.context, self.pins)

    @cached_property
    def times(self) -> Mapping[str, DeviceTimes]:
        """Seconds per layer and device."""
        return device_times(self.model, self.machine, self.request, self.costs, self.streaming)

    @cached_property
    def is_beyond_all(self) -> bool:
        """Whether the weights alone are more than all pools together hold."""
        if self.machine.memory is None:
            return False
        held = {slot.name: slot.tensor.nbytes for slot in weights.slots(self.model)}
        return sum(held.values()) > self.machine.memory.available + sum(gpu.free for gpu in self.machine.gpus)

    @property
    def streaming(self) -> tuple[str, ...]:
        """Arguments for weights that a prompt streams from RAM; pinning needs RAM of known size."""
        is_free = self.request.load_mode is LoadMode.AUTO and self.request.op_offload
        return _PINNED if is_free and self.machine.gpus and self.machine.memory is not None else ()

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
        return None if most is None else max(0, most - len(self.pins.texts))

    def price(self, candidate: Candidate, *, is_plain: bool = False) -> Solution:
        """Price a candidate; a prompt cache that does not fit into RAM is made smaller before anything else gives.

        One that ``is_plain`` gets no arguments beside its own, such as threads.
        """
        placement, priced = placed(self.model, self.machine, self.params(candidate.args))
        margins = self.headroom.margins(self.machine, priced, PROMPT_CACHE)
        short = shortfall(margins).get(RAM, 0)
        if 0 < short <= PROMPT_CACHE:
            size = (PROMPT_CACHE - short) // _CACHE_STEP * _CACHE_STEP
            candidate = replace(candidate, args=(*candidate.args, "-cram", str(size // MIB)), prompt_cache=size)
            margins = self.headroom.margins(self.machine, priced, size)
        args = candidate.args if is_plain else (*candidate.args, *self.run_args(priced))
        request = self.request
        # Threads and loading change no placement, so that of the candidate will do.
        workload = (request.n_prompt, request.n_gen, 0)
        prediction = predict_placed(self.model, self.machine, self.params(args), placement, priced, workload, None)
        return Solution(
            candidate=candidate,
            args=args,
            footprint=priced,
            margins=margins,
            prediction=prediction,
            seconds=timing.seconds(prediction, request.objective),
        )

    def run_args(self, priced: Footprint) -> tuple[str, ...]:
        """What belongs to a priced placement besides its layout: how it loads, and threads."""
        load = self.streaming if self._streams(priced) else ()
        return (*load, *thread_args(self.machine, priced))

    def keeps(self, solution: Solution) -> bool:
        """Whether a solution from elsewhere keeps what was asked, beside the limits."""
        request, on_cpu = self.request, self._streams(solution.footprint)
        if request.max_patterns is not None and solution.n_patterns > request.max_patterns:
            return False
        return not on_cpu or (request.cpu_weights and (request.cpu_experts or not self.is_moe))

    def _streams(self, priced: Footprint) -> bool:
        """Whether anything but what tokens are looked up in is in RAM."""
        held = sum(size.model for name, size in priced.buffers.items() if buffers.is_host(name))
        return held > self._inputs

    @cached_property
    def _inputs(self) -> int:
        return sum(weights.size(slot, HOST) for slot in weights.slots(self.model) if slot.il < 0)

    def _head(self) -> tuple[str, ...]:
        """The pin of an output matrix that stays in RAM; a tied one is the token embedding."""
        if not self.request.head_on_cpu:
            return ()
        name = weights.OUTPUT if self.model.tensor(weights.OUTPUT) else weights.TOKEN_EMBEDDING
        return (f"^{re.escape(name)}={buffers.CPU}",)


def speed(gpu: Gpu) -> float:
    """What GPUs are ordered by: bytes per second from memory, one figure for all that nobody knows."""
    return gpu_bandwidth(gpu) or UNKNOWN_GPU_BANDWIDTH

"""The ladder: one GPU, all GPUs, as few experts or FFN weights as possible on the CPU, whole layers, a refusal."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.params import MAX_DEVICES
from omniplan.domain.plan import Plan, Request
from omniplan.errors import InputError
from omniplan.llamacpp.args import parse
from omniplan.llamacpp.context import resolve
from omniplan.llamacpp.footprint import RAM, footprint
from omniplan.search import arguments, patterns, ranges, timing
from omniplan.search.arguments import Candidate
from omniplan.search.baselines import best_of, rivals
from omniplan.search.costs import LayerCosts, compute_estimate, layer_costs
from omniplan.search.limits import PROMPT_CACHE, Limits, shortfall
from omniplan.search.reporter import Reporter
from omniplan.search.result import plan_of
from omniplan.search.times import DeviceTimes, device_times
from omniplan.units import MIB

DEFAULT_CONTEXT: Final = 32768
# A GPU whose bandwidth nobody stated counts as this; only the order of GPUs depends on it.
_UNKNOWN_BANDWIDTH: Final = 500e9
USUAL_BATCH: Final = 512
# Rounds in which the estimate of compute buffers is replaced by what the simulation says.
_ROUNDS: Final = 4
_CACHE_STEP: Final = 256 * MIB
# A slower GPU must save this share of the time to be used: an RTX 5090 alone beat RTX 5090 + RTX 4090 by 10 % (24.07
# against 21.88 tokens/s, ik_llama.cpp #629), one RTX 4090 with 24 layers fewer beat two by 10 % (18.5 against 16.8).
MARGIN: Final = 0.10
# The programme's seconds leave out graph splits; a rival within this factor is priced.
_CLEARLY: Final = 0.8
# -ts takes one value less than there may be devices (llama.cpp b11434 common/arg.cpp).
_MOST_SPLIT: Final = MAX_DEVICES - 1


def make_plan(
    model: Model,
    machine: Machine,
    *,
    n_ctx: int | None,
    n_parallel: int,
    cache_type_k: str,
    cache_type_v: str,
    n_ubatch: int | None,
    headroom: Headroom,
    n_prompt: int,
    n_gen: int,
    objective: str,
    baselines: bool = False,
) -> Plan:
    """The first rung of the ladder that keeps every limit; raises Infeasible with the nearest miss and remedies."""
    for option, count in (("--ctx", n_ctx), ("--parallel", n_parallel), ("--ubatch", n_ubatch)):
        if count is not None and count < 1:
            raise InputError(f"{option} {count}: expected at least 1; leave it out for the default")
    request = Request(
        n_ctx=n_ctx or min(model.hparams.n_ctx_train, DEFAULT_CONTEXT),
        n_ctx_given=n_ctx is not None,
        n_parallel=n_parallel,
        cache_type_k=cache_type_k,
        cache_type_v=cache_type_v,
        n_ubatch=n_ubatch or USUAL_BATCH,
        n_prompt=n_prompt,
        n_gen=n_gen,
        objective=objective,
    )
    timing.check(request)
    ladder = Ladder(model, machine, request, headroom)
    if n_ubatch is None:
        from omniplan.search.microbatch import best_size

        ladder, found = best_size(ladder)
    else:
        found = ladder.climb()
    known = rivals(ladder) if baselines else {}
    found = best_of(ladder, found, known)
    if found is None:
        from omniplan.search.remedies import refusal

        raise refusal(ladder)
    return plan_of(ladder, *found, {name: rival.baseline for name, rival in known.items()})


class Ladder:
    """One search: the problem, the limits, and what has been learned on the way up."""

    def __init__(self, model: Model, machine: Machine, request: Request, headroom: Headroom) -> None:
        self.model = model
        self.machine = machine
        self.request = request
        self.headroom = headroom
        self.limits = Limits(machine=machine, headroom=headroom)
        self.reporter = Reporter(model)
        self.context = resolve(model.hparams, parse(arguments.request_args(request)), flash_attn=True)
        self.costs: LayerCosts = layer_costs(model, self.context)
        self.closest: dict[str, int] = {}
        self.is_ram_short = False

    def climb(self) -> tuple[Candidate, Footprint] | None:
        """The first candidate that keeps every limit."""
        if not self.machine.gpus:
            return self._on_cpu()
        for rung in (self._single, self._spread, self._spill, self._partial):
            for candidate, priced in rung():
                return self._without_slow_gpus(candidate, priced)
        return self._on_cpu()

    @cached_property
    def times(self) -> Mapping[str, DeviceTimes]:
        """Seconds per layer and device."""
        return device_times(self.model, self.machine, self.request, self.costs)

    def seconds(self, candidate: Candidate, priced: Footprint) -> float:
        """Predicted seconds of what the request wants to be fast."""
        return timing.seconds(timing.speed(self, candidate.args, priced), self.request.objective)

    def estimate(self, computes: Mapping[str, int]) -> float | None:
        """Seconds of the best assignment with compute buffers of these sizes, unpriced; None when none fits."""
        if not self.machine.gpus:
            return None
        reserves = {gpu.name: computes.get(gpu.name, 0) for gpu in self.machine.gpus[:_MOST_SPLIT]}
        candidate = self._fill(reserves, may_move=True, first=0)
        return None if candidate is None else candidate.seconds

    def _without_slow_gpus(self, candidate: Candidate, priced: Footprint) -> tuple[Candidate, Footprint]:
        """The same without GPUs slower than the fastest, unless they save the share of time they must."""
        fast = [gpu for gpu in self.machine.gpus if _speed(gpu) == max(map(_speed, self.machine.gpus))]
        slow = [part.name for part in candidate.ranges if part.name not in {gpu.name for gpu in fast}]
        if not slow or candidate.ranges[0].first > 0:
            return candidate, priced
        took = self.seconds(candidate, priced)
        known = self.reporter.recall()
        rival = next(self._refine(may_move=True, gpus=fast, least=took), None)
        if rival is None:
            self.reporter.restore(known)
            return candidate, priced
        gain = 1 - took / self.seconds(*rival)
        if gain >= MARGIN:
            self.reporter.restore(known)
        self.reporter.second_gpu(slow, gain, MARGIN)
        return (candidate, priced) if gain >= MARGIN else rival

    def _single(self) -> Iterator[tuple[Candidate, Footprint]]:
        """The whole model on the fastest GPU that holds it."""
        need = self.costs.total + self.costs.shared
        for gpu in sorted(self.machine.gpus, key=lambda gpu: -_speed(gpu)):
            budget = self.headroom.budget_of(gpu)
            if need > budget:
                self.reporter.too_big_for(gpu, need, budget)
                self._remember({gpu.name: need - budget})
                continue
            index = self.machine.gpus.index(gpu)
            yield from self._try(arguments.single_gpu(self.request, index, self.model.hparams.n_layer_all))

    def _spread(self) -> Iterator[tuple[Candidate, Footprint]]:
        """All weights on GPUs, layers in proportion to what each really holds."""
        if len(self.machine.gpus) > 1:
            yield from self._refine(may_move=False)

    def _spill(self) -> Iterator[tuple[Candidate, Footprint]]:
        """Every layer on a GPU, the movable weights of some on the CPU, in the least predicted time.

        A dense model may do better with leading layers whole on the CPU: as many bytes there, but fewer hand-overs.
        """
        found = next(self._refine(may_move=True), None)
        if found is not None and self.costs.tensors == patterns.DENSE_FFN:
            told = self.reporter.recall()
            rival = next(self._leading(may_move=False), None)
            if rival is None or self.seconds(*found) <= self.seconds(*rival):
                self.reporter.restore(told)
            else:
                found = rival
        if found is not None:
            yield found

    def _partial(self) -> Iterator[tuple[Candidate, Footprint]]:
        """Leading layers whole on the CPU, when even their attention does not fit."""
        yield from self._leading(may_move=True)

    def _leading(self, *, may_move: bool) -> Iterator[tuple[Candidate, Footprint]]:
        """As few leading layers on the CPU as make the others fit, with or without moving parts of these."""
        n_layer_all = self.model.hparams.n_layer_all
        none = dict.fromkeys((gpu.name for gpu in self.machine.gpus), 0)
        least = bisect_left(
            range(1, n_layer_all + 1), 1, key=lambda first: self._fill(none, may_move=may_move, first=first) is not None
        )
        for first in range(least + 1, n_layer_all + 1):
            yield from self._refine(may_move=may_move, first=first)
            if self.is_ram_short:
                # Every further layer on the CPU takes more of it.
                return

    def _refine(
        self, *, may_move: bool, first: int = 0, gpus: Sequence[Gpu] | None = None, least: float = 0.0
    ) -> Iterator[tuple[Candidate, Footprint]]:
        """Fill with estimated compute buffers, price the result, fill again with the real ones; the fastest wins.

        ``gpus`` may be used, all by default. Nothing comes when more than ``least`` seconds are clearly taken.
        """
        gpus = self.machine.gpus[:_MOST_SPLIT] if gpus is None else gpus[:_MOST_SPLIT]
        reserves = {gpu.name: self._estimate(gpu, may_move=may_move) for gpu in gpus}
        best: tuple[Candidate, Footprint] | None = None
        seen: set[tuple[str, ...]] = set()
        for _ in range(_ROUNDS):
            candidate = self._fill(reserves, may_move=may_move, first=first)
            if candidate is None and best is None and any(reserves.values()):
                reserves = dict.fromkeys(reserves, 0)
                candidate = self._fill(reserves, may_move=may_move, first=first)
            if candidate is None or candidate.args in seen or (least and candidate.seconds * _CLEARLY > least):
                break
            seen.add(candidate.args)
            candidate, priced, missing = self.price(candidate)
            if missing:
                self.reporter.rejected(candidate, missing)
                self._remember(missing)
            elif best is None or candidate.seconds < best[0].seconds:
                best = candidate, priced
            if RAM in missing:
                self.is_ram_short = True
                if len(missing) == 1:
                    break
            reserves = _next_reserves(reserves, priced, missing)
        if best is not None:
            self.reporter.chosen(*best, self.costs)
            yield best

    def _estimate(self, gpu: Gpu, *, may_move: bool) -> int:
        is_first = gpu is self.machine.gpus[0]
        copies = dict(enumerate(self.costs.movable)) if may_move and is_first else None
        return compute_estimate(self.model, self.context, movable=copies)

    def _fill(self, reserves: dict[str, int], *, may_move: bool, first: int) -> Candidate | None:
        """The fastest assignment to the devices that ``reserves`` names."""
        bins = [self._bin(gpu, reserves[gpu.name]) for gpu in self.machine.gpus if gpu.name in reserves]
        filled = ranges.fill(self.costs, bins, may_move=may_move, first=first)
        if filled is None:
            return None
        n_layer_all = self.model.hparams.n_layer_all
        found = arguments.split(self.request, self.machine, filled.ranges, self.costs.tensors, n_layer_all)
        return replace(found, seconds=filled.seconds)

    def _bin(self, gpu: Gpu, reserve: int) -> ranges.Bin:
        times = self.times[gpu.name]
        budget = self.headroom.budget_of(gpu)
        return ranges.Bin(
            name=gpu.name, budget=budget, reserve=reserve, kept=times.kept, part=times.part, cpu=times.cpu
        )

    def _on_cpu(self) -> tuple[Candidate, Footprint] | None:
        return next(self._try(arguments.cpu_only(self.request, has_gpu=bool(self.machine.gpus))), None)

    def _try(self, candidate: Candidate) -> Iterator[tuple[Candidate, Footprint]]:
        candidate, priced, missing = self.price(candidate)
        if missing:
            self.reporter.rejected(candidate, missing)
            self._remember(missing)
        else:
            self.reporter.chosen(candidate, priced, self.costs)
            yield candidate, priced

    def price(self, candidate: Candidate) -> tuple[Candidate, Footprint, dict[str, int]]:
        """Price a candidate; a prompt cache that does not fit into RAM is made smaller before anything else gives."""
        priced = footprint(self.model, self.machine, parse(candidate.args))
        missing = shortfall(self.limits.margins(priced, PROMPT_CACHE))
        short = missing.get(RAM, 0)
        if 0 < short <= PROMPT_CACHE:
            size = (PROMPT_CACHE - short) // _CACHE_STEP * _CACHE_STEP
            candidate = replace(candidate, args=(*candidate.args, "-cram", str(size // MIB)), prompt_cache=size)
            missing = shortfall(self.limits.margins(priced, size))
        return candidate, priced, missing

    def _remember(self, missing: dict[str, int]) -> None:
        if not self.closest or sum(missing.values()) < sum(self.closest.values()):
            self.closest = missing


def _next_reserves(reserves: dict[str, int], priced: Footprint, missing: dict[str, int]) -> dict[str, int]:
    """What the simulation says each device's compute buffer takes, plus what was still missing there."""
    return {
        name: (priced.buffers[name].compute if name in priced.buffers else reserve) + missing.get(name, 0)
        for name, reserve in reserves.items()
    }


def _speed(gpu: Gpu) -> float:
    return gpu.bandwidth or _UNKNOWN_BANDWIDTH

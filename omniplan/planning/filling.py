"""Rounds of filling devices and simulating the result, until compute buffers are the real ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import inf
from typing import Final

from omniplan.domain.footprint import RAM, ComputePart, Footprint
from omniplan.domain.machine import Gpu
from omniplan.domain.params import MAX_DEVICES, ServerParams
from omniplan.planning import candidates, ranges
from omniplan.planning.candidates import Candidate
from omniplan.planning.costs import compute_estimate
from omniplan.planning.problem import Problem
from omniplan.planning.reporter import Reporter
from omniplan.planning.rooms import Bin
from omniplan.planning.solution import TIE, Solution
from omniplan.units import MIB

# Rounds in which the estimate of compute buffers is replaced by what the simulation says. Of 132 searches (44 models on
# six machines) a third round made 3 faster, a fourth 1, and up to ten no more.
_ROUNDS: Final = 4
# Share of the time that another order than CUDA's must save. It makes names in the command mean other cards, so it has
# to be worth a second look; half of what the time model is off by, since both orders share its error.
_ORDER: Final = 0.03
# What of a compute buffer does not grow with the micro-batch.
_FIXED: Final = (ComputePart.OFFLOAD, ComputePart.KV_COPIES)
# -ts takes one value less than there may be devices (llama.cpp b11434 common/arg.cpp).
_MOST_SPLIT: Final = MAX_DEVICES - 1

# Bytes of a device beside layers and caches when it is the first device in use, and when it is not.
Reserves = Mapping[str, tuple[int, int]]


class Filler:
    """Fills the devices of one problem, and tells a reporter what did not fit.

    ``like`` is the price of a problem that differs in little, whose compute buffers are what is expected here.
    """

    def __init__(self, problem: Problem, reporter: Reporter, like: Footprint | None = None) -> None:
        self.problem = problem
        self.reporter = reporter
        self.like = like
        self.most = inf
        self.is_hopeless = self.is_too_slow = False
        self.reserves: Reserves = {}
        self._known: dict[tuple[tuple[tuple[str, tuple[int, int]], ...], bool, int], Candidate] = {}
        # -ts counts layers, and divides a cache of experts as well: each layer brings as much of it.
        n_layers = len(problem.costs.base)
        self.cached = -(-problem.settings.moe_cache * MIB // n_layers)
        self.costs = replace(problem.costs, base=tuple(size + self.cached for size in problem.costs.base))

    def best(
        self, *, may_move: bool, first: int = 0, gpus: Sequence[Gpu] | None = None, most: float | None = None
    ) -> Solution | None:
        """The fastest of a few rounds: fill with estimated compute buffers, simulate, fill again with the real ones.

        ``gpus`` may be used, all by default. Nothing comes when more than ``most`` seconds are taken for certain, by
        default those of the whole search.
        """
        machine = self.problem.machine
        most = self.most if most is None else most
        reserves = self._expected(machine.gpus if gpus is None else gpus, may_move=may_move)
        best: Solution | None = None
        seen: set[ServerParams] = set()
        for _ in range(_ROUNDS):
            candidate = self.fill(reserves, may_move=may_move, first=first)
            if candidate is None and best is None and any(map(any, reserves.values())):
                reserves = dict.fromkeys(reserves, (0, 0))
                candidate = self.fill(reserves, may_move=may_move, first=first)
            if candidate is None or candidate.params in seen:
                break
            if most < inf and self.least_seconds(candidate) > most:
                # More on the CPU takes no less.
                self.is_too_slow = True
                break
            seen.add(candidate.params)
            solution = self.problem.price(candidate)
            if missing := solution.missing:
                self.reporter.rejected(candidate, missing, solution.footprint.source)
            elif best is None or solution.beats(best):
                best = solution
            is_final = self._is_final(solution)
            self.is_hopeless |= is_final or RAM in missing
            if is_final:
                break
            self.reserves = reserves = self._next_reserves(reserves, solution)
        return best and self._uncut(best)

    def _is_final(self, solution: Solution) -> bool:
        """Whether no other ranges help: RAM alone is short, or a GPU that holds nothing but what is pinned to it."""
        missing = solution.missing
        holders = {part.name for part in solution.candidate.ranges}
        return [*missing] == [RAM] or any(name != RAM and name not in holders for name in missing)

    def fill(self, reserves: Reserves, *, may_move: bool, first: int, most: float = inf) -> Candidate | None:
        """The fastest assignment to the devices that ``reserves`` names, by the programme's figures.

        One that takes more than ``most`` seconds may be left out.
        """
        asked = tuple(reserves.items()), may_move, first
        if found := self._known.get(asked):
            return found
        bins, cuts = self._bins(reserves), self._cuts()
        filled = ranges.fill(self.costs, bins, may_move=may_move, first=first, cuts=cuts, gain=_ORDER, most=most)
        if filled is not None:
            self._known[asked] = self._candidate(filled.ranges, filled.seconds)
        return self._known.get(asked)

    def fits(self, reserves: Reserves, *, may_move: bool, first: int) -> bool:
        """Whether there is any assignment."""
        return ranges.fits(self.costs, self._bins(reserves), may_move=may_move, first=first)

    def _candidate(self, found: Sequence[ranges.Range], seconds: float) -> Candidate:
        problem = self.problem
        n_layer_all = problem.model.hparams.n_layer_all
        candidate = candidates.split(
            problem.params, problem.machine, found, problem.costs.tensors, n_layer_all, problem.pins
        )
        return replace(candidate, seconds=seconds)

    def _cuts(self) -> Iterator[Collection[tuple[str, ...]] | None]:
        """Sets of projections that cut layers may move: each takes a pattern, and one is for whole layers."""
        left = self.problem.patterns_left
        if left is None:
            yield None
            return
        kinds = {option.moved for row in self.problem.costs.partials for option in row}
        yield from combinations(sorted(kinds), min(max(0, left - 1), len(kinds)))

    def _uncut(self, solution: Solution) -> Solution:
        """The same without cut layers where these are not faster: graph splits are not in the programme's figures."""
        candidate = solution.candidate
        if all(part.cut is None for part in candidate.ranges):
            return solution
        whole = self._candidate([replace(part, cut=None, partial=None) for part in candidate.ranges], 0.0)
        if self.problem.least(whole, solution.footprint) > (1 + TIE) * solution.seconds:
            return solution
        rival = self.problem.price(whole)
        return rival if not rival.missing and rival.beats(solution) else solution

    def least_seconds(self, candidate: Candidate) -> float:
        """What a candidate takes at least.

        The programme counts the graph splits that moved layers need, no others, so a price is never less, except where
        all is on GPUs and batches of a prompt overlap: at most every GPU is then busy all the time.
        """
        if not candidate.moved:
            return candidate.seconds / len(candidate.ranges)
        return max(candidate.seconds, self.problem.least(candidate, self.like) if self.like else 0.0)

    def scaled(self) -> Mapping[str, int]:
        """What devices take beside layers by ``like``: masks, activations and inputs are scaled to the micro-batch."""
        settings, like = self.problem.settings, self.like
        if like is None:
            return {}
        factor = settings.n_ubatch / like.n_ubatch
        return {
            name: like.reserved(name)
            - sum(parts.values())
            + sum(
                size if part in _FIXED else round(size * factor)
                for part, size in parts.items()
                if settings.op_offload or part is not ComputePart.OFFLOAD
            )
            for name, parts in like.compute_parts.items()
        }

    def _expected(self, gpus: Sequence[Gpu], *, may_move: bool) -> Reserves:
        known = self.scaled()
        return {
            name: (known[name],) * 2 if name in known else estimate
            for name, estimate in self._estimates(gpus, may_move=may_move).items()
        }

    def _estimates(self, gpus: Sequence[Gpu], *, may_move: bool) -> Reserves:
        problem = self.problem
        plain = compute_estimate(problem.model, problem.context)
        copies = may_move and problem.settings.op_offload
        first = compute_estimate(problem.model, problem.context, copied=problem.costs.largest if copies else 0)
        return dict.fromkeys((gpu.name for gpu in gpus[:_MOST_SPLIT]), (first, plain))

    def _next_reserves(self, reserves: Reserves, solution: Solution) -> Reserves:
        """What the simulation says that compute buffers and all beside the model take, and what they may take beyond.

        More where that left some missing.
        """
        problem, priced, missing = self.problem, solution.footprint, solution.missing
        held = {part.name: (part.last - part.first) * self.cached for part in solution.candidate.ranges}
        used = list(held)
        found = dict(reserves)
        for name in used:
            first, later = reserves[name]
            tried = first if name == used[0] else later
            taken = priced.reserved(name) - held[name] + problem.headroom.beyond(problem.machine.gpu(name), priced)
            size = max(taken, tried + missing[name] if name in missing else 0)
            found[name] = (size, later) if name == used[0] else (first, size)
        return found

    def _bins(self, reserves: Reserves) -> list[Bin]:
        return [self._bin(gpu, *reserves[gpu.name]) for gpu in self.problem.machine.gpus if gpu.name in reserves]

    def _bin(self, gpu: Gpu, first: int, later: int) -> Bin:
        times = self.problem.times[gpu.name]
        return Bin(
            name=gpu.name,
            budget=self.problem.headroom.budget_of(gpu),
            reserve=later,
            reserve_first=first,
            kept=times.kept,
            part=times.part,
            cpu=times.cpu,
            handover=times.handover,
        )

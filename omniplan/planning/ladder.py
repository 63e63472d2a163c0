"""The ladder: one GPU, all GPUs, as few experts or FFN weights as possible on the CPU, whole layers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import replace
from math import inf

from omniplan.domain.footprint import Footprint
from omniplan.domain.params import MAX_DEVICES
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load import layers
from omniplan.planning import candidates
from omniplan.planning.candidates import Candidate
from omniplan.planning.filling import Filler, Reserves
from omniplan.planning.problem import Problem, speed
from omniplan.planning.reporter import Reporter
from omniplan.planning.solution import MORE_GPUS, Solution, least_gain, simplest
from omniplan.planning.timing import seconds


class Ladder:
    """One search: a problem, what was told on the way up, and the first rung that keeps every limit.

    ``like`` is the price of a problem that differs in little.
    """

    def __init__(self, problem: Problem, like: Footprint | None = None) -> None:
        self.problem = problem
        self.reporter = Reporter()
        self.filler = Filler(problem, self.reporter, like)

    def climb(self, most: float = inf) -> Solution | None:
        """The first solution that keeps every limit; perhaps nothing where more than ``most`` seconds are taken."""
        self.filler.most = most
        if self.problem.machine.gpus:
            for rung in (self._single, self._spread, self._spill, self._partial):
                if found := rung():
                    return self._overlapped(self._without_slow_gpus(found))
                if self.filler.is_too_slow:
                    return None
        return self._on_cpu()

    def least(self, like: Footprint, most: float) -> float | None:
        """Seconds that a search takes at least; None when no assignment fits.

        ``like`` stands for a price that is not known yet. More than ``most`` seconds may be any number of them.
        """
        problem, gpus = self.problem, self.problem.machine.gpus
        if not gpus:
            return None
        computes = self.filler.scaled()
        reserves = {gpu.name: (computes.get(gpu.name, 0),) * 2 for gpu in gpus}
        fits = self.filler.fits(reserves, may_move=problem.may_move, first=0)
        must_move = problem.costs.total > sum(map(problem.headroom.budget_of, gpus))
        within = most if must_move else inf
        whole = self.filler.fill(reserves, may_move=problem.may_move, first=0, most=within) if fits else None
        if whole is not None and not whole.moved:
            return self._least_whole(whole, like)
        found = [self.filler.least_seconds(whole)] if whole else [inf] if fits else []
        if problem.request.cpu_weights and not (fits and problem.is_moe):
            may_move = problem.may_move and not fits
            first = self._enough(1, self._most_leading(), reserves, may_move=may_move)
            if leading := self.filler.fill(reserves, may_move=may_move, first=first):
                away = problem.predicted(leading, replace(like, graph_splits=None))
                found.append(seconds(away, problem.request.objective))
        return min(found, default=None)

    def _without_slow_gpus(self, found: Solution) -> Solution:
        """The same without GPUs slower than the fastest, unless they save the share of time they must."""
        ranges, gpus = found.candidate.ranges, self.problem.machine.gpus
        pinned = self.problem.pins.devices
        fast = [gpu for gpu in gpus if speed(gpu) == max(map(speed, gpus)) or gpu.name in pinned]
        slow = [part.name for part in ranges if part.name not in {gpu.name for gpu in fast}]
        if not slow or ranges[0].first > 0:
            return found
        told = self.reporter.recall()
        rival = self.filler.best(may_move=self.problem.may_move, gpus=fast, most=found.seconds / (1 - MORE_GPUS))
        self.reporter.restore(told)
        if rival is None:
            return found
        gain = 1 - found.seconds / rival.seconds
        self.reporter.second_gpu(slow, gain, MORE_GPUS)
        return found if gain >= MORE_GPUS else rival

    def _least_whole(self, whole: Candidate, like: Footprint) -> float:
        """Seconds of an assignment with all on GPUs, or of the layers over every GPU alike where that pays."""
        problem, objective = self.problem, self.problem.request.objective
        prediction = problem.predicted(whole, like)
        found = seconds(prediction, objective)
        if (alike := self._alike()) is None:
            return found
        overlapped = problem.predicted(alike, like)
        has_more_gpus = len(whole.ranges) < len(problem.machine.gpus)
        share = least_gain(objective, overlapped, prediction, has_more_gpus=True) if has_more_gpus else 0.0
        rival = seconds(overlapped, objective)
        return rival if rival < (1 - share) * found else found

    def _overlapped(self, found: Solution) -> Solution:
        """The layers over every GPU alike, where that is faster, and clearly so if it takes more GPUs.

        Batches of a prompt overlap where all is on several GPUs, which the programme's figures know nothing of.
        """
        problem, alike = self.problem, self._alike()
        if alike is None or found.candidate.moved or buffers.CPU in found.footprint.layers:
            return found
        objective = problem.request.objective
        if seconds(problem.predicted(alike, found.footprint), objective) >= found.seconds:
            return found
        told = self.reporter.recall()
        rival = self._try(alike)
        self.reporter.restore(told)
        return simplest([found, rival], objective) if rival else found

    def _alike(self) -> Candidate | None:
        """The layers over every GPU in proportion to its room, where there are several."""
        problem, gpus = self.problem, self.problem.machine.gpus
        room = [float(problem.headroom.budget_of(gpu)) for gpu in gpus]
        if not all(room) or not 1 < len(gpus) < MAX_DEVICES:
            return None
        n_layer_all = problem.model.hparams.n_layer_all
        held = Counter(layers.split(n_layer_all, n_layer_all + 1, [gpu.name for gpu in gpus], room))
        return candidates.by_size(problem.params, [held[gpu.name] for gpu in gpus], n_layer_all, problem.pins)

    def _single(self) -> Solution | None:
        """The whole model on the fastest GPU that holds it."""
        problem = self.problem
        gpus = problem.machine.gpus
        need = problem.costs.total + problem.costs.shared
        for gpu in sorted(gpus, key=lambda gpu: -speed(gpu)):
            budget, pinned = problem.headroom.budget_of(gpu), problem.costs.fixed.get(gpu.name, 0)
            if set(problem.pins.devices) - {gpu.name}:
                continue
            if need + pinned > budget:
                self.reporter.too_big_for(gpu, need + pinned, budget)
                continue
            n_layer_all = problem.model.hparams.n_layer_all
            if found := self._try(candidates.single_gpu(problem.params, gpus.index(gpu), n_layer_all, problem.pins)):
                return found
        return None

    def _spread(self) -> Solution | None:
        """All weights on GPUs, layers in proportion to what each really holds."""
        return self.filler.best(may_move=False) if len(self.problem.machine.gpus) > 1 else None

    def _spill(self) -> Solution | None:
        """Every layer on a GPU, the movable weights of some on the CPU, in the least predicted time.

        A dense model may do better with leading layers whole on the CPU: as many bytes there, but fewer hand-overs.
        """
        if not self.problem.may_move:
            return None
        found = self.filler.best(may_move=True)
        if self.problem.is_moe or not (found or self.filler.is_too_slow):
            return found
        told = self.reporter.recall()
        self.filler.is_too_slow = False
        rival = self._leading(may_move=False)
        if rival is None or (found and found.seconds <= rival.seconds):
            self.reporter.restore(told)
            return found
        return rival

    def _partial(self) -> Solution | None:
        """Leading layers whole on the CPU, when even their attention does not fit."""
        return self._leading(may_move=self.problem.may_move) if self.problem.request.cpu_weights else None

    def _leading(self, *, may_move: bool) -> Solution | None:
        """As few leading layers on the CPU as make the others fit, with or without moving parts of these."""
        names = [gpu.name for gpu in self.problem.machine.gpus]
        most = self._most_leading()
        none = dict.fromkeys(names, (0, 0))
        least = bisect_left(
            range(1, most + 1), 1, key=lambda first: self.filler.fits(none, may_move=may_move, first=first)
        )
        first, failed, found = least + 1, least, None
        while first <= most:
            found = self.filler.best(may_move=may_move, first=first)
            if found or self.filler.is_hopeless or self.filler.is_too_slow:
                # Every further layer on the CPU takes more RAM, and leaves pins where they are.
                break
            failed, first = first, self._enough(first + 1, most, self.filler.reserves, may_move=may_move)
        for fewer in reversed(range(failed + 1, min(first, most + 1))):
            is_too_much, self.filler.is_hopeless = found is None, False
            rival = self.filler.best(may_move=may_move, first=fewer)
            found = rival or found
            if rival is None and not (is_too_much and self.filler.is_hopeless):
                break
        return found

    def _enough(self, first: int, most: int, reserves: Reserves, *, may_move: bool) -> int:
        """The least leading layers, from ``first`` on, that leave room for compute buffers of these sizes."""
        return first + bisect_left(
            range(first, most),
            1,
            key=lambda count: self.filler.fits(reserves, may_move=may_move, first=count),
        )

    def _most_leading(self) -> int:
        """How many leading layers may be whole on the CPU."""
        costs, n_layer_all = self.problem.costs, self.problem.model.hparams.n_layer_all
        if self.problem.request.cpu_experts or not self.problem.is_moe:
            return n_layer_all
        return next((il for il, size in enumerate(costs.movable) if size), n_layer_all)

    def _on_cpu(self) -> Solution | None:
        problem = self.problem
        if problem.pins.devices or self._most_leading() < problem.model.hparams.n_layer_all:
            return None
        if not problem.request.cpu_weights:
            return None
        return self._try(candidates.cpu_only(problem.params, problem.pins, has_gpu=bool(problem.machine.gpus)))

    def _try(self, candidate: Candidate) -> Solution | None:
        solution = self.problem.price(candidate)
        if missing := solution.missing:
            self.reporter.rejected(candidate, missing, solution.footprint.source)
            return None
        return solution


# A search, and the best that it found.
Outcome = tuple[Ladder, Solution | None]

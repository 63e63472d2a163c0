"""What members of a group cost each other: seconds on each pool, and speeds beside idle and busy neighbours.

Members are customers of a closed queueing network, one each, and the memories are its stations: a GPU that several
processes use, and the bus to RAM that weights on the CPU are read over, serve one piece of work at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from omniplan.domain.footprint import RAM, BufferColumn
from omniplan.domain.machine import Machine
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Cause, Objective
from omniplan.llamacpp.ggml import buffers
from omniplan.planning.solution import Solution
from omniplan.predict import processor
from omniplan.predict.rates import assumed_gpu_bandwidth

_ROUNDS: Final = 200
_CLOSE: Final = 1e-9

Work = Mapping[str, float]
Placed = Plan | Solution


def decode_work(placed: Placed, machine: Machine) -> Work:
    """Seconds of one token on each pool; what is on none (graph splits) is under ""."""
    return _work(placed, machine, placed.prediction.terms)


def work(placed: Placed, machine: Machine, objective: Objective) -> Work:
    """Seconds on each pool of what the objective counts: the request, a token, or the prompt."""
    token = decode_work(placed, machine)
    if objective is Objective.DECODE:
        return token
    found = dict(_work(placed, machine, placed.prediction.prompt_terms))
    if objective is Objective.REQUEST:
        for pool, seconds in token.items():
            found[pool] = found.get(pool, 0.0) + placed.prediction.n_gen * seconds
    return found


def _work(placed: Placed, machine: Machine, terms: Mapping[Cause, float]) -> Work:
    on_gpus = sum(seconds for cause, seconds in terms.items() if cause.is_on_gpus)
    weights = _shares(placed, machine, BufferColumn.MODEL)
    found = {pool: on_gpus * share for pool, share in weights.items()}
    for pool, share in _shares(placed, machine, BufferColumn.CONTEXT, host=True).items():
        found[pool] = found.get(pool, 0.0) + terms.get(Cause.KV_READS, 0.0) * share
    found[RAM] = found.get(RAM, 0.0) + sum(seconds for cause, seconds in terms.items() if cause.is_on_host)
    rest = sum(terms.values()) - sum(found.values())
    return {pool: seconds for pool, seconds in {**found, "": max(0.0, rest)}.items() if seconds > 0}


def _shares(placed: Placed, machine: Machine, column: BufferColumn, *, host: bool = False) -> Mapping[str, float]:
    """How seconds divide over pools: by bytes over bandwidth, the GPUs' alone or RAM's as well."""
    sizes: dict[str, float] = {}
    for name, size in placed.footprint.buffers.items():
        if buffers.is_host(name):
            if host:
                rate = processor.ram_bandwidth(machine)
                sizes[RAM] = sizes.get(RAM, 0.0) + getattr(size, column) / rate
        else:
            gpu = machine.gpu(name)
            pool = RAM if gpu.draws_on_ram else name
            sizes[pool] = sizes.get(pool, 0.0) + getattr(size, column) / assumed_gpu_bandwidth(gpu)
    total = sum(sizes.values())
    return {pool: size / total for pool, size in sizes.items()} if total else {}


def added(work_: Work, neighbour: Work) -> float:
    """Seconds that a busy neighbour adds to first order: on each pool it is met for the share of time it is there."""
    total = sum(neighbour.values())
    return sum(seconds * neighbour.get(pool, 0.0) / total for pool, seconds in work_.items() if pool) if total else 0.0


def busy_seconds(works: Sequence[Work]) -> tuple[float, ...]:
    """Seconds of each member's work when all repeat theirs without a pause.

    Schweitzer's approximation of mean value analysis: a pool's work takes its own seconds times one plus the share of
    time each other member is there; shares follow from the times, and the two are iterated until they agree.
    """
    times = [dict(work_) for work_ in works]
    for _ in range(_ROUNDS):
        before = [sum(time.values()) for time in times]
        times = [dict(_delayed(work_, i, times)) for i, work_ in enumerate(works)]
        if all(abs(sum(time.values()) - old) <= _CLOSE * old for time, old in zip(times, before, strict=True)):
            break
    return tuple(sum(time.values()) for time in times)


def _delayed(work_: Work, own: int, times: Sequence[Work]) -> Iterator[tuple[str, float]]:
    """Seconds of a member's work on each pool beside the others in their present times."""
    others = [time for i, time in enumerate(times) if i != own]
    for pool, seconds in work_.items():
        met = sum(time.get(pool, 0.0) / sum(time.values()) for time in others) if pool else 0.0
        yield pool, seconds * (1 + met)

"""A frontier: what context, cache type, micro-batch and slots trade against speed and bytes on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.documents.record import Record
from omniplan.domain.build import PricedBuild
from omniplan.domain.footprint import RAM, Unpriced
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Record):
    """What the plan of one point comes to.

    ``server_args`` are llama-server's arguments without ``-m``; ``environment`` what must be set beside them. ``used``
    is bytes by pool in use, ``spare`` the bytes of each pool beyond the plan and the headroom policy. Rates are tokens
    per second of one sequence with nothing else running, however many slots there are. ``build`` says whose bytes.
    """

    strategy: str
    server_args: tuple[str, ...]
    environment: Mapping[str, str]
    decode_tokens_per_second: Estimate
    prompt_tokens_per_second: Estimate
    request_seconds: Estimate
    used: Mapping[str, int]
    spare: Mapping[str, int]
    build: PricedBuild

    @property
    def vram(self) -> int:
        """Bytes in use over all pools but RAM."""
        return sum(size for pool, size in self.used.items() if pool != RAM)

    @classmethod
    def of(cls, plan: Plan) -> Outcome:
        """What ``plan`` comes to."""
        return cls(
            strategy=plan.strategy,
            server_args=plan.server_args,
            environment=plan.environment,
            decode_tokens_per_second=plan.prediction.decode_tokens_per_second,
            prompt_tokens_per_second=plan.prediction.prompt_tokens_per_second,
            request_seconds=plan.prediction.request_seconds,
            used={pool.name: pool.used for pool in plan.footprint.pools if pool.used},
            spare={margin.pool: margin.left for margin in plan.margins},
            build=plan.footprint.build,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination: the total context in tokens, the type of the K and V cache, the micro-batch, the slots.

    ``outcome`` is None where no plan exists, and ``why_not`` says why; its rates are with ``depth`` tokens in the cache
    of the slot, all that fits before the request. ``is_efficient`` marks the Pareto front: no other point is at least
    as good in context, slots, request time and bytes over all pools, and better in one of them.
    """

    n_ctx: int
    cache_type: str
    n_ubatch: int
    n_parallel: int
    outcome: Outcome | None = None
    depth: int = 0
    why_not: str = ""
    is_efficient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier(Record):
    """Every combination that was asked for, by context, priced by a request of ``n_prompt`` and ``n_gen`` tokens."""

    model: str
    machine: str
    n_prompt: int
    n_gen: int
    points: tuple[Point, ...]
    unpriced: tuple[Unpriced, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether any point has a plan; None where the machine has devices that are not priced."""
        return any(point.outcome is not None for point in self.points) and (None if self.unpriced else True)

    @property
    def front(self) -> tuple[Point, ...]:
        """The points of the Pareto front."""
        return tuple(point for point in self.points if point.is_efficient)

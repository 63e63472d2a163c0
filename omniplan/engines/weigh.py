"""Every engine's verdict for one model on one machine: rules, weights, memory and, where it can run, a launch line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.engines.facts import Fact, WeightGroups, facts_of, weights_of
from omniplan.engines.launch import Start, launch
from omniplan.engines.layout import Laid, LayoutProblem, lay_out
from omniplan.engines.rules import findings, rules_for, version_on
from omniplan.engines.site import Site
from omniplan.engines.supply import supply
from omniplan.engines.table import EngineRow, LayoutKind, WayRow, engine_table, in_range, version_key
from omniplan.engines.values import Effect, EngineFinding, EngineVerdict, PoolNeed, Viability, WayVerdict, Weighing
from omniplan.errors import InputError, OmniplanError
from omniplan.units import gib


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineQuestion:
    """What is weighed, and with what: ``plan`` is llama.cpp's plan or why there is none.

    ``versions`` are those to weigh instead of the newest known on ``as_of``.
    """

    model: Model
    machine: Machine
    site: Site
    n_ctx: int
    plan: Plan | OmniplanError
    as_of: date | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Fact]:
        """What rules may ask, but for layouts and back ends."""
        return facts_of(self.model, self.machine, self.site)


def weigh(question: EngineQuestion) -> Weighing:
    """The verdict on every engine of ``data/engines.toml`` heard of by then, in its order; raises InputError."""
    table = engine_table()
    if unknown := set(question.versions) - set(table.engines):
        raise InputError(f"engine {min(unknown)}: unknown; known are {', '.join(table.engines)}")
    for name, version in question.versions.items():
        if not version_key(version):
            raise InputError(f"engine {name}: version {version!r}: expected numbers such as 0.13.0")
    facts = question.facts
    weights = weights_of(question.model)
    verdicts: dict[str, EngineVerdict] = {}
    # Back ends are weighed before what runs them.
    for engine in sorted(table.engines.values(), key=lambda engine: bool(engine.backends)):
        backend = [verdicts[name].verdict is not Viability.BLOCKED for name in engine.backends if name in verdicts]
        own = {**facts, "engine.backend": any(backend) if backend else None}
        if verdict := _engine(question, engine, own, weights):
            verdicts[engine.name] = verdict
    return Weighing(
        model=question.model.title,
        machine=question.machine.name,
        as_of=question.as_of.isoformat() if question.as_of else "",
        n_ctx=question.n_ctx,
        site=question.site.shown,
        engines=tuple(verdicts[name] for name in table.engines if name in verdicts),
    )


def _engine(
    question: EngineQuestion, engine: EngineRow, facts: Mapping[str, Fact], weights: WeightGroups
) -> EngineVerdict | None:
    """The verdict of the best way; None for an engine nobody had heard of by that day."""
    version = question.versions.get(engine.name) or version_on(engine, question.as_of)
    ways = [
        _way(question, way, version, facts, weights)
        for way in engine_table().ways
        if way.engine == engine.name
        and in_range(version, way.versions)
        and (question.as_of is None or way.known <= question.as_of)
    ]
    if not ways:
        return None
    ranked = sorted(ways, key=lambda way: (way.verdict.rank, _blocks(way.findings)))
    return EngineVerdict(
        engine=engine.name, title=engine.title, version=version, verdict=ranked[0].verdict, ways=tuple(ranked)
    )


def _way(
    question: EngineQuestion, way: WayRow, version: str, facts: Mapping[str, Fact], weights: WeightGroups
) -> WayVerdict:
    problem = LayoutProblem(model=question.model, machine=question.machine, weights=weights, n_ctx=question.n_ctx)
    laid = lay_out(way, problem)
    known = {**facts, "need.offload": laid.offload if laid else 0}
    found = [
        *findings(rules_for(way.engine, way.name, version, question.as_of), known),
        *supply(way, question.model, weights, question.site),
        *(_memory(laid, problem) if laid else _planned(question, way)),
    ]
    verdict = _verdict(found)
    plan = question.plan if isinstance(question.plan, Plan) else None
    start = Start(
        way=way, model=question.model, machine=question.machine, n_ctx=question.n_ctx, laid=laid,
        plan=plan, is_sm_120=facts["gpu.sm_120"] is True,
    )  # fmt: skip
    return WayVerdict(
        name=way.name,
        verdict=verdict,
        findings=tuple(sorted(found, key=lambda item: list(Effect).index(item.effect))),
        memory=laid.memory if laid else _pools(plan if way.layout == LayoutKind.PLAN else None),
        memory_basis=Basis.HEADER if way.engine == "llama.cpp" else Basis.MODELLED,
        launch=None if verdict is Viability.BLOCKED else launch(start),
    )


def _verdict(found: Sequence[EngineFinding]) -> Viability:
    effects = {finding.effect for finding in found}
    if Effect.BLOCKS in effects:
        return Viability.BLOCKED
    return Viability.CONDITIONS if Effect.CONDITION in effects else Viability.VIABLE


def _blocks(found: Sequence[EngineFinding]) -> int:
    return sum(finding.effect is Effect.BLOCKS for finding in found)


def _memory(laid: Laid, problem: LayoutProblem) -> Iterator[EngineFinding]:
    """What does not fit, with the sums, and what is unknown."""
    short = [(need, need.available) for need in laid.memory if need.available is not None and need.fits is False]
    if short:
        there = " + ".join(f"{need.pool} {gib(need.available)}" for need in laid.memory if need.available is not None)
        lacks = ", ".join(
            f"{gib(need.needed)} on {need.pool}, short by {gib(need.needed - own)}" for need, own in short
        )
        yield EngineFinding(
            rule="memory",
            effect=Effect.BLOCKS,
            statement=f"weights of {gib(laid.weights)} ({gib(problem.weights.total)} at one byte each) against "
            f"{there}: it takes {lacks}; swap does not count",
            remedy="fewer bits per weight, or more memory",
        )
    elif laid.fits is None:
        yield EngineFinding(rule="memory", effect=Effect.CONDITION, statement="the size of the RAM is unknown")


def _planned(question: EngineQuestion, way: WayRow) -> Iterator[EngineFinding]:
    if way.layout == LayoutKind.PLAN and isinstance(question.plan, OmniplanError):
        yield EngineFinding(rule="plan", effect=Effect.BLOCKS, statement=str(question.plan))


def _pools(plan: Plan | None) -> tuple[PoolNeed, ...]:
    pools = plan.footprint.pools if plan else ()
    return tuple(PoolNeed(pool=pool.name, needed=pool.used, available=pool.free) for pool in pools if pool.used)

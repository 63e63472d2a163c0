"""Which models an engine supports, and whether its kernels for them exist for the machine's GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from omniplan.engines.facts import Fact
from omniplan.engines.rules import findings, rules_for, version_on
from omniplan.engines.table import EngineRule, engine_table
from omniplan.engines.values import Effect, EngineFinding

_SUPPORT: Final = {Effect.BLOCKS: "blocked", Effect.CONDITION: "partial", Effect.NOTE: "full"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One engine and one model: ``support`` "full", "partial" or "blocked"; ``kernels`` for the GPUs at hand
    "compatible", "blocked" or, where the model is blocked anyway, "n/a"; and what says so.
    """

    support: str
    kernels: str
    findings: tuple[EngineFinding, ...]


def compatibility(engine: str, facts: dict[str, Fact], *, as_of: date | None = None) -> Cell:
    """The cell of a model with these facts: only rules about models count, not what the host lacks.

    Rules that ask about the model alone decide the support, those that ask about model and GPU the kernels.
    """
    row = engine_table().engines[engine]
    ways = [way.name for way in engine_table().ways if way.engine == engine]
    rules = {rule.id: rule for way in ways for rule in rules_for(engine, way, version_on(row, as_of), as_of)}
    about = [rule for rule in rules.values() if _asks(rule, "model.") and not _asks(rule, "site.")]
    support = list(findings([rule for rule in about if not _asks(rule, "gpu.")], facts))
    kernels = list(findings([rule for rule in about if _asks(rule, "gpu.")], facts))
    is_blocked = _worst(support) == Effect.BLOCKS
    compatible = "blocked" if _worst(kernels) == Effect.BLOCKS else "compatible"
    return Cell(
        support=_SUPPORT[_worst(support)],
        kernels="n/a" if is_blocked else compatible,
        findings=(*support, *kernels),
    )


def _asks(rule: EngineRule, prefix: str) -> bool:
    return any(condition.fact.startswith(prefix) for condition in rule.when)


def _worst(found: Sequence[EngineFinding]) -> Effect:
    return min((finding.effect for finding in found), key=list(Effect).index, default=Effect.NOTE)

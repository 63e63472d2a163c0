"""Dated rules against facts: which hold on a day, for a version, and what they find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

from omniplan.engines.facts import Fact
from omniplan.engines.table import Comparator, Condition, EngineRow, EngineRule, engine_table, in_range, version_key
from omniplan.engines.values import Effect, EngineFinding


def version_on(engine: EngineRow, as_of: date | None) -> str:
    """The newest version known to have been out on that day (None: at all); "" when no release is listed."""
    seen = [release for release in engine.releases if as_of is None or release.seen <= as_of]
    return max(seen, key=lambda release: release.seen).version if seen else ""


def rules_for(engine: str, way: str, version: str, as_of: date | None) -> list[EngineRule]:
    """The rules about a way that were known on that day, without those that a later one supersedes."""
    known = [
        rule
        for rule in engine_table().rules
        if rule.is_about(engine, way) and in_range(version, rule.versions) and (as_of is None or rule.known <= as_of)
    ]
    gone = {name for rule in known for name in rule.supersedes}
    return [rule for rule in known if rule.id not in gone]


def findings(rules: list[EngineRule], facts: Mapping[str, Fact]) -> Iterator[EngineFinding]:
    """What the rules find; one that hangs on an unknown fact would block only if that fact holds: a condition."""
    for rule in rules:
        tests = [holds(condition, facts) for condition in rule.when]
        if any(test is False for test in tests):
            continue
        unknown = [condition for condition, test in zip(rule.when, tests, strict=True) if test is None]
        if not unknown:
            yield _finding(rule, rule.effect, fill(rule.says, facts))
        elif rule.effect is not Effect.NOTE:
            names = ", ".join(condition.fact for condition in unknown)
            asked = " and ".join(f"{item.fact} {item.test} {item.value}" for item in unknown)
            yield _finding(rule, Effect.CONDITION, f"{names} unknown; if {asked}: {fill(rule.says, facts)}")


def holds(condition: Condition, facts: Mapping[str, Fact]) -> bool | None:
    """Whether the fact passes the test; None when nobody stated it."""
    fact = facts[condition.fact]
    if fact is None:
        return None
    match condition.test:
        case Comparator.IS:
            return _text(fact) == condition.value
        case Comparator.IN:
            return _text(fact) in condition.value.split()
        case Comparator.OUTSIDE:
            return _text(fact) not in condition.value.split()
        case Comparator.BELOW:
            return version_key(str(fact)) < version_key(condition.value)
        case Comparator.ABOVE:
            return version_key(str(fact)) > version_key(condition.value)


def fill(text: str, facts: Mapping[str, Fact]) -> str:
    """The text with facts in place of their names in braces."""
    return re.sub(r"\{([a-z_.0-9]+)\}", lambda match: _text(facts[match[1]]) or "?", text)


def _text(fact: Fact) -> str:
    if fact is None:
        return ""
    return str(fact).lower() if isinstance(fact, bool) else str(fact)


def _finding(rule: EngineRule, effect: Effect, statement: str) -> EngineFinding:
    return EngineFinding(
        rule=rule.id,
        effect=effect,
        statement=statement,
        remedy=rule.remedy,
        source=rule.source,
        known=rule.known.isoformat(),
    )

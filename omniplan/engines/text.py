"""A weighing of engines as text for a person: verdicts in a table, then evidence, memory and launch line of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omniplan.domain.evidence import Basis
from omniplan.engines.values import Effect, EngineFinding, EngineVerdict, WayVerdict, Weighing
from omniplan.text.argv import command_line
from omniplan.text.table import table
from omniplan.units import gib

_MARK: Final = {Effect.BLOCKS: "no", Effect.CONDITION: "if", Effect.NOTE: "note"}


def engines_text(weighing: Weighing) -> str:
    """Every engine in a table, then one part for each."""
    facts = f"facts known by {weighing.as_of}" if weighing.as_of else "all facts on record"
    said = ", ".join(f"{name} {value}" for name, value in weighing.site.items())
    lines = [
        f"{weighing.model} on {weighing.machine}: {len(weighing.engines)} engines, {facts}",
        f"Context {weighing.n_ctx:,} tokens; of the host: {said or 'nothing said'}",
        "",
        table(("engine", "version", "verdict", "way", "because"), [_row(item) for item in weighing.engines], left=5),
    ]
    for item in weighing.engines:
        lines += ["", f"{item.title}: {item.verdict}", *_ways(item)]
    return "\n".join(lines)


def _row(item: EngineVerdict) -> tuple[str, ...]:
    reason = next((finding.statement for finding in item.best.findings if finding.effect is not Effect.NOTE), "")
    return item.title, item.version or "any", str(item.verdict), item.best.name, _cut(reason)


def _cut(text: str, width: int = 76) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _ways(item: EngineVerdict) -> Iterator[str]:
    """The best way in full, of the others what is against them."""
    for index, way in enumerate(item.ways):
        if len(item.ways) > 1:
            yield f"  {way.name}: {way.verdict}"
        shown = way.findings if index == 0 else [finding for finding in way.findings if finding.effect is Effect.BLOCKS]
        yield from (f"  - {_evidence(finding)}" for finding in shown)
        if index == 0 or way.launch:
            yield from _memory(way)
        if way.launch:
            yield f"  $ {command_line(way.launch.argv, way.launch.environment)}"


def _evidence(finding: EngineFinding) -> str:
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    where = ", ".join(part for part in (finding.known, finding.source) if part)
    return f"{_MARK[finding.effect]}: {finding.statement}{remedy}" + (f" [{where}]" if where else "")


def _memory(way: WayVerdict) -> Iterator[str]:
    parts = [
        f"{gib(need.needed)} of {gib(need.available) if need.available is not None else 'unknown'} on {need.pool}"
        for need in way.memory
    ]
    if parts:
        basis = "simulated" if way.memory_basis is Basis.HEADER else "modelled"
        yield f"  memory, {basis}: {', '.join(parts)}"

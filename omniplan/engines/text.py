"""A weighing of engines as a screen: verdicts in a table, then evidence, memory and launch line of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omniplan.domain.evidence import Basis
from omniplan.engines.values import Effect, EngineFinding, EngineVerdict, Viability, WayVerdict, Weighing
from omniplan.text.palette import Hue
from omniplan.text.screen import Block, Cell, Heading, Level, Passage, Prose, Screen, ShellCommand, Tabular, Toned
from omniplan.units import gib

_HUES: Final = {
    Viability.VIABLE: Hue.GOOD,
    Viability.CONDITIONS: Hue.WARNING,
    Viability.BLOCKED: Hue.BAD,
}
_MARK: Final = {Effect.BLOCKS: "no", Effect.CONDITION: "if", Effect.NOTE: "note"}


def engines_screen(weighing: Weighing) -> Screen:
    """Every engine in a table, then one part for each, a level below."""
    facts = f"facts known by {weighing.as_of}" if weighing.as_of else "all facts on record"
    said = ", ".join(f"{name} {value}" for name, value in weighing.site.items())
    title = f"{weighing.model} on {weighing.machine}: {len(weighing.engines)} engines, {facts}"
    columns = (
        Heading("engine", is_left=True),
        Heading("version", is_left=True, rank=1),
        Heading("verdict", is_left=True, is_prose=True),
        Heading("way", is_left=True, rank=2),
        Heading("because", is_prose=True),
    )
    return Screen(
        (
            Passage(
                [
                    Prose(Toned(title, Hue.TITLE), hang=2),
                    Prose(f"Context {weighing.n_ctx:,} tokens; of the host: {said or 'nothing said'}", hang=2),
                ]
            ),
            Passage([Tabular(columns, [_row(item) for item in weighing.engines])]),
            *(
                Passage([Prose((f"{item.title}: ", _verdict(item.verdict))), *_ways(item)], level=Level.TABLES)
                for item in weighing.engines
            ),
        )
    )


def _verdict(verdict: Viability) -> Toned:
    return Toned(str(verdict), _HUES[verdict])


def _row(item: EngineVerdict) -> tuple[Cell, ...]:
    reason = next((finding.statement for finding in item.best.findings if finding.effect is not Effect.NOTE), "")
    return item.title, item.version or "any", _verdict(item.verdict), item.best.name, _cut(reason)


def _cut(text: str, width: int = 76) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _ways(item: EngineVerdict) -> Iterator[Block]:
    """The best way in full, of the others what is against them."""
    for index, way in enumerate(item.ways):
        if len(item.ways) > 1:
            yield Prose(f"{way.name}: {way.verdict}", indent=2)
        shown = way.findings if index == 0 else [finding for finding in way.findings if finding.effect is Effect.BLOCKS]
        yield from (Prose(f"- {_evidence(finding)}", indent=2, hang=2) for finding in shown)
        if index == 0 or way.launch:
            yield from (Prose(line, indent=2, hang=2) for line in _memory(way))
        if way.launch:
            yield ShellCommand(way.launch.argv, way.launch.environment)


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
        yield f"memory, {basis}: {', '.join(parts)}"

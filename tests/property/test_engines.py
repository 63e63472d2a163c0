"""Weighing engines: what more memory, more disk and more knowledge may change, and what a change may not touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Machine
from omniplan.engines.facts import facts_of, weights_of
from omniplan.engines.layout import LayoutProblem, lay_out
from omniplan.engines.rules import rules_for
from omniplan.engines.site import Site
from omniplan.engines.table import LayoutKind, engine_table
from omniplan.engines.values import Effect, Viability
from tests.property.strategies import examples
from tests.unit.engines import cases

_DAYS: Final = (date(2026, 1, 18), date(2026, 12, 31))
# Which facts a change of the machine or the site stands for.
_AMX, _RAM, _GPUS = "cpu.amx", "memory.ram", "gpu.unequal"


def days() -> st.SearchStrategy[str]:
    """Any day of the diary and after."""
    return st.integers(0, (_DAYS[1] - _DAYS[0]).days).map(lambda n: (_DAYS[0] + timedelta(days=n)).isoformat())


def sites() -> st.SearchStrategy[Site]:
    """Any host, partly unknown."""
    formats = st.lists(st.sampled_from(["bf16", "fp8", "nvfp4", "exl3"]), unique=True)
    return st.builds(
        Site,
        cuda=st.sampled_from(["", "12.1", "12.8", "13.0"]),
        driver=st.sampled_from(["", "550.54", "580.95.05"]),
        kernel=st.sampled_from(["", "6.8.0-90", "6.12.1"]),
        sandbox=st.sampled_from(["none", "gvisor"]),
        weights=st.none() | formats.map(lambda names: ("gguf", *names)),
        sched_ext=st.none() | st.booleans(),
        disk_free=st.none() | st.integers(0, 4 * 10**12),
    )


def machines() -> st.SearchStrategy[Machine]:
    """The diary's machine with other RAM, GPUs and CPU."""
    ram = st.integers(64, 2048).map(lambda gib: lambda machine: cases.with_ram(machine, gib))
    gpus = st.sampled_from([cases.with_equal_gpus, lambda machine: machine])
    amx = st.sampled_from([cases.with_amx, lambda machine: machine])
    return st.tuples(ram, gpus, amx).map(lambda changes: changes[2](changes[1](changes[0](cases.machine()))))


def worse(before: Mapping[str, Viability], after: Mapping[str, Viability]) -> dict[str, tuple[Viability, Viability]]:
    """Engines whose verdict is worse than before."""
    return {name: (before[name], verdict) for name, verdict in after.items() if verdict.rank > before[name].rank}


@examples(12)
@given(machine=machines(), site=sites(), day=days(), extra=st.integers(1, 1024))
def test_more_ram_makes_no_verdict_worse(machine: Machine, site: Site, day: str, extra: int) -> None:
    """Nor does more disk."""
    assert machine.memory is not None
    before = cases.verdicts(cases.ask(machine, site, day=day))
    larger = replace(machine, memory=replace(machine.memory, total=machine.memory.total + extra * cases.GIB))
    roomier = replace(site, disk_free=None if site.disk_free is None else site.disk_free + extra * cases.GIB)

    assert {} == worse(before, cases.verdicts(cases.ask(larger, site, day=day)))
    assert {} == worse(before, cases.verdicts(cases.ask(machine, roomier, day=day)))


@examples(20)
@given(machine=machines(), site=sites(), day=days(), known=st.data())
def test_unknown_is_neither_good_nor_bad(machine: Machine, site: Site, day: str, known: st.DataObject) -> None:
    """Forgetting a fact never makes an engine viable that it blocked, nor blocks one that it did not."""
    name = known.draw(st.sampled_from(["cuda", "driver", "kernel", "weights", "sched_ext", "disk_free"]))
    before = cases.verdicts(cases.ask(machine, site, day=day))
    forgotten: dict[str, Any] = {name: "" if name in ("cuda", "driver", "kernel") else None}
    after = cases.verdicts(cases.ask(machine, replace(site, **forgotten), day=day))

    for engine, verdict in before.items():
        # What runs others follows them, and a condition of theirs is no block.
        if verdict == Viability.BLOCKED:
            assert after[engine] != Viability.VIABLE
        else:
            assert after[engine] != Viability.BLOCKED


@examples(20)
@given(
    machine=machines(),
    site=sites(),
    day=days(),
    change=st.sampled_from([(_AMX, cases.with_amx), (_GPUS, cases.with_equal_gpus), (_RAM, None)]),
    gib=st.integers(64, 2048),
)
def test_a_change_touches_only_engines_that_ask_for_it(
    machine: Machine, site: Site, day: str, change: tuple[str, Any], gib: int
) -> None:
    """A verdict flips only where a rule asks for the fact, a layout counts its bytes, or a back end flipped."""
    fact, make = change
    changed = make(machine) if make else cases.with_ram(machine, gib)
    before = cases.ask(machine, site, day=day)
    after = cases.ask(changed, site, day=day)
    flipped = {name for name, verdict in cases.verdicts(before).items() if verdict != after.engine(name).verdict}
    asks = {engine for engine in flipped if _asks(engine, fact, before.as_of)}
    rest = flipped - asks
    followers = {name for name in rest if set(engine_table().engines[name].backends) & flipped}

    assert rest == followers


def _asks(engine: str, fact: str, day: str) -> bool:
    """Whether a rule of that day, or the layout of a way, depends on the fact."""
    ways = [way for way in engine_table().ways if way.engine == engine]
    counts = {
        _RAM: {LayoutKind.HYBRID, LayoutKind.OFFLOAD},
        _GPUS: {LayoutKind.HYBRID, LayoutKind.OFFLOAD, LayoutKind.GPU},
    }
    if any(way.layout in counts.get(fact, set()) for way in ways):
        return True
    rules = (rule for way in ways for rule in rules_for(engine, way.name, "", cases.day(day)))
    return any(condition.fact == fact for rule in rules for condition in rule.when)


@examples(30)
@given(machine=machines(), n_ctx=st.integers(512, 131072), name=st.sampled_from(["AMXINT4", "FP8"]))
def test_gpu_experts_fill_what_is_left(machine: Machine, n_ctx: int, name: str) -> None:
    """--kt-num-gpu-experts: one more would not fit, and RAM holds exactly the others."""
    way = next(way for way in engine_table().ways if way.name == name)
    weights = weights_of(cases.deepseek())
    laid = lay_out(way, LayoutProblem(model=cases.deepseek(), machine=machine, weights=weights, n_ctx=n_ctx))
    assert laid is not None
    vram, ram = laid.memory
    each = weights.expert_size(way.gpu_bits) // weights.n_expert

    assert vram.available is not None
    assert vram.needed <= vram.available or laid.n_gpu_experts == 0
    assert laid.n_gpu_experts == weights.n_expert or vram.needed + each > vram.available
    assert ram.needed == weights.expert_size(way.cpu_bits) * (256 - laid.n_gpu_experts) // 256


@examples(20)
@given(site=sites(), machine=machines(), day=days())
def test_every_verdict_is_that_of_its_best_way_and_has_its_evidence(site: Site, machine: Machine, day: str) -> None:
    """Blocked ways have something that blocks and no launch line; viable ones have no condition."""
    weighing = cases.ask(machine, site, day=day)

    for item in weighing.engines:
        assert item.verdict == item.best.verdict == min((way.verdict for way in item.ways), key=lambda v: v.rank)
        for way in item.ways:
            effects = {finding.effect for finding in way.findings}
            assert (way.verdict == Viability.BLOCKED) == (Effect.BLOCKS in effects)
            assert (way.verdict == Viability.VIABLE) == (not effects - {Effect.NOTE})
            assert way.launch is None or way.verdict != Viability.BLOCKED
            assert all(finding.statement for finding in way.findings)


def test_rules_ask_only_for_facts_that_exist() -> None:
    """A misspelt fact would stop every weighing; engines, ways and superseded rules exist too, and are older."""
    table = engine_table()
    facts = {*facts_of(cases.deepseek(), cases.machine(), cases.site()), "need.offload", "engine.backend"}
    by_id = {rule.id: rule for rule in table.rules}
    ways = {way.name for way in table.ways}

    assert len(by_id) == len(table.rules)
    assert {condition.fact for rule in table.rules for condition in rule.when} - facts == set()
    assert {name for rule in table.rules for name in rule.engines} - {*table.engines, "*"} == set()
    assert {name for rule in table.rules for name in rule.ways} - ways == set()
    assert {way.engine for way in table.ways} == set(table.engines)
    for rule in table.rules:
        assert all(by_id[name].known < rule.known for name in rule.supersedes)
        assert rule.source


def test_a_later_row_supersedes_from_its_day_on() -> None:
    """Before that day the older one holds, then the newer, never both."""
    for rule in engine_table().rules:
        for name in rule.supersedes:
            engine = rule.engines[0] if rule.engines[0] != "*" else "llama.cpp"
            way = rule.ways[0] if rule.ways else next(w.name for w in engine_table().ways if w.engine == engine)
            eve = {item.id for item in rules_for(engine, way, "", rule.known - timedelta(days=1))}
            then = {item.id for item in rules_for(engine, way, "", rule.known)}

            assert rule.id not in eve
            assert rule.id in then
            assert name not in then

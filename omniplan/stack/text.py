"""A stack as a screen: each group, what fits together, ways out, and the commands; shares of every pool below."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.domain.build import build_lines
from omniplan.domain.evidence import Reason
from omniplan.stack.values import GroupResult, Member, PoolUse, Stack
from omniplan.text.argv import server_words
from omniplan.text.palette import Hue
from omniplan.text.screen import (
    Block,
    Cell,
    Gauge,
    Heading,
    Level,
    Passage,
    Prose,
    Screen,
    ShellCommand,
    Tabular,
    Toned,
)
from omniplan.text.verdict import unknown, verdict
from omniplan.units import GIB, mib


def stack_screen(found: Stack) -> Screen:
    """Each group: whether it fits, what is left or missing, and speeds; then every member's command."""
    builds = [Prose(line) for line in build_lines(member.plan.footprint.build for member in found.members)]
    return Screen(
        (
            unknown(found.unpriced, fits=found.fits),
            Passage([_summary(found)]),
            *(Passage(list(_group(found, group))) for group in found.groups),
            Passage(list(_sets(found))),
            *(Passage(list(_command(found, member))) for member in found.members),
            Passage(list(_shares(found)), level=Level.TABLES),
            Passage(builds, level=Level.TABLES),
            Passage([*map(_reason, found.reasons), *_assumed(found)]),
        )
    )


def _summary(found: Stack) -> Prose:
    name = Toned(f"{found.name} on {found.machine.name}: ", Hue.TITLE)
    refused = [group.name for group in found.groups if not group.fits]
    if refused:
        return Prose((name, f"{', '.join(refused)} ", verdict(False)), hang=2)
    seconds = f", {found.seconds:.4g} s by priority for one request of each"
    return Prose((name, verdict(found.fits), seconds), hang=2)


def _shares(found: Stack) -> Iterator[Block]:
    """One row a member and pool, in llama.cpp's columns and what lies beside them."""
    rows = [
        (share.pool, member.name, *map(mib, (share.model, share.context, share.compute, share.reserve, share.total)))
        for pool in (*(gpu.name for gpu in found.machine.gpus), "RAM")
        for member in found.members
        for share in member.shares
        if share.pool == pool
    ]
    rows += [
        (entry.pool, entry.name, "", "", "", "", mib(entry.size)) for entry in found.asked.externals if found.members
    ]
    numbers = map(Heading, ("model", "context", "compute", "reserve", "total"))
    if rows:
        yield Tabular([Heading("pool", is_left=True), Heading("member", is_left=True), *numbers], rows)


def _group(found: Stack, group: GroupResult) -> Iterator[Block]:
    head = f"{group.name} ({', '.join(group.members)}) "
    if not group.fits:
        yield from _refused(head, group)
        return
    yield Prose((head, verdict(None if found.unpriced else True)), hang=2)
    columns = [Heading("pool", is_left=True), Heading("", rank=1), Heading("used"), Heading("of"), Heading("left")]
    yield Tabular(columns, [_use(pool) for pool in group.pools if pool.used])
    if group.speeds:
        names = (Heading("tokens/s alone"), Heading("all busy"), Heading("place", is_prose=True))
        rows = [
            (speed.member, f"{speed.idle:.1f}", f"{speed.busy:.1f}", _where(found.member(speed.member)))
            for speed in group.speeds
        ]
        yield Tabular([Heading("member", is_left=True), *names], rows)


def _use(pool: PoolUse) -> tuple[Cell, ...]:
    bar = Gauge([(Hue.WEIGHTS, pool.used), (Hue.FREE, max(0, pool.left))], pool.capacity)
    return pool.pool, bar, mib(pool.used), mib(pool.capacity), mib(pool.left)


def _where(member: Member) -> str:
    gpus = ", ".join(member.gpus)
    return f"{member.plan.strategy} ({gpus})" if gpus else member.plan.strategy


def _refused(head: str, group: GroupResult) -> Iterator[Prose]:
    if not group.needed:
        why = " with the arguments that the other groups need; list its models a second time for it"
        yield Prose((head, verdict(False), why), hang=2)
        return
    total = sum(group.needed.values())
    parts = " + ".join(f"{size / 1e9:,.4g}" for size in group.needed.values())
    where = " + ".join(pool.pool for pool in group.pools)
    short = f"at least {mib(group.shortfall)} are missing" if group.shortfall else "no division of the pools holds it"
    why = (
        f": {parts} = {total / 1e9:,.4g} GB ({total / GIB:,.4g} GiB), "
        f"{where} {'has' if len(group.pools) == 1 else 'have'} {group.available / 1e9:,.4g} GB for it; {short}"
    )
    yield Prose((head, verdict(False), why), hang=2)
    if group.remedies:
        yield Prose("ways out, least loss first:")
    for number, remedy in enumerate(group.remedies, 1):
        text = f"{number}. {' and '.join(remedy.changes)} (loses {remedy.loss:.0%} of what was asked for)"
        yield Prose(text, indent=2, hang=3)


def _sets(found: Stack) -> Iterator[Prose]:
    if len(found.members) > 1:
        yield Prose("largest sets that fit together:")
        yield from (Prose(" + ".join(names), indent=2, hang=2) for names in found.sets)


def _command(found: Stack, member: Member) -> Iterator[Block]:
    args = (*member.plan.server_args, "--port", str(member.port))
    yield Prose(f"# {member.name}: {'on demand' if member.on_demand else 'at startup'}")
    yield ShellCommand(server_words(member.plan.model.path, args, found.llama_cpp), member.plan.environment)


def _reason(reason: Reason) -> Prose:
    source = Toned(f" [{reason.source}]", Hue.QUIET)
    return Prose((f"{reason.verdict}: {reason.subject}: {reason.statement}", source), hang=2)


def _assumed(found: Stack) -> Iterator[Prose]:
    return (Prose(f"assumed: {item.subject}: {item.statement}", hang=2) for item in found.assumptions)

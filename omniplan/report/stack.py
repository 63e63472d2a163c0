"""The sheets of a stack: its groups on the machine's memories, model by model, then every member's plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from omniplan.domain.footprint import RAM, Pool
from omniplan.domain.model import Model
from omniplan.domain.titles import title_of
from omniplan.report.memory import Memories, before, process, scaled
from omniplan.report.plan import pieces_of, plan_sheet
from omniplan.report.values import Bar, BarGroup, CommandText, Figure, Notice, Segment, Sheet, Standing, Verdict
from omniplan.report.words import FITTING, STANDINGS, size
from omniplan.stack.values import GroupResult, Member, Stack
from omniplan.text.argv import shell_line
from omniplan.text.palette import Hue
from omniplan.text.speed import digits


def stack_sheets(found: Stack, models: Mapping[str, Model]) -> Iterator[Sheet]:
    """The stack, and a sheet a member; ``models`` are those of the members, by name."""
    refused = ", ".join(group.name for group in found.groups if not group.fits)
    standing = STANDINGS[found.fits]
    yield Sheet(
        name=found.name,
        title=f"{found.name} on {title_of(found.machine)}",
        verdict=Verdict(state=standing, text=f"{refused} does not fit." if refused else f"{FITTING[standing]}."),
        figures=tuple(_figures(found)),
        commands=tuple(_command(found, member) for member in found.members),
        memory=tuple(_group(found, group, models) for group in found.groups if group.fits),
        notices=tuple(_refused(group) for group in found.groups if not group.fits),
        reasons=found.reasons,
        assumptions=found.assumptions,
        facts=tuple(_facts(found)),
    )
    for member in found.members:
        sheet = plan_sheet(member.plan, models[member.name])
        yield replace(sheet, name=member.name, title=f"{member.name}: {member.plan.model.title}")


def _figures(found: Stack) -> Iterator[Figure]:
    """How fast each member is alone, in the first group that has it; the busy rate stands as its range's text."""
    seen: set[str] = set()
    for speed in (speed for group in found.groups for speed in group.speeds):
        if speed.member not in seen:
            seen.add(speed.member)
            yield Figure(
                name=f"{speed.member}.decode",
                label=f"{speed.member}, writing",
                value=speed.idle,
                text=digits(speed.idle),
                unit="tokens/s alone",
                span=f"{digits(speed.busy)} while all are busy",
            )


def _command(found: Stack, member: Member) -> CommandText:
    args = (*member.plan.server_args, "--port", str(member.port))
    line = shell_line(member.plan.model.path, args, member.plan.environment, found.llama_cpp)
    return CommandText(label=f"{member.name}, {'on demand' if member.on_demand else 'at startup'}", line=line)


def _group(found: Stack, group: GroupResult, models: Mapping[str, Model]) -> BarGroup:
    members = [member for member in found.members if member.name in group.members]
    bars = tuple(_bar(found, pool, members, models) for pool in _pools(members))
    bars = tuple(bar for bars in scaled(bars) for bar in bars)
    return BarGroup(title=f"{group.name}: {', '.join(group.members)}", bars=bars)


def _pools(members: list[Member]) -> tuple[Pool, ...]:
    return members[0].plan.footprint.pools if members else ()


def _bar(found: Stack, pool: Pool, members: list[Member], models: Mapping[str, Model]) -> Bar:
    total, segments = before(found.machine, pool)
    segments += [
        Segment(hue=Hue.RESERVED, label="beside the models", value=entry.size, text=size(entry.size), owner=entry.name)
        for entry in found.asked.externals
        if entry.pool == pool.name
    ]
    taken = [segment for member in members for segment in _taken(member, pool, models[member.name])]
    length = sum(segment.value for segment in (*segments, *taken))
    free = max(0.0, total - length)
    rest = (Segment(hue=Hue.FREE, label="free", value=free, text=size(free)),) if free else ()
    used = sum(segment.value for segment in taken)
    return Bar(
        name=pool.name,
        label="" if pool.name == RAM else found.machine.gpu(pool.name).description,
        text=f"{size(used)} of {size(total)}" if total else size(used),
        segments=(*segments, *taken, *rest),
        scale=max(total, length),
        limit=total or None,
        remark="" if used else "not used",
    )


def _taken(member: Member, pool: Pool, model: Model) -> Iterator[Segment]:
    plan = member.plan
    own = Memories(machine=plan.machine, priced=plan.footprint, pieces=pieces_of(plan, model))
    segments = [*process(own, pool)]
    reserve = next((share.reserve for share in member.shares if share.pool == pool.name), 0)
    if reserve:
        hue, label = (Hue.CACHE, "prompt cache") if pool.name == RAM else (Hue.DRIVER, "driver and CUDA")
        segments.append(Segment(hue=hue, label=label, value=reserve, text=size(reserve)))
    yield from (replace(segment, owner=member.name) for segment in segments)


def _refused(group: GroupResult) -> Notice:
    ways = "; ".join(" and ".join(remedy.changes) for remedy in group.remedies)
    short = f"at least {size(group.shortfall)} are missing" if group.shortfall else "no division of the pools holds it"
    return Notice(
        state=Standing.BAD,
        subject=f"{group.name} ({', '.join(group.members)})",
        statement=f"does not fit: {short}.",
        advice=f"Ways out, least loss first: {ways}." if ways else "",
    )


def _facts(found: Stack) -> Iterator[tuple[str, str]]:
    yield "Machine", found.machine.description or found.machine.name
    if len(found.members) > 1:
        yield "Fit together", "; ".join(" + ".join(names) for names in found.sets)
    yield "llama.cpp", found.llama_cpp
    yield "omniplan", found.version

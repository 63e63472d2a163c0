"""A stack as text for a person: shares per pool, groups, speeds beside neighbours, what co-fits, and ways out."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.domain.build import build_lines
from omniplan.domain.evidence import Reason
from omniplan.stack.values import GroupResult, Member, PoolUse, Stack
from omniplan.text.argv import shell_line
from omniplan.text.table import table
from omniplan.text.verdict import UNKNOWN, verdict_line
from omniplan.units import GIB, mib


def stack_text(found: Stack) -> str:
    """Every member's share of every pool, then each group: whether it fits, what is left or missing, and speeds."""
    parts = [_summary(found), _shares(found), *(_group(found, group) for group in found.groups), _sets(found)]
    head = verdict_line(found.unpriced, fits=found.fits)
    build = "\n".join(build_lines(member.plan.footprint.build for member in found.members))
    return "\n\n".join(part for part in (head, *parts, *_commands(found), build, _notes(found)) if part)


def _summary(found: Stack) -> str:
    refused = [group.name for group in found.groups if not group.fits]
    if refused:
        return f"{found.name} on {found.machine.name}: {', '.join(refused)} does not fit"
    verdict = UNKNOWN if found.unpriced else "fits"
    return f"{found.name} on {found.machine.name}: {verdict}, {found.seconds:.4g} s by priority for one request of each"


def _shares(found: Stack) -> str:
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
    return table(("pool", "member", "model", "context", "compute", "reserve", "total"), rows, left=2) if rows else ""


def _group(found: Stack, group: GroupResult) -> str:
    if not group.fits:
        return "\n".join(_refused(group))
    head = f"{group.name} ({', '.join(group.members)}) {UNKNOWN if found.unpriced else 'fits'}"
    pools = table(("pool", "used", "of", "left"), [_use(pool) for pool in group.pools if pool.used])
    if not group.speeds:
        return f"{head}\n{pools}"
    rows = [
        (speed.member, _where(found.member(speed.member)), f"{speed.idle:.1f}", f"{speed.busy:.1f}")
        for speed in group.speeds
    ]
    speeds = table(("member", "place", "tokens/s alone", "all busy"), rows, left=2)
    return f"{head}\n{pools}\n{speeds}"


def _use(pool: PoolUse) -> tuple[str, ...]:
    return (pool.pool, mib(pool.used), mib(pool.capacity), mib(pool.left))


def _where(member: Member) -> str:
    gpus = ", ".join(member.gpus)
    return f"{member.plan.strategy} ({gpus})" if gpus else member.plan.strategy


def _refused(group: GroupResult) -> Iterator[str]:
    head = f"{group.name} ({', '.join(group.members)}) does not fit"
    if not group.needed:
        yield f"{head} with the arguments that the other groups need; list its models a second time for it"
        return
    total = sum(group.needed.values())
    parts = " + ".join(f"{size / 1e9:,.4g}" for size in group.needed.values())
    where = " + ".join(pool.pool for pool in group.pools)
    short = f"at least {mib(group.shortfall)} are missing" if group.shortfall else "no division of the pools holds it"
    yield (
        f"{head}: {parts} = {total / 1e9:,.4g} GB ({total / GIB:,.4g} GiB), "
        f"{where} {'has' if len(group.pools) == 1 else 'have'} {group.available / 1e9:,.4g} GB for it; {short}"
    )
    if group.remedies:
        yield "ways out, least loss first:"
    for number, remedy in enumerate(group.remedies, 1):
        yield f"  {number}. {' and '.join(remedy.changes)} (loses {remedy.loss:.0%} of what was asked for)"


def _sets(found: Stack) -> str:
    if len(found.members) < 2:
        return ""
    return "\n".join(["largest sets that fit together:", *(f"  {' + '.join(names)}" for names in found.sets)])


def _commands(found: Stack) -> Iterator[str]:
    for member in found.members:
        args = (*member.plan.server_args, "--port", str(member.port))
        line = shell_line(member.plan.model.path, args, member.plan.environment, found.llama_cpp)
        yield f"# {member.name}: {'on demand' if member.on_demand else 'at startup'}\n{line}"


def _notes(found: Stack) -> str:
    assumed = [f"assumed: {item.subject}: {item.statement}" for item in found.assumptions]
    return "\n".join((*map(_reason, found.reasons), *assumed))


def _reason(reason: Reason) -> str:
    return f"{reason.verdict}: {reason.subject}: {reason.statement} [{reason.source}]"

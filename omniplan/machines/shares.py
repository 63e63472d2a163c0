"""What systems keep, and what they let GPUs take whose memory is the RAM, unless they were told otherwise."""

from __future__ import annotations

from dataclasses import replace

from omniplan.domain.machine import Gpu, Memory, Reservation, ReservationKind
from omniplan.machines.advice import LimitKind, reserves, share_limits
from omniplan.units import MIB


def assumed_reserve(kind: ReservationKind, total: int) -> Reservation:
    """What is taken for reserved of ``total`` bytes without evidence of this machine's own."""
    row = reserves()[kind]
    return Reservation(size=row.of(total), reason=f"{row.statement}: assumed, after {row.source}", kind=kind)


def drawing_on(gpu: Gpu, memory: Memory, system: str) -> tuple[Gpu, tuple[str, ...]]:
    """``gpu`` as one that draws on ``memory``, within the limit of ``system`` (a row of the table), and what to tell.

    llama.cpp sees that limit as all there is.
    """
    gpu = replace(gpu, total=memory.total, free=memory.available, reserved=memory.reserved, is_unified=True)
    told = f"{gpu.description}: its memory is the RAM, and counts once"
    rule = share_limits().get(system)
    if rule is None:
        return gpu, (told,)
    size = rule.of(gpu.total)
    gpu = replace(gpu, limit_source=rule.source, free=min(gpu.free, size))
    gpu = replace(gpu, gtt=size) if rule.kind is LimitKind.GTT else replace(gpu, working_set=size)
    limit = f"{gpu.description}: {rule.statement}: {size // MIB:,} MiB; write {rule.kind}_mib where it is another"
    return gpu, (told, limit)

"""The machine as bars: what every memory holds of a process, what it keeps free, and what was there before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from omniplan.domain.footprint import RAM, ContextKind, Footprint, Pool
from omniplan.domain.headroom import Margin
from omniplan.domain.machine import Machine, Reservation
from omniplan.domain.roles import Role
from omniplan.llamacpp.ggml.buffers import CPU, is_host
from omniplan.llamacpp.load.footprint import pools
from omniplan.llamacpp.load.held import Held
from omniplan.report.values import Bar, BarGroup, Segment, Standing
from omniplan.report.words import size
from omniplan.text.palette import Hue, palette
from omniplan.units import MIB

# What is drawn as one; norms and indexers are a part of attention, routers of what they stand before.
HUES: Final[Mapping[Role | None, Hue]] = {
    None: Hue.CACHE,
    Role.TOKEN_EMBEDDING: Hue.EMBEDDING,
    Role.OUTPUT: Hue.EMBEDDING,
    Role.NORM: Hue.ATTENTION,
    Role.ATTENTION: Hue.ATTENTION,
    Role.INDEXER: Hue.ATTENTION,
    Role.RECURRENT: Hue.ATTENTION,
    Role.ROUTER: Hue.FFN,
    Role.ROUTED_EXPERT: Hue.EXPERTS,
    Role.SHARED_EXPERT: Hue.FFN,
    Role.DENSE_FFN: Hue.FFN,
    Role.NEXTN: Hue.FFN,
    Role.OTHER: Hue.ATTENTION,
}
# From the left: weights, largest first as a rule, then what grows with the context and the batch.
_WEIGHTS: Final = (Hue.EXPERTS, Hue.FFN, Hue.ATTENTION, Hue.EMBEDDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """A machine and one process on it: its price, what is kept free, and its weights by role where they are known."""

    machine: Machine
    priced: Footprint
    margins: Sequence[Margin] = ()
    pieces: Sequence[Held] = ()


def memory_groups(found: Memories) -> tuple[BarGroup, ...]:
    """GPUs drawn to one scale, and RAM to its own."""
    bars = tuple(_bar(found, pool) for pool in found.priced.pools)
    return tuple(BarGroup(title="", bars=group) for group in scaled(bars))


def scaled(bars: Sequence[Bar]) -> tuple[tuple[Bar, ...], ...]:
    """Bars of GPUs, and that of RAM, each as long as the longest beside it; without those that there are none of."""
    groups = (to_scale(bar for bar in bars if bar.name != RAM), to_scale(bar for bar in bars if bar.name == RAM))
    return tuple(group for group in groups if group)


def to_scale(bars: Iterable[Bar]) -> tuple[Bar, ...]:
    """The same bars, as long as the longest of them."""
    known = tuple(bars)
    scale = max((bar.scale for bar in known), default=0.0)
    return tuple(replace(bar, scale=scale) for bar in known)


def _bar(found: Memories, pool: Pool) -> Bar:
    margin = next((margin for margin in found.margins if margin.pool == pool.name), None)
    total, reserved = before(found.machine, pool)
    segments = [*reserved, *process(found, pool), *_kept(margin, pool)]
    length = sum(segment.value for segment in segments)
    if length < total:
        label = "free" if margin or not pool.used else "left"
        segments.append(Segment(hue=Hue.FREE, label=label, value=total - length, text=size(total - length)))
    is_short = pool.left is not None and pool.left < 0
    used = pool.used if margin is None else margin.used
    return Bar(
        name=pool.name,
        label=_label(found.machine, pool),
        text=f"{size(used)} of {size(total)}" if total else size(used),
        segments=tuple(segments),
        scale=max(length, total),
        limit=total or None,
        state=Standing.BAD if is_short else Standing.GOOD,
        remark=_remark(pool, margin),
    )


def _label(machine: Machine, pool: Pool) -> str:
    if pool.name == RAM:
        drawing = [name for name in pool.members if name != CPU]
        return f"shared with {' and '.join(drawing)}" if drawing else ""
    gpu = next((gpu for gpu in machine.gpus if gpu.name == pool.name), None)
    return " at ".join(part for part in (gpu.description if gpu else "", pool.endpoint) if part)


def _remark(pool: Pool, margin: Margin | None) -> str:
    if pool.left is not None and pool.left < 0:
        return f"short by {size(-pool.left)}"
    if not pool.used:
        return "not used"
    if margin is not None:
        return f"{size(margin.capacity - margin.used)} stay free ({margin.free_fraction:.0%})"
    return "" if pool.left is None else f"{size(pool.left)} left"


def pools_of(machine: Machine) -> tuple[Pool, ...]:
    """The pools of a machine that holds nothing."""
    return tuple(pools(machine, {}))


def of_pool(name: str, used: int, known: Sequence[Pool]) -> Pool:
    """The pool called ``name`` with ``used`` bytes taken; of no known size where ``known`` does not have it."""
    nothing = Pool(name=name, free=None, used=0, members=(name,))
    return replace(next((pool for pool in known if pool.name == name), nothing), used=used)


def before(machine: Machine, pool: Pool) -> tuple[int, list[Segment]]:
    """Bytes of the whole memory (0: not known), and what is no longer free of it before the process starts."""
    gpu = next((gpu for gpu in machine.gpus if gpu.name == pool.name), None)
    reserved: Sequence[Reservation] = ()
    total = pool.free or 0
    if gpu is not None:
        total, reserved = gpu.total, gpu.reserved
    elif pool.name == RAM and machine.memory is not None:
        total, reserved = machine.memory.total, machine.memory.reserved
    taken = total - (pool.free or 0)
    if pool.free is None or taken <= 0:
        return total, []
    parts = "; ".join(f"{size(item.size)} {item.reason}" for item in reserved)
    return total, [_segment(Hue.RESERVED, taken, parts=parts)]


def _segment(hue: Hue, nbytes: float, label: str = "", parts: str = "") -> Segment:
    return Segment(hue=hue, label=label or palette()[hue].label, value=nbytes, text=size(nbytes), parts=parts)


def _is_in(buffer: str, pool: Pool) -> bool:
    return buffer in pool.members or (CPU in pool.members and is_host(buffer))


def process(found: Memories, pool: Pool) -> Iterator[Segment]:
    """What a process takes of a pool: weights by role, then caches and compute buffers of every part of it."""
    for kind, buffers in found.priced.contexts.items():
        sizes = [buffers[name] for name in buffers if _is_in(name, pool)]
        of = "" if kind is ContextKind.MAIN else f"{kind.value}: "
        weights, cache = sum(item.model for item in sizes), sum(item.context for item in sizes)
        compute = sum(item.compute for item in sizes)
        yield from _main_weights(found.pieces, pool, weights) if not of else _weights(weights, f"{of}weights")
        if cache:
            yield _segment(Hue.CACHE, cache, f"{of}KV cache" if of else "")
        if compute:
            parts = "" if of else _compute_parts(found.priced, pool)
            yield _segment(Hue.COMPUTE, compute, f"{of}compute buffers" if of else "", parts)
    if pool.name == RAM and found.priced.output_buffer and found.margins:
        yield _segment(Hue.COMPUTE, found.priced.output_buffer, "logits")


def _weights(nbytes: int, label: str) -> Iterator[Segment]:
    if nbytes:
        yield _segment(Hue.WEIGHTS, nbytes, label)


def _main_weights(pieces: Sequence[Held], pool: Pool, nbytes: int) -> Iterator[Segment]:
    sizes: Counter[Hue] = Counter()
    for piece in pieces:
        if piece.role is not None and _is_in(piece.buffer, pool):
            sizes[HUES[piece.role]] += piece.nbytes
    rest = nbytes - sum(sizes.values())
    if rest < 0 or not sizes:
        # A buffer that holds less than its tensors: rows are read from the file on demand.
        yield from _weights(nbytes, "weights")
        return
    if rest < MIB:
        # Tensors begin at multiples of 32 bytes or so; that is nothing to draw.
        sizes[max(sizes, key=lambda hue: sizes[hue])] += rest
    yield from (_segment(hue, sizes[hue]) for hue in _WEIGHTS if sizes[hue])
    if rest >= MIB:
        yield _segment(Hue.DRIVER, rest, "between tensors")


def _compute_parts(priced: Footprint, pool: Pool) -> str:
    sizes: defaultdict[str, int] = defaultdict(int)
    for buffer, parts in priced.compute_parts.items():
        for part, nbytes in parts.items() if _is_in(buffer, pool) else ():
            sizes[part.value] += nbytes
    return ", ".join(f"{name} {size(nbytes)}" for name, nbytes in sizes.items() if nbytes >= MIB)


def _kept(margin: Margin | None, pool: Pool) -> Iterator[Segment]:
    """What the headroom policy keeps, and for what."""
    if margin is None:
        return
    if margin.context > 0:
        parts = ", ".join(f"{part.value} {size(nbytes)}" for part, nbytes in margin.parts.items())
        is_ram = pool.name == RAM
        yield _segment(Hue.CACHE if is_ram else Hue.DRIVER, margin.context, "prompt cache" if is_ram else "", parts)
    if margin.growth > 0:
        yield _segment(Hue.MARGIN, margin.growth, "kept for growth")

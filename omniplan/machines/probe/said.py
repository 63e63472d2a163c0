"""What words say of a machine so far: cards, a processor, memory, and what has to be told about how they were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from omniplan.errors import InputError
from omniplan.machines.cpus import CpuRow
from omniplan.machines.gpus import GpuRow
from omniplan.units import GIB, gib

# A card whose memory was doubled by hand, the most that is sold (RTX 2080 Ti 22 GB, RTX 3080 20 GB, RTX 4090 48 GB); a
# little more, since 11 GB twice is called 24 now and then.
_MODDED: Final = 2.2
# A size that a driver shows, or that is rounded, is off by less.
_SAME: Final = 0.07


@dataclass(slots=True)
class SaidGpu:
    """One group of alike cards: the ``rows`` it may be, and what was said of it beside its name.

    ``size`` is bytes where they were said, ``row`` None for a card that no table knows.
    """

    rows: tuple[GpuRow, ...]
    text: str
    count: int = 1
    size: int | None = None
    bandwidth: float | None = None
    pcie: int | None = None
    lanes: int | None = None
    is_display: bool = False

    @property
    def is_unified(self) -> bool:
        """Whether its memory is the machine's."""
        return any(row.is_unified for row in self.rows)

    def comes_in(self, size: int) -> bool:
        """Whether it is sold with that much."""
        return any(abs(row.memory - size) <= _SAME * row.memory for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all of the group, 0 where a name leaves that open."""
        sizes = {self.size} if self.size else {row.memory for row in self.rows}
        return self.count * (min(sizes) if len(sizes) == 1 else 0)

    def takes(self, size: int, *, is_sure: bool, is_apart: bool = False) -> bool:
        """Take ``size`` for its memory where it can be; ``is_sure`` that it is no RAM. Raises InputError.

        What stands ``is_apart`` from the name is taken only where the card is sold so.
        """
        if self.size is not None or (self.is_unified and not is_sure):
            return False
        near = tuple(row for row in self.rows if abs(row.memory - size) <= _SAME * row.memory)
        if is_apart and not near:
            return False
        most = max((row.memory for row in self.rows), default=size)
        if self.rows and not near and not most < size <= _MODDED * most:
            if size > most and not is_sure:
                return False
            known = " or ".join(dict.fromkeys(gib(row.memory) for row in self.rows))
            raise InputError(f"machine: {self.text[:60]!r} has {known}, not {gib(size)}; name the card that has it")
        self.rows, self.size = near or self.rows, size
        return True

    def only(self) -> GpuRow | None:
        """The row it is, None for a card in no table; of several that differ in speed alone the slowest.

        Raises InputError where several differ in memory.
        """
        if len({row.memory for row in self.rows}) > 1:
            exact = [row for row in self.rows if row.name.lower() == self.text.lower()]
            if len(exact) != 1:
                names = " or ".join(row.name for row in self.rows)
                raise InputError(f"machine: {self.text[:60]!r}: there are several; write {names}")
            return exact[0]
        return min(self.rows, key=lambda row: row.bandwidth or 0.0, default=None)


@dataclass(slots=True)
class Said:
    """Everything said so far; ``memory`` are bytes of RAM."""

    gpus: list[SaidGpu] = field(default_factory=list)
    cpu: CpuRow | None = None
    sockets: int = 1
    memory: int | None = None
    speed_mts: int | None = None
    channels: int | None = None
    nps: int | None = None
    is_windows: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was named."""
        return not (self.gpus or self.cpu or self.memory)

    def has_in_all(self, size: int) -> bool:
        """Whether ``size`` is what several cards have together."""
        count, memory = sum(gpu.count for gpu in self.gpus), sum(gpu.memory for gpu in self.gpus)
        return count > 1 and all(gpu.memory for gpu in self.gpus) and abs(memory - size) <= _SAME * memory

    def drop_total(self) -> None:
        """Leave out video memory that was said first, and is that of the cards which were named after it."""
        first, others = next(iter(self.gpus), None), self.gpus[1:]
        if first is not None and not first.rows and first.size:
            memory = sum(gpu.memory for gpu in others)
            self.gpus = others if abs(memory - first.size) <= _SAME * first.size else self.gpus

    def take_cpu(self, row: CpuRow, count: int, text: str) -> None:
        """One kind of processor; raises InputError for a second."""
        if self.cpu is not None and self.cpu is not row:
            raise InputError(
                f"machine: {text[:60]!r}: a CPU is already named, {self.cpu.name}; write 2x for two sockets"
            )
        self.cpu, self.sockets = row, count

    def take_memory(self, size: int, text: str) -> None:
        """RAM; raises InputError for a second size, or none at all."""
        if self.memory is not None:
            raise InputError(f"machine: {text[:60]!r}: RAM is named twice; write the whole of it once")
        if size == 0:
            raise InputError(f"machine: {text[:60]!r}: no RAM at all; leave it out where it is unknown")
        self.memory = size


def in_bytes(number: str, unit: str) -> int:
    """Bytes of a size in words: a unit of M, G or T, whatever follows; RAM and VRAM count in powers of two."""
    scale = {"m": GIB >> 10, "g": GIB, "t": GIB << 10}[unit[0].lower()]
    return round(float(number.replace(",", ".")) * scale)

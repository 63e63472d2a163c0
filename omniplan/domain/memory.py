"""What a process takes of each memory and for what, as people see it: weights, cache, compute, driver, margin, free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.domain.footprint import RAM, BufferSize, Footprint
from omniplan.domain.headroom import Margin

# The member of a pool that stands for every buffer of the host.
_HOST: Final = "CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryShare:
    """Bytes of one pool: its ``size``, free before the load and None where that is not known, and what takes of it.

    ``driver`` is what CUDA takes beside the buffers; ``margin`` is kept free by policy, in RAM also for llama-server's
    cache of prompts.
    """

    pool: str
    size: int | None
    weights: int
    cache: int
    compute: int
    driver: int
    margin: int

    @property
    def used(self) -> int:
        """Everything but the margin."""
        return self.weights + self.cache + self.compute + self.driver

    @property
    def free(self) -> int | None:
        """What stays free beyond all that; below 0 where it is missing."""
        return None if self.size is None else self.size - self.used - self.margin


def memory_shares(priced: Footprint, margins: Sequence[Margin] = ()) -> Iterator[MemoryShare]:
    """Every pool that something lies in, with the margins that a plan keeps, none where there is no plan."""
    kept = {margin.pool: margin for margin in margins}
    for pool in priced.pools:
        size = _size(priced, pool.members)
        if not size.total:
            continue
        margin = kept.get(pool.name)
        is_ram = pool.name == RAM
        process = priced.process.get(pool.name)
        driver = margin.context if margin else process.total if process else 0
        yield MemoryShare(
            pool=pool.name,
            size=margin.capacity if margin else pool.free,
            weights=size.model,
            cache=size.context,
            compute=size.compute + (priced.output_buffer if is_ram else 0),
            driver=0 if is_ram else driver,
            margin=(margin.growth + (margin.context if is_ram else 0)) if margin else 0,
        )


def _size(priced: Footprint, members: Sequence[str]) -> BufferSize:
    """The buffers of these devices; what is on no GPU is the CPU's."""
    devices = {pool.name for pool in priced.pools}
    found = [size for name, size in priced.buffers.items() if (name if name in devices else _HOST) in members]
    return sum(found, BufferSize())

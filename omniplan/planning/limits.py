"""Whether a priced candidate keeps the headroom policy, pool by pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.domain.footprint import Footprint, Pool
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.plan import Margin
from omniplan.llamacpp.load.footprint import RAM
from omniplan.units import MIB

# --cache-ram of llama-server b11434: prompts of idle slots are kept in RAM, up to this much.
PROMPT_CACHE: Final = 8192 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan must keep on ``machine``."""

    machine: Machine
    headroom: Headroom

    def margins(self, footprint: Footprint, prompt_cache: int) -> tuple[Margin, ...]:
        """Headroom of every pool in use, and of RAM where its size is known.

        ``prompt_cache`` bytes of RAM are promised to llama-server (``--cache-ram``).
        """
        return tuple(margin for pool in footprint.pools if (margin := self._margin(footprint, pool, prompt_cache)))

    def _margin(self, footprint: Footprint, pool: Pool, prompt_cache: int) -> Margin | None:
        if pool.name == RAM:
            if pool.free is None:
                return None
            used = pool.used + footprint.output_buffer
            return Margin(pool=RAM, capacity=pool.free, used=used, context=prompt_cache, growth=self.headroom.ram)
        if not pool.used:
            return None
        gpu = self.machine.gpu(pool.name)
        return Margin(
            pool=pool.name,
            capacity=gpu.free,
            used=pool.used,
            context=self.headroom.context_of(gpu),
            growth=max(0, self.headroom.growth_of(gpu) + _learned(footprint, gpu) + _unsure(footprint, pool.name)),
        )


def _learned(footprint: Footprint, gpu: Gpu) -> int:
    """What the compute buffer takes beyond its prediction, below 0 where less, by runs of the machine's own build."""
    return round(footprint.buffers[gpu.name].compute * ((gpu.compute_factor or 1.0) - 1))


def _unsure(footprint: Footprint, name: str) -> int:
    """More room where the graph itself is assumed: a quarter of the compute buffer."""
    return footprint.buffers[name].compute // 4 if footprint.assumptions else 0


def shortfall(margins: Sequence[Margin]) -> dict[str, int]:
    """Missing bytes by pool, policy included; empty when everything is kept."""
    return {margin.pool: -margin.left for margin in margins if margin.left < 0}

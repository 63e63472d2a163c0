"""The headroom policy: what must stay free on every pool, for one process and for several that share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

from omniplan.documents.record import Record
from omniplan.domain.footprint import RAM, Footprint
from omniplan.domain.machine import Gpu, Machine, ReservationKind
from omniplan.domain.process import ProcessPart
from omniplan.errors import InputError
from omniplan.units import GIB, MIB, size

# --cache-ram of llama-server b11434: prompts of idle slots are kept in RAM, up to this much.
PROMPT_CACHE: Final = 8192 * MIB
# A cut --cache-ram is a multiple of this, for the reader.
CACHE_STEP: Final = 256 * MIB
_SHARE: Final = "growth_fraction"
# Pools, cuBLAS and CUDA graphs of a process beyond the first: what the default policy keeps at least for one.
_FURTHER: Final = 256 * MIB
# A context and kernels of a card that is not known, between those that are (data/cuda.toml).
_UNPRICED: Final = 500 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin(Record):
    """The headroom of one pool in bytes: what the policy keeps free and what the plan leaves.

    ``context`` is what the process takes of a GPU beside its buffers, less what the machine counts as in use already;
    ``parts`` says for what. Of RAM it is the prompt cache.
    """

    pool: str
    capacity: int
    used: int
    context: int
    growth: int
    parts: Mapping[ProcessPart, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Bytes beyond the plan and everything the policy keeps."""
        return self.capacity - self.used - self.context - self.growth

    @property
    def free_fraction(self) -> float:
        """Share of the capacity the plan does not use."""
        return 1 - self.used / self.capacity if self.capacity else 0.0


def shortfall(margins: Sequence[Margin]) -> dict[str, int]:
    """Missing bytes by pool, policy included; empty when everything is kept."""
    return {margin.pool: -margin.left for margin in margins if margin.left < 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom(Record):
    """Bytes kept free per GPU and in RAM.

    ``context`` is what a process takes of a GPU beside its buffers. None: what its price says (``Footprint.process``),
    and 500 MiB before there is one or for other back ends than CUDA. It is dropped where the machine already reserves
    it. ``growth`` is for what the price does not say (pools, cuBLAS and CUDA graphs beyond the first requests): a share
    of the GPU, at least ``growth_least``, and ``growth_display`` on the GPU that drives a screen. A GPU that knows from
    runs what is in use ``beside`` a model keeps that instead of ``context``, page tables apart.
    """

    context: int | None = None
    # VMM pools grow in 2 MiB steps, cuBLAS takes 4 or 32 MiB, CUDA graphs tens of MiB (llama.cpp b11434 ggml-cuda.cu).
    growth_fraction: float = 0.02
    growth_least: int = 256 * MIB
    # A display GPU failed at inference with less (docs/lessons.md#glm-8: 13+6 layers of gpt-oss-120b).
    growth_display: int = GIB
    ram: int = 2 * GIB

    @classmethod
    def parse(cls, text: str) -> Headroom:
        """A policy from ``"1024"`` (MiB per GPU), ``"2g"``, ``"10%"`` of each, or ``"default"``; raises InputError.

        Any other is ``"context=524288000,growth_least=0,..."``: the fields that differ from the default, in bytes.
        """
        if text == "default":
            return cls()
        if "=" in text:
            return cls._of_fields(text)
        try:
            if not text.endswith("%"):
                return cls(growth_fraction=0.0, growth_least=size(text, MIB), growth_display=0)
            share = float(text[:-1])
        except ValueError:
            share = -1.0
        if not 0 <= share < 100:
            raise InputError(
                "expected MiB per GPU such as 1024, a size such as 2g, or a share such as 10%",
                field="headroom",
                value=text,
            )
        return cls(growth_fraction=share / 100, growth_least=0, growth_display=0)

    @classmethod
    def _of_fields(cls, text: str) -> Headroom:
        kinds = {item.name: float if item.name == _SHARE else int for item in fields(cls)}
        try:
            given = dict(part.split("=", 1) for part in text.split(","))
            values = {name: kinds[name](value) for name, value in given.items()}
        except (KeyError, ValueError):
            values = {"": -1}
        if any(not value >= 0 for value in values.values()) or not values.get(_SHARE, 0) < 1:
            raise InputError(
                f"expected NAME=BYTES of {', '.join(kinds)}; {_SHARE} is below 1", field="headroom", value=text
            )
        return cls(**values)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The shortest text that ``parse`` makes this policy from."""
        default = Headroom()
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        parts = (f"{name}={value!r}" for name, value in given.items() if value != getattr(default, name))
        texts = (
            "default",
            f"{self.growth_least / MIB:.6f}".rstrip("0").rstrip("."),
            f"{100 * self.growth_fraction:.15g}%",
            ",".join(parts),
        )
        return next(text for text in texts if Headroom.parse(text) == self)

    def context_of(self, gpu: Gpu, priced: Footprint | None = None) -> int:
        """Bytes a process takes of ``gpu`` beside its buffers, beyond what the machine counts as in use already."""
        share = priced.process.get(gpu.name) if priced and self.context is None else None
        if gpu.beside is not None:
            tables = share.parts.get(ProcessPart.PAGE_TABLES, 0) if share else 0
            return max(0, gpu.beside + tables - (gpu.total - gpu.free))
        already = sum(item.size for item in gpu.reserved if item.kind is ReservationKind.CUDA_CONTEXT)
        return max(0, (share.total if share else self._context) - already)

    @property
    def _context(self) -> int:
        return _UNPRICED if self.context is None else self.context

    def growth_of(self, gpu: Gpu) -> int:
        """Bytes kept for growth on ``gpu``."""
        share = int(gpu.total * self.growth_fraction)
        return max(share, self.growth_least, self.growth_display if gpu.is_display else 0)

    def kept_on(self, gpu: Gpu) -> int:
        """Bytes that one process keeps free on ``gpu`` beside buffers that are as predicted."""
        return self.context_of(gpu) + self.growth_of(gpu)

    def budget_of(self, gpu: Gpu) -> int:
        """Bytes a plan may use on ``gpu``."""
        return max(0, gpu.room - self.kept_on(gpu))

    def beyond(self, gpu: Gpu, priced: Footprint) -> int:
        """What a process may take of ``gpu`` beyond its buffers and what is kept of every GPU; less is below 0."""
        return self.context_of(gpu, priced) - self.context_of(gpu) + self._unsure(gpu, priced)

    def _unsure(self, gpu: Gpu, priced: Footprint) -> int:
        """What its compute buffer may take beyond its price.

        As runs of the machine's own build say, and a quarter of it where the graph is assumed. Below 0 where runs take
        less, which frees no more than growth. A build that is not known itself may take its margin beyond that.
        """
        compute = priced.buffers[gpu.name].compute
        learned = round(compute * ((gpu.compute_factor or 1.0) - 1))
        unsure = 0 if priced.is_graph_known else compute // 4
        return max(-self.growth_of(gpu), learned + unsure) + priced.build.margin.get(gpu.name, 0)

    def margins(self, machine: Machine, priced: Footprint, prompt_cache: int) -> tuple[Margin, ...]:
        """What one process keeps on every GPU in use, and of RAM where its size is known.

        ``prompt_cache`` bytes of RAM are promised to llama-server (``--cache-ram``). RAM also keeps what is kept on a
        GPU that draws on it.
        """
        used = {pool.name: pool.used for pool in priced.pools}
        gpus = tuple(
            Margin(
                pool=gpu.name,
                capacity=gpu.room,
                used=used[gpu.name],
                context=self.context_of(gpu, priced),
                growth=self.growth_of(gpu) + self._unsure(gpu, priced),
                parts=priced.process[gpu.name].parts if gpu.name in priced.process else {},
            )
            for gpu in machine.gpus
            if used.get(gpu.name)
        )
        if machine.ram is None:
            return gpus
        drawing = [margin for margin in gpus if machine.gpu(margin.pool).draws_on_ram]
        devices = {gpu.name for gpu in machine.gpus}
        on_host = sum(size for name, size in priced.build.margin.items() if name not in devices)
        ram = Margin(
            pool=RAM,
            capacity=machine.ram,
            used=used[RAM] + priced.output_buffer,
            context=prompt_cache + sum(margin.context for margin in drawing),
            growth=self.ram + sum(margin.growth for margin in drawing) + on_host,
        )
        return (*gpus, ram)

    @property
    def each(self) -> int:
        """Bytes that every process takes of a GPU several share: a context, and room for its own pools."""
        return self._context + _FURTHER

    def shared(self, gpu: Gpu, growth: int | None = None) -> int:
        """Bytes of ``gpu`` for processes that take their buffers, ``each`` and what is ``beyond`` their price.

        With one process this is its margin; ``growth`` bytes stay free instead of the policy's.
        """
        kept = self.growth_of(gpu) if growth is None else growth
        return gpu.room - self.context_of(gpu) - kept + self.each

    def seen_alone(self, gpu: Gpu, room: int) -> Gpu:
        """``gpu`` as a plan for one process should see it, to take at most ``room`` bytes of ``shared``."""
        reserved = tuple(item for item in gpu.reserved if item.kind is not ReservationKind.CUDA_CONTEXT)
        free = room - self.each + self._context + self.growth_of(gpu) if room > self.each else 0
        return replace(gpu, free=free, reserved=reserved, beside=None)

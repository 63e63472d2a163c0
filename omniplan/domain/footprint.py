"""What a placement takes: bytes per buffer type, layers per device, splits, and whether it fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from omniplan.documents.record import Record
from omniplan.domain.build import PricedBuild
from omniplan.domain.evidence import Assumption
from omniplan.domain.process import ProcessShare

# The pool of everything that is on no GPU.
RAM: Final = "RAM"


class ComputePart(StrEnum):
    """Named parts of a compute buffer, and the flag each answers to."""

    MASKS = "attention masks"  # -c, -ub, -np
    OFFLOAD = "offloaded weights"  # weights on the CPU; --no-op-offload
    KV_COPIES = "f16 copies of K and V"  # -ctk, -ctv with -fa on
    ACTIVATIONS = "activations"  # -ub
    INPUTS = "other inputs"
    PIPELINE = "pipeline copies"  # several GPUs without -ot
    GAPS = "gaps"  # freed in an order that leaves holes


class BufferColumn(StrEnum):
    """llama.cpp's three columns of memory, and the logits' buffer, which it counts in none."""

    MODEL = "model"
    CONTEXT = "context"
    COMPUTE = "compute"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferSize(Record):
    """llama.cpp's three columns for one buffer type, in bytes."""

    model: int = 0
    context: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        """All three."""
        return self.model + self.context + self.compute

    def __add__(self, other: BufferSize) -> BufferSize:
        """Column by column."""
        return BufferSize(
            model=self.model + other.model,
            context=self.context + other.context,
            compute=self.compute + other.compute,
        )


class ContextKind(StrEnum):
    """What one part of a process is there for: the model itself, or what stands beside it."""

    MAIN = "main"
    DRAFT = "draft"
    MTP = "mtp"
    PROJECTOR = "projector"
    ADAPTERS = "adapters"
    EXPERT_CACHE = "expert cache"


def sum_of(contexts: Iterable[Mapping[str, BufferSize]]) -> dict[str, BufferSize]:
    """What contexts take together, by buffer type."""
    total: defaultdict[str, BufferSize] = defaultdict(BufferSize)
    for buffers in contexts:
        for name, size in buffers.items():
            total[name] += size
    return dict(total)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSplits(Record):
    """Pieces the scheduler cuts the graph into, for a prompt batch and for one token per sequence."""

    prefill: int
    decode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One physical memory, or the share of RAM that one GPU may take.

    Bytes are ``free`` before the model loads (None when unknown) and ``used`` by it, on all ``members``: the devices
    that draw on it, "CPU" for what is on no GPU. ``endpoint`` is the address of the host that has it, empty for this
    one.
    """

    name: str
    free: int | None
    used: int
    members: tuple[str, ...]
    endpoint: str = ""

    @property
    def label(self) -> str:
        """Its name, with the devices that share it, or where it is."""
        if self.endpoint:
            return f"{self.name} at {self.endpoint}"
        return self.name if len(self.members) < 2 else f"{self.name}, shared by {' and '.join(self.members)}"

    @property
    def left(self) -> int | None:
        """Bytes left over; negative when short."""
        return None if self.free is None else self.free - self.used


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """Something that takes part in a process and whose bytes no figure holds, so that nobody knows whether it fits.

    ``subject`` is the flag or device that brings it in, ``what`` is missing or taken for something else.
    ``only_adds`` says that the figures are right as far as they go: the rest comes on top. ``keeps_weights`` says the
    same of weights and caches alone.
    """

    subject: str
    what: str
    source: str
    only_adds: bool = True
    keeps_weights: bool = False


def fits(shortfall: Mapping[str, int], unpriced: Sequence[Unpriced], *, is_held_short: bool) -> bool | None:
    """Whether nothing is short; None where what is not priced may decide it.

    ``is_held_short``: weights and caches alone are more than a pool has.
    """
    if shortfall and all(item.only_adds or (is_held_short and item.keeps_weights) for item in unpriced):
        return False
    return None if unpriced else True


def best(verdicts: Iterable[bool | None]) -> bool | None:
    """Whether any is good; None where only one that is not known may be."""
    found = set(verdicts)
    return True if True in found else None if None in found else False


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint(Record):
    """The price of one process in bytes, for the build ``llama_cpp``; ``build`` says whose rules counted them.

    ``buffers`` is keyed by llama.cpp's names ("CUDA0", "CUDA_Host", "CPU") and the sum over ``contexts``; the rest is
    of the main context. ``layers`` is the device of each layer, output layer last. ``output_buffer`` is the logits
    buffer, which llama.cpp counts in no column; nor does it count the ``n_checkpoints`` of at most ``checkpoint`` bytes
    that slots save in RAM as prompts come. ``is_graph_known`` is false where compute buffers are those of a graph
    that is only like the model's. ``process`` is what CUDA takes of each card beside the buffers; no pool counts it as
    used, a plan keeps it free. ``fits`` says whether every pool of known size holds its share, None where ``unpriced``
    leaves that open.
    """

    build: PricedBuild
    layers: tuple[str, ...]
    contexts: Mapping[ContextKind, Mapping[str, BufferSize]]
    buffers: Mapping[str, BufferSize]
    graph_splits: GraphSplits | None
    pools: tuple[Pool, ...]
    n_ctx: int
    n_ctx_seq: int
    n_seq_max: int
    n_ubatch: int
    flash_attn: bool
    n_nodes: int = 0
    sched_copies: int = 1
    output_buffer: int = 0
    checkpoint: int = 0
    n_checkpoints: int = 0
    compute_parts: Mapping[str, Mapping[ComputePart, int]] = field(default_factory=dict)
    assumptions: tuple[Assumption, ...] = ()
    is_graph_known: bool = True
    process: Mapping[str, ProcessShare] = field(default_factory=dict)
    unpriced: tuple[Unpriced, ...] = ()
    fits: bool | None = field(init=False)

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        object.__setattr__(self, "fits", fits(self.shortfall, self.unpriced, is_held_short=self._is_held_short))

    @property
    def _is_held_short(self) -> bool:
        """Whether any pool has less free than weights and caches take of it."""
        held = {name: size.model + size.context for name, size in self.buffers.items()}
        on_gpus = {pool.name: held.get(pool.name, 0) for pool in self.pools if pool.name != RAM}
        host = sum(held.values()) - sum(on_gpus.values())
        known = [(pool, pool.free) for pool in self.pools if pool.free is not None]
        return any(sum(on_gpus.get(name, host) for name in pool.members) > free for pool, free in known)

    @property
    def shortfall(self) -> dict[str, int]:
        """Missing bytes by pool, only pools that are short."""
        return {pool.name: -pool.left for pool in self.pools if pool.left is not None and pool.left < 0}

    @property
    def vram(self) -> dict[str, int]:
        """Bytes of the process on every card that CUDA sees, as nvidia-smi shows them: buffers and what CUDA takes."""
        sizes = self.buffers
        return {name: share.total + (sizes[name].total if name in sizes else 0) for name, share in self.process.items()}

    def reserved(self, buffer: str) -> int:
        """Bytes of a buffer type beside the model's own layers and caches: its compute buffer, and other parts."""
        main = self.contexts[ContextKind.MAIN].get(buffer, BufferSize())
        return self.buffers[buffer].total - main.model - main.context

    @property
    def llama_cpp(self) -> str:
        """The build that was asked for."""
        return self.build.asked

    @property
    def source(self) -> str:
        """Where the figures come from."""
        return f"simulation of llama.cpp {self.build.priced}"

"""What llama.cpp itself counts for a plan, beside what the plan says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from omniplan.documents.record import Record
from omniplan.domain.footprint import BufferSize, ContextKind, Footprint, GraphSplits, sum_of
from omniplan.units import MIB

COLUMNS: Final = ("model", "context", "compute")
# Nothing that llama.cpp prints or a headroom keeps is finer; llama.cpp's own figures move by less from build to build.
TOLERANCE: Final = MIB
# Parts of a process that llama.cpp counts by themselves; the others are in the breakdown of the main context.
_APART: Final = (ContextKind.DRAFT, ContextKind.MTP, ContextKind.PROJECTOR, ContextKind.ADAPTERS)
# A graph has a split or more.
_UNTOLD: Final = GraphSplits(prefill=0, decode=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One count of a placement; None or empty is what the counter does not tell.

    ``buffers`` are bytes by llama.cpp's names of buffer types, or by device with "Host" for all RAM, and ``beside``
    those of the contexts that stand beside the main one. ``layers`` are the
    devices of the layers, output last; ``sched_copies`` the pipeline copies.
    """

    buffers: Mapping[str, BufferSize]
    beside: Mapping[ContextKind, Mapping[str, BufferSize]] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    graph_splits: GraphSplits | None = None
    sched_copies: int | None = None
    n_ctx: int | None = None

    @classmethod
    def of(cls, priced: Footprint) -> Tally:
        """What a footprint says of the same."""
        return cls(
            buffers=sum_of(sizes for kind, sizes in priced.contexts.items() if kind not in _APART),
            beside={kind: _told(kind, sizes) for kind, sizes in priced.contexts.items() if kind in _APART},
            layers=priced.layers,
            graph_splits=priced.graph_splits,
            sched_copies=priced.sched_copies,
            n_ctx=priced.n_ctx,
        )

    @property
    def facts(self) -> dict[str, int | str | None]:
        """What is told beside bytes, by name; layers as runs, "CUDA0*33 CUDA1*14"."""
        splits = self.graph_splits or _UNTOLD
        return {
            "layers": " ".join(f"{name}*{len(list(run))}" for name, run in groupby(self.layers)) or None,
            "splits, prompt batch": splits.prefill or None,
            "splits, one token": splits.decode or None,
            "pipeline copies": self.sched_copies,
            "context": self.n_ctx,
        }


def _told(kind: ContextKind, sizes: Mapping[str, BufferSize]) -> Mapping[str, BufferSize]:
    """``sizes`` as llama.cpp tells them: a projector's weights and buffer are one figure, adapters are only printed."""
    if kind is ContextKind.ADAPTERS:
        return {name: BufferSize(model=printed(size.model / MIB)) for name, size in sizes.items()}
    if kind is not ContextKind.PROJECTOR:
        return sizes
    return {name: BufferSize(compute=size.total) for name, size in sizes.items()}


def printed(mib: float) -> int:
    """Bytes of a size that is printed in hundredths of a MiB."""
    return round(round(mib, 2) * MIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure twice, as the plan has it and as llama.cpp counts it; ``is_bytes`` tells bytes from counts."""

    what: str
    planned: int | str
    counted: int | str
    agrees: bool
    is_bytes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Record):
    """llama.cpp's word on a plan.

    ``llama_cpp`` is the build the plan is for; ``source`` says which one was asked, and how. ``refused`` is its reason
    when it does not take the arguments, and empty otherwise; ``notes`` say what the count does not cover.
    ``resolution`` is the size in bytes of the steps in which the source counts. ``seconds`` is how long it took.
    """

    model: str
    machine: str
    args: tuple[str, ...]
    llama_cpp: str
    source: str
    resolution: int
    checks: tuple[Check, ...]
    refused: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def differences(self) -> tuple[str, ...]:
        """What llama.cpp counts otherwise than the plan."""
        return tuple(check.what for check in self.checks if not check.agrees)

    @property
    def agrees(self) -> bool:
        """Whether llama.cpp takes the arguments and counts what the plan says."""
        return not self.refused and not self.differences


def compare(planned: Tally, counted: Tally, *, resolution: int = 1) -> tuple[Check, ...]:
    """Both counts side by side, figure by figure; what one of them does not tell is left out.

    A buffer that only one of them knows is empty in the other. Bytes are rounded down to multiples of ``resolution``
    and agree when they are less than a MiB apart; everything else has to be equal.
    """
    beside = [
        check
        for kind in dict.fromkeys((*planned.beside, *counted.beside))
        for check in _sizes(planned.beside.get(kind, {}), counted.beside.get(kind, {}), resolution, f"{kind}: ")
    ]
    return (*_sizes(planned.buffers, counted.buffers, resolution), *beside, *_facts(planned, counted))


def _sizes(
    planned: Mapping[str, BufferSize], counted: Mapping[str, BufferSize], resolution: int, of: str = ""
) -> Iterator[Check]:
    empty = BufferSize()
    for name in dict.fromkeys((*planned, *counted)):
        ours, theirs = planned.get(name, empty), counted.get(name, empty)
        for column in COLUMNS:
            a, b = (getattr(size, column) // resolution * resolution for size in (ours, theirs))
            agrees = abs(b - a) < TOLERANCE
            yield Check(what=f"{of}{name} {column}", planned=a, counted=b, agrees=agrees, is_bytes=True)


def _facts(planned: Tally, counted: Tally) -> Iterator[Check]:
    theirs = counted.facts
    for what, ours in planned.facts.items():
        told = theirs[what]
        if ours is not None and told is not None:
            yield Check(what=what, planned=ours, counted=told, agrees=ours == told)

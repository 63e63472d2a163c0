"""What llama.cpp itself counts for a plan, beside what the plan says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from omniplan.domain.as_json import as_json
from omniplan.domain.footprint import BufferSize, Footprint, GraphSplits

COLUMNS = ("model", "context", "compute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One count of a placement; None or empty is what the counter does not tell.

    ``buffers`` are bytes by llama.cpp's names of buffer types, or by device with "Host" for all RAM. ``layers`` are the
    devices of the layers, output last; ``sched_copies`` the pipeline copies.
    """

    buffers: Mapping[str, BufferSize]
    layers: tuple[str, ...] = ()
    graph_splits: GraphSplits | None = None
    sched_copies: int | None = None
    n_ctx: int | None = None

    @classmethod
    def of(cls, priced: Footprint) -> Tally:
        """What a footprint says of the same."""
        return cls(
            buffers=priced.buffers,
            layers=priced.layers,
            graph_splits=priced.graph_splits,
            sched_copies=priced.sched_copies,
            n_ctx=priced.n_ctx,
        )

    @property
    def facts(self) -> dict[str, int | str | None]:
        """What is told beside bytes, by name; layers as runs, "CUDA0*33 CUDA1*14"."""
        splits = self.graph_splits
        return {
            "layers": " ".join(f"{name}*{len(list(run))}" for name, run in groupby(self.layers)) or None,
            "splits, prompt batch": splits and splits.prefill,
            "splits, one token": splits and splits.decode,
            "pipeline copies": self.sched_copies,
            "context": self.n_ctx,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure twice, as the plan has it and as llama.cpp counts it; ``is_bytes`` tells bytes from counts."""

    what: str
    planned: int | str
    counted: int | str
    agrees: bool
    is_bytes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """llama.cpp's word on a plan.

    ``source`` says which llama.cpp was asked and how. ``refused`` is its reason when it takes the arguments for no
    answer, and empty otherwise; ``notes`` say what was not compared. ``resolution`` is the size in bytes below which
    the source cannot tell two figures apart.
    """

    model: str
    machine: str
    args: tuple[str, ...]
    source: str
    resolution: int
    checks: tuple[Check, ...]
    refused: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether llama.cpp takes the arguments and counts what the plan says."""
        return not self.refused and all(check.agrees for check in self.checks)

    def to_json(self) -> str:
        """The certificate as JSON."""
        return as_json(self)


def compare(planned: Tally, counted: Tally, *, resolution: int = 1) -> tuple[Check, ...]:
    """Both counts side by side, figure by figure; what one of them does not tell is left out.

    A buffer that only one of them knows is empty in the other. Bytes are compared in whole multiples of
    ``resolution``, rounded down.
    """
    return (*_sizes(planned, counted, resolution), *_facts(planned, counted))


def _sizes(planned: Tally, counted: Tally, resolution: int) -> Iterator[Check]:
    empty = BufferSize()
    for name in dict.fromkeys((*planned.buffers, *counted.buffers)):
        ours, theirs = planned.buffers.get(name, empty), counted.buffers.get(name, empty)
        for column in COLUMNS:
            a, b = getattr(ours, column), getattr(theirs, column)
            agrees = a // resolution == b // resolution
            yield Check(what=f"{name} {column}", planned=a, counted=b, agrees=agrees, is_bytes=True)


def _facts(planned: Tally, counted: Tally) -> Iterator[Check]:
    theirs = counted.facts
    for what, ours in planned.facts.items():
        told = theirs[what]
        if ours is not None and told is not None:
            yield Check(what=what, planned=ours, counted=told, agrees=ours == told)

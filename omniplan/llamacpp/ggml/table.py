"""Back ends as values: the plain facts of ``data/backends.toml`` with the functions of a back end's own module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from omniplan.documents.column import Count, Mib, Name, Words
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.source import read_table
from omniplan.llamacpp.ggml.backend import Backend, Optimizer
from omniplan.llamacpp.ggml.buffers import ENDLESS, BufferType
from omniplan.llamacpp.graph.node import Node

_FILE = "backends.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRow:
    """One back end; the head of the table explains the fields."""

    name: Name
    device: str
    source: str
    host: str = ""
    host_alignment: Count = 1
    alignment: Count = 1
    row_padding: Count = 1
    largest: Mib | None = None
    offload_batch: Count | None = None
    reads_min_batch: bool = False
    offload_ops: Words = ()
    pipelines: bool = False
    pipelines_since: Count = 0
    in_place: bool = False
    reads_per_head: bool = False
    integrated: bool = True
    integrated_maps: bool = False
    since: Mapping[str, Count] = FrozenMapping()


@cache
def rows() -> Mapping[str, BackendRow]:
    """Every back end by its word in machine files, priced or not; raises TableError."""
    return read_table(_FILE, Mapping[str, BackendRow], is_whole=False)  # type: ignore[type-abstract]


def backend(
    name: str,
    *,
    buffer: str = "",
    supports: Callable[[Node], bool],
    scratch: Callable[[Node, int], int] = lambda *_: 0,
    optimizer: type[Optimizer] | None = None,
) -> Backend:
    """The back end of the row ``name``; its memory is called ``buffer``, or like the device where that is empty."""
    row = rows()[name]
    largest = row.largest or ENDLESS
    host = BufferType(name=row.host, alignment=row.host_alignment, max_size=largest) if row.host else None
    return Backend(
        name=name,
        memory=BufferType(name=buffer, alignment=row.alignment, row_padding=row.row_padding, max_size=largest),
        host=host,
        supports=supports,
        scratch=scratch,
        offload_batch=row.offload_batch,
        reads_min_batch=row.reads_min_batch,
        offload_ops=frozenset(row.offload_ops),
        optimizer=optimizer,
        pipelines=row.pipelines,
        pipelines_since=row.pipelines_since,
        in_place=row.in_place,
        reads_per_head=row.reads_per_head,
        integrated_maps=row.integrated_maps,
    )

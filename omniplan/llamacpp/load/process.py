"""What CUDA takes of every card that it sees beside llama.cpp's buffers (``data/cuda.toml``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Final

from omniplan.documents.column import Column, Count, Mib, Positive
from omniplan.documents.source import read_table
from omniplan.domain.footprint import BufferSize, ContextKind
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.params import LoadMode, ServerParams, SplitMode
from omniplan.domain.process import ProcessPart, ProcessShare
from omniplan.llamacpp.ggml.cuda import CUDA, HOST
from omniplan.llamacpp.ggml.registry import backend_name
from omniplan.machines.gpus import find_gpu
from omniplan.units import MIB

# With mmap weights stay in the page cache, which no driver maps (src/llama-model-loader.cpp: create_tensor).
_PINNING: Final = (LoadMode.NONE, LoadMode.DIO, LoadMode.MLOCK)
_DRAFTING: Final = (ContextKind.DRAFT, ContextKind.MTP)

Contexts = Mapping[ContextKind, Mapping[str, BufferSize]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """One kind of card; the head of the table explains the fields."""

    context: Mib
    kernels: Mib
    requests: Mib
    low: Mib
    high: Mib
    source: str
    driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRow:
    """Cards without a row, in MiB per multiprocessor."""

    context: Annotated[Positive, Column(suffix="mib")]
    low: Annotated[Positive, Column(suffix="mib")]
    high: Annotated[Positive, Column(suffix="mib")]
    kernels: Mib
    requests: Mib
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    """What is the same on every card."""

    second: Mib
    divided: Mib
    client: Mib
    most_clients: Count
    page_bytes: Count
    page_size: Count
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaTable:
    """The whole table."""

    card: Mapping[str, CardRow]
    other: OtherRow
    unknown: CardRow
    process: ProcessRow


@cache
def table() -> CudaTable:
    """The rows; raises TableError."""
    return read_table("cuda.toml", CudaTable)


def process(machine: Machine, params: ServerParams, contexts: Contexts) -> dict[str, ProcessShare]:
    """What each CUDA card of ``machine`` gives to a process beside ``contexts``, cards without a layer too."""
    page = table().process
    tables = pinned(params, contexts) // page.page_size * page.page_bytes
    # Pinned RAM is mapped into the cards of its own host.
    return {
        gpu.name: _share(gpu, {**_used(gpu, params, contexts), ProcessPart.PAGE_TABLES: 0 if gpu.endpoint else tables})
        for gpu in machine.gpus
        if backend_name(gpu) == CUDA.name
    }


def pinned(params: ServerParams, contexts: Contexts) -> int:
    """Bytes of RAM that the driver maps into every card: what llama.cpp asks of CUDA's host memory."""
    held = [sizes[HOST.name] for sizes in contexts.values() if HOST.name in sizes]
    weights = sum(size.model for size in held) if params.load_mode in _PINNING else 0
    return weights + sum(size.context + size.compute for size in held)


def _used(gpu: Gpu, params: ServerParams, contexts: Contexts) -> dict[ProcessPart, int]:
    """What a card takes for the work it is given."""
    row, card = table().process, _card(gpu.description, gpu.total)[0]
    touched = {kind for kind, sizes in contexts.items() if gpu.name in sizes and sizes[gpu.name].total}
    parts = {ProcessPart.CONTEXT: card.context}
    if ContextKind.MAIN not in touched:
        return parts
    clients = min(params.n_seq_max, row.most_clients) - 1
    is_divided = params.split_mode is SplitMode.TENSOR and len(_cards(contexts)) > 1
    return parts | {
        ProcessPart.KERNELS: card.kernels,
        ProcessPart.REQUESTS: card.requests,
        ProcessPart.SECOND: row.second * len(touched.intersection(_DRAFTING)),
        ProcessPart.DIVIDED: row.divided * is_divided,
        ProcessPart.CLIENTS: row.client * clients,
    }


def _cards(contexts: Contexts) -> set[str]:
    return {name for name, size in contexts[ContextKind.MAIN].items() if size.total and name[-1:].isdigit()}


def _share(gpu: Gpu, parts: Mapping[ProcessPart, int]) -> ProcessShare:
    card, is_measured = _card(gpu.description, gpu.total)
    usual = card.context + card.kernels + card.requests
    total = sum(parts.values())
    return ProcessShare(
        parts={part: size for part, size in parts.items() if size},
        low=max(0, total - max(0, usual - card.low)),
        high=total + max(0, card.high - usual),
        is_measured=is_measured,
        source=card.source,
    )


@lru_cache(maxsize=256)
def _card(description: str, total: int) -> tuple[CardRow, bool]:
    """The row of a card, and whether it was measured."""
    rows, known = table(), find_gpu(description, total)
    if known and known.name in rows.card:
        return rows.card[known.name], True
    if known is None or not known.multiprocessors:
        return rows.unknown, False
    return _estimated(rows.other, known.multiprocessors), False


def _estimated(row: OtherRow, multiprocessors: int) -> CardRow:
    work = row.kernels + row.requests
    context, low, high = (round(size * multiprocessors) * MIB for size in (row.context, row.low, row.high))
    return CardRow(
        context=context,
        kernels=row.kernels,
        requests=row.requests,
        low=low + work,
        high=high + work,
        source=row.source,
    )

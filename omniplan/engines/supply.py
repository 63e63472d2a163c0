"""Whether the weights an engine starts from are at hand, and if not, whether the disk holds the download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.domain.model import Model
from omniplan.engines.facts import WeightGroups
from omniplan.engines.site import Site
from omniplan.engines.table import PublishedRow, WayRow, engine_table
from omniplan.engines.values import Effect, EngineFinding
from omniplan.units import gib

# Bits per weight of the formats engines read.
_BITS: Final[Mapping[str, float]] = {"bf16": 16, "fp16": 16, "fp8": 8, "nvfp4": 4.5, "exl3": 4}


def supply(way: WayRow, model: Model, weights: WeightGroups, site: Site) -> Iterator[EngineFinding]:
    """What is missing of the weights, and what that means for the disk; the GGUF is there unless the site denies it."""
    has_gguf = site.weights is None or "gguf" in site.weights
    wants_gguf = way.needs_gguf or "gguf" in way.reads
    if wants_gguf and not has_gguf:
        yield _missing("the GGUF file", model.header.file_bytes, "", site, way.source)
    if not way.reads or "gguf" in way.reads:
        return
    row = _published(model, way)
    download = row.size if row else round(weights.total * min(_BITS[name] for name in way.reads) / 8)
    is_missing = site.weights is None or not set(way.reads) & set(site.weights)
    if is_missing:
        published = f", as published in {row.format.upper()}" if row else ""
        wanted = f"weights in {', '.join(name.upper() for name in way.reads)}"
        yield _missing(wanted, download, published, site, row.source if row else way.source)
    made = weights.expert_size(way.cpu_bits) if way.converts else 0
    yield from _disk(download if is_missing else 0, made, site)


def _missing(wanted: str, size: int, published: str, site: Site, source: str) -> EngineFinding:
    """Weights that are not on the host, or not known to be."""
    is_known = site.weights is not None
    only = f"there is only {', '.join(site.weights or ()) or 'nothing'}"
    return EngineFinding(
        rule="weights",
        effect=Effect.BLOCKS if is_known else Effect.CONDITION,
        statement=f"it starts from {wanted}, and {only if is_known else 'whether the host has them is unknown'}",
        remedy=f"download {gib(size)} ({size / 1e9:,.0f} GB{published})",
        source=source,
    )


def _disk(download: int, made: int, site: Site) -> Iterator[EngineFinding]:
    needed = download + made
    if not needed:
        return
    parts = ", ".join(text for size, text in ((download, "download"), (made, "converted experts")) if size)
    statement = f"{gib(needed)} of disk for {parts}"
    if site.disk_free is None:
        yield EngineFinding(rule="disk", effect=Effect.CONDITION, statement=f"{statement}; free space unknown")
    elif site.disk_free < needed:
        remedy = f"free {gib(needed - site.disk_free)}"
        statement += f", {gib(site.disk_free)} free"
        yield EngineFinding(rule="disk", effect=Effect.BLOCKS, statement=statement, remedy=remedy)
    else:
        yield EngineFinding(rule="disk", effect=Effect.NOTE, statement=f"{statement}, {gib(site.disk_free)} free")


def _published(model: Model, way: WayRow) -> PublishedRow | None:
    h = model.hparams
    return next(
        (
            row
            for row in engine_table().published
            if model.arch in row.arch
            and (h.n_embd, h.n_expert) == (row.n_embd, row.n_expert)
            and row.format in way.reads
        ),
        None,
    )

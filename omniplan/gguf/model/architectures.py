"""Rows of ``data/architectures.toml``: what an architecture's header may leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from omniplan.documents.column import Words
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.source import read_table
from omniplan.domain.model import Model

_FILE = "architectures.toml"


class MemoryKind(StrEnum):
    """What llama.cpp's ``create_memory`` builds for an architecture."""

    KV = "kv"
    NONE = "none"
    RECURRENT = "recurrent"
    HYBRID = "hybrid"
    HYBRID_ALL = "hybrid_all"
    HYBRID_NO_FF = "hybrid_no_ff"
    HYBRID_IDX = "hybrid_idx"
    DSA = "dsa"
    DSA_ISWA = "dsa_iswa"
    DSV4 = "dsv4"
    MSA = "msa"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwaRow:
    """Which layers slide, and over how many tokens; see the comment at the head of the table."""

    period: int = 1
    dense_first: bool = False
    n_swa: int = 0
    fixed: bool = False
    if_positive: bool = False
    unless_zero: bool = False
    if_n_layer: int = 0
    from_header: bool = False
    attention_layers: bool = False
    chunked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchRow:
    """Facts about one architecture; the defaults are llama.cpp's general rule."""

    swa: SwaRow | None = None
    recurrent: str = ""
    interval: int = 0
    memory: MemoryKind = MemoryKind.KV
    causal: bool = True
    skips_nextn: bool = False
    mtp: bool = False
    several_heads: bool = False
    nextn_loaded: Words = ()
    nextn_cached: bool = False
    n_layer_kv_from_start: int = -1
    shared_kv_layers: bool = False
    embedding_twice: bool = False
    no_output: bool = False
    embedding_norm_is_output: bool = False
    factors_on_full: bool = False
    lazy_rows: bool = False
    indexer_rows: int = 1
    indexer_full: str = ""
    value_length: str = ""
    linear_attention: bool = False
    loops: bool = False
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    fused_clamp: tuple[str, ...] = ()
    shared_clamp_as_routed: bool = False
    mixed_batch: bool = True
    flash_attention: bool = True
    whole_sequences: bool = False
    rollback: bool = False
    drafts: str = ""
    reserves_one_sequence: bool = False
    lone_expert_is_dense: bool = False
    scanned: bool = False
    inputs: Words = ()
    window_array: bool = False
    rank_act: str = "TANH"
    rank_softmax: bool = False
    rank_mean: bool = False
    graph_nodes: tuple[int, int] = (0, 8)
    not_a_model: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchDefault:
    """What rows have that do not say otherwise, and header keys of any architecture that a graph is unrolled by."""

    source: str
    repeats: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchTable:
    """The whole table."""

    default: ArchDefault
    arch: Mapping[str, ArchRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """When llama.cpp learned an architecture: not in build ``last`` yet, and in build ``until``."""

    last: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchNames:
    """``data/architecture_names.toml``; ``later`` is by the first build that is known to have them."""

    source: str
    names: Words
    came: Mapping[str, Came] = FrozenMapping()


@cache
def rows() -> dict[str, ArchRow]:
    """Every row by architecture name; raises TableError on an unknown key or value."""
    table = read_table(_FILE, ArchTable)
    return {name: replace(row, source=row.source or table.default.source) for name, row in table.arch.items()}


def row(arch: str) -> ArchRow:
    """The row of ``arch``, or the general rule."""
    return rows().get(arch, ArchRow())


@cache
def came() -> Mapping[str, Came]:
    """Architectures that the oldest build with rules does not know yet."""
    return read_table("architecture_names.toml", ArchNames).came


def row_of(model: Model) -> ArchRow:
    """The row of a model's architecture as the build has it that the model is read for."""
    found = row(model.arch)
    return replace(found, **model.loader_facts) if model.loader_facts else found  # type: ignore[arg-type]


@cache
def repeats() -> tuple[str, ...]:
    """Header keys of any architecture that a graph is unrolled by."""
    return read_table(_FILE, ArchTable).default.repeats


@cache
def selective_keys() -> frozenset[str]:
    """Header keys that mean nothing unless the architecture's row says that its loader reads them."""
    return frozenset(key for row in rows().values() for key in row.reads)


@cache
def known() -> frozenset[str]:
    """Names of all architectures that a known build of llama.cpp has."""
    return frozenset(read_table("architecture_names.toml", ArchNames).names) | came().keys()

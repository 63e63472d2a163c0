"""Builds of llama.cpp as values: what each does otherwise than the build it is based on (``data/builds.toml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, TypeVar

from omniplan.documents.column import Count
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import plain, read
from omniplan.documents.source import read_table
from omniplan.errors import InputError, TableError

_FILE: Final = "builds.toml"
Facts = TypeVar("Facts", "Fusions", "Rules")
_NAME: Final = re.compile(r"b?(\d{3,6})", re.ASCII)
# "ghcr.io/ggml-org/llama.cpp:server-cuda-b10505", "server-b10505@sha256:...".
_TAG: Final = re.compile(r"[\w./:-]{0,200}?[:-]b(\d{3,6})(?:@sha256:[0-9a-f]{0,64})?", re.ASCII)
# What stands beside the facts of an architecture: see ``RuleRow``.
BESIDE: Final = ("source", "last", "until")
# The newest build with rows of its own.
LATEST: Final = "latest known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusions:
    """Runs of nodes that CUDA's fused kernels tie together, as the head of the table explains them."""

    shared_experts: bool = False
    reduced_experts: int = 0
    routing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What builds do one way or another, as b11434 does it.

    mixed_inputs: a batch may hold tokens and vectors, so that embeddings are chosen of three inputs, not of two.
    copies_unread_inputs: with pipeline copies also those inputs are there several times that no node reads.
    scales_token_rows: embeddings scaled by the architecture are multiplied row by row, else all by one number.
    gathers_states_at_once: states of the batch and of other sequences are read together, else apart.
    reserves_all_rows: buffers are reserved for logits of every token, whatever the context asks for.
    reads_window_arrays: every loader takes an array that says which layers slide, else only those that need one.
    ropes_whole_heads: rotary positions are added to the end of whole heads, else to that end as a part of its own.
    fuses_indexers: an indexer's scores are one operation, else products that are summed up.
    projects_flat: Mamba 2 multiplies rows of tokens by its weights, not one matrix per sequence.
    casts_masks: masks are given as f32 and cast where flash attention wants f16, else given as f16.
    indexes_caches: K and V are written through indices of cells, else copied into a view.
    rotates_caches: quantised K and V are rotated.
    keeps_latent_v: the cache of latent attention holds V too, which is a part of K.
    asks_about_delta_nets: their kernel is given up for prompts where it would run away from the device of a layer.
    pads_batches: attention without a cache fills K, V and the mask up to a multiple of 256 rows.
    drops_pooled_logits: a context that pools rows computes no logits.
    mixes_cache_types: CUDA's attention takes K and V of different types.
    attends_odd_quants: it takes K and V of q4_1, q5_0 and q5_1.
    attends_192: it takes heads of 192.
    copies_quants: f16 copies of quantised K and V lie behind its result.
    looks_up_quants: CUDA looks up rows of k-quants and i-quants.
    scans_96: CUDA scans Mamba 2's states of 96.
    reads_gaps: CUDA's unary operations and rolls read operands with gaps.
    """

    mixed_inputs: bool = True
    copies_unread_inputs: bool = True
    scales_token_rows: bool = True
    gathers_states_at_once: bool = True
    reserves_all_rows: bool = False
    reads_window_arrays: bool = True
    ropes_whole_heads: bool = True
    fuses_indexers: bool = True
    projects_flat: bool = True
    casts_masks: bool = False
    indexes_caches: bool = True
    rotates_caches: bool = True
    keeps_latent_v: bool = False
    asks_about_delta_nets: bool = False
    pads_batches: bool = False
    drops_pooled_logits: bool = False
    mixes_cache_types: bool = True
    attends_odd_quants: bool = True
    attends_192: bool = True
    copies_quants: bool = True
    looks_up_quants: bool = True
    scans_96: bool = True
    reads_gaps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Build:
    """One build, as far as builds differ; there is one object per row, so that it is a cheap key of caches.

    ``graphs`` are the fields of an architecture's ``Recipe`` that have another value than in the recipe itself,
    ``loaders`` those of its row in ``architectures.toml``.
    ``moe_cache``: it can keep experts that lie in RAM in a cache on the GPUs. ``half_masks``: a projector's masks are
    given as f16.
    """

    number: int
    moe_cache: bool = False
    graphs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    loaders: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    fusions: Fusions = Fusions()
    rules: Rules = Rules()
    half_masks: bool = False

    @property
    def name(self) -> str:
        """The release, such as "b11434"."""
        return f"b{self.number}"


def build_number(name: int | str) -> int:
    """The number of a build such as 8022 or "b8022", of an image's tag, or of "latest known"; raises InputError."""
    text = str(name)
    if text == LATEST:
        return max(builds())
    match = _NAME.fullmatch(text) or _TAG.fullmatch(text)
    if not match:
        raise InputError(
            f"llama.cpp build {text[:80]!r}: expected a release such as b8022, an image's tag that ends with one, "
            f"auto, or '{LATEST}'"
        )
    return int(match[1])


def known(number: int) -> Build:
    """What is known of the build ``number``, under the number of the nearest one with rows.

    A build between two has each rule of the older one that had not changed by then; others do what the nearest does,
    of two as near the newer one.
    """
    if number in _all():
        return _all()[number]
    near = min(_all().values(), key=lambda build: (abs(build.number - number), -build.number))
    older = max((held for held in _all() if held < number), default=0)
    newer = _all().get(rows()[older].based_on or 0) if older else None
    return near if newer is None or newer.number < number else _between(number, older, newer, near.number)


def doubtful(number: int) -> tuple[int, int]:
    """Between which builds something changed of which nobody knows whether ``number`` has it; itself twice for none.

    A build outside of those with rows is in no doubt here: all of it is.
    """
    older = max((held for held in builds() if held < number), default=0)
    newer = min((held for held in builds() if held > number), default=0)
    if number in builds() or not older or not newer:
        return number, number
    if rows()[older].based_on != newer:
        return older, newer
    row = rows()[older]
    stated = [(rule.last, rule.until) for rule in (*row.rules.values(), *row.fusions.values())]
    # What is not known at all of a graph makes a verdict of its own.
    tables = (facts for facts in (*row.graphs.values(), *row.loaders.values()) if facts.get("family") != "")
    stated += [(_count(facts.get("last")), _count(facts.get("until"))) for facts in tables]
    open_at = [(last or older, until or newer) for last, until in stated]
    around = [(last, until) for last, until in open_at if last < number < until]
    return (min(last for last, _ in around), max(until for _, until in around)) if around else (number, number)


def _count(fact: object) -> int:
    return fact if isinstance(fact, int) else 0


@cache
def _between(number: int, older: int, newer: Build, name: int) -> Build:
    row, middle = rows()[older], (older, newer.number)

    def holds(last: object, until: object) -> bool:
        first, after = (_count(last), _count(until)) if until else middle
        return number - first < after - number

    kept = replace(
        row,
        fusions={key: rule for key, rule in row.fusions.items() if holds(rule.last, rule.until)},
        rules={key: rule for key, rule in row.rules.items() if holds(rule.last, rule.until)},
        graphs={key: facts for key, facts in row.graphs.items() if holds(facts.get("last"), facts.get("until"))},
        loaders={key: facts for key, facts in row.loaders.items() if holds(facts.get("last"), facts.get("until"))},
    )
    return _build(kept, name, newer)


def release(number: int) -> Build:
    """Any build, for its command line: of one without a row only the number is known."""
    return builds().get(number) or Build(number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorRow:
    """What a build's row says of the graphs of projectors."""

    source: str
    half_masks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """One of ``Rules`` or ``Fusions`` with another value than the build has that this one is based on.

    ``last`` is the last build that is known to have it, ``until`` the first that is known to have the base's; 0 where
    nobody looked.
    """

    value: bool | int | str
    source: str
    last: Count = 0
    until: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRow:
    """One row; each table of ``graphs`` has a source beside the facts.

    One that no library holds (``is_held``) makes no build known: it only says what is better than the oldest known.
    """

    source: str
    based_on: Count | None = None
    moe_cache: bool | None = None
    fusions: Mapping[str, RuleRow] = FrozenMapping()
    projectors: ProjectorRow | None = None
    graphs: Mapping[str, Mapping[str, int | float | bool | str]] = FrozenMapping()
    loaders: Mapping[str, Mapping[str, int | bool | str]] = FrozenMapping()
    rules: Mapping[str, RuleRow] = FrozenMapping()
    is_held: bool = True


@cache
def builds() -> Mapping[int, Build]:
    """Every build whose row a library holds, by number; raises TableError for a row that cannot be read."""
    return {number: build for number, build in _all().items() if rows()[number].is_held}


@cache
def _all() -> Mapping[int, Build]:
    try:
        return _builds(rows())
    except InputError as error:
        raise TableError(f"{_FILE}: {error}") from error


@cache
def rows() -> Mapping[int, BuildRow]:
    """The table itself, by number; raises TableError."""
    try:
        return _numbered(read_table(_FILE, dict[str, BuildRow]))
    except InputError as error:
        raise TableError(f"{_FILE}: {error}") from error


def _numbered(rows: Mapping[str, BuildRow]) -> Mapping[int, BuildRow]:
    return {build_number(name): row for name, row in rows.items()}


def read_builds(table: Mapping[str, object]) -> Mapping[int, Build]:
    """The builds of ``table``, each from its row and the build it is based on; raises InputError."""
    return _builds(_numbered(read(dict[str, BuildRow], table)))


def _builds(table: Mapping[int, BuildRow]) -> Mapping[int, Build]:
    found: dict[int, Build] = {}
    for number, row in table.items():
        if found and row.based_on not in found:
            problem = "is missing" if row.based_on is None else f"no build {row.based_on} stands above"
            raise InputError(f"{number}.based_on: {problem}")
        found[number] = _build(row, number, found.get(row.based_on or 0, Build(number=0)))
    return found


def _build(row: BuildRow, number: int, base: Build) -> Build:
    has_cache = base.moe_cache if row.moe_cache is None else row.moe_cache
    return replace(
        base,
        number=number,
        moe_cache=has_cache,
        graphs=_facts(base.graphs, row.graphs),
        loaders=_facts(base.loaders, row.loaders),
        fusions=_changed(base.fusions, row.fusions),
        rules=_changed(base.rules, row.rules),
        half_masks=row.projectors.half_masks if row.projectors else base.half_masks,
    )


def _changed(base: Facts, rows: Mapping[str, RuleRow]) -> Facts:
    return read(type(base), {**plain(base), **{name: row.value for name, row in rows.items()}})


def _facts(
    base: Mapping[str, Mapping[str, object]], rows: Mapping[str, Mapping[str, object]]
) -> Mapping[str, Mapping[str, object]]:
    """Facts by architecture: those of the base, then those of rows without what stands beside them."""
    found = dict(base)
    for arch, facts in rows.items():
        stated = {name: fact for name, fact in facts.items() if name not in BESIDE}
        found[arch] = {**found.get(arch, {}), **stated}
    return found

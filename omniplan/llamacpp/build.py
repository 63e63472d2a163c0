"""Builds of llama.cpp as values: what each does otherwise than the build it is based on (``data/builds.toml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from omniplan.documents.column import Count
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import plain, read
from omniplan.documents.source import read_table
from omniplan.errors import InputError, TableError

_FILE: Final = "builds.toml"
_NAME: Final = re.compile(r"b?(\d{3,6})", re.ASCII)
# "ghcr.io/ggml-org/llama.cpp:server-cuda-b10505", "server-b10505@sha256:...".
_TAG: Final = re.compile(r"[\w./:-]{0,200}?[:-]b(\d{3,6})(?:@sha256:[0-9a-f]{0,64})?", re.ASCII)
# The newest build with rows of its own.
LATEST: Final = "latest known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusions:
    """Runs of nodes that CUDA's fused kernels tie together, as the head of the table explains them."""

    shared_experts: bool = False
    reduced_experts: int = 0
    routing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Build:
    """One build, as far as builds differ; there is one object per row, so that it is a cheap key of caches.

    ``graphs`` are the fields of an architecture's ``Recipe`` that have another value than in the recipe itself.
    ``moe_cache``: it can keep experts that lie in RAM in a cache on the GPUs. ``half_masks``: a projector's masks are
    given as f16.
    """

    number: int
    moe_cache: bool = False
    graphs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    fusions: Fusions = Fusions()
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
    """The build whose bytes are known that is nearest to ``number``, of two as near the newer one."""
    return min(builds().values(), key=lambda build: (abs(build.number - number), -build.number))


def nearest(number: int) -> Build:
    """The build with a row that is nearest to ``number``, the older one of two."""
    return min(builds().values(), key=lambda build: (abs(build.number - number), build.number))


def release(number: int) -> Build:
    """Any build, for its command line: of one without a row only the number is known."""
    return builds().get(number) or Build(number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionRow:
    """What a build's row says of fusions; None is as in the build it is based on."""

    source: str
    shared_experts: bool | None = None
    reduced_experts: Count | None = None
    routing: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorRow:
    """What a build's row says of the graphs of projectors."""

    source: str
    half_masks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRow:
    """One row; each table of ``graphs`` has a source beside the facts."""

    source: str
    based_on: Count | None = None
    moe_cache: bool | None = None
    fusions: FusionRow | None = None
    projectors: ProjectorRow | None = None
    graphs: Mapping[str, Mapping[str, int | float | bool | str]] = FrozenMapping()


@cache
def builds() -> Mapping[int, Build]:
    """Every build with a row, by number; raises TableError for a row that cannot be read."""
    try:
        return _builds(read_table(_FILE, dict[str, BuildRow]))
    except InputError as error:
        raise TableError(f"{_FILE}: {error}") from error


def read_builds(table: Mapping[str, object]) -> Mapping[int, Build]:
    """The builds of ``table``, each from its row and the build it is based on; raises InputError."""
    return _builds(read(dict[str, BuildRow], table))


def _builds(rows: Mapping[str, BuildRow]) -> Mapping[int, Build]:
    found: dict[int, Build] = {}
    for name, row in rows.items():
        number = build_number(name)
        if found and row.based_on not in found:
            problem = "is missing" if row.based_on is None else f"no build {row.based_on} stands above"
            raise InputError(f"{name}.based_on: {problem}")
        found[number] = _build(row, number, found.get(row.based_on or 0, Build(number=0)))
    return found


def _build(row: BuildRow, number: int, base: Build) -> Build:
    stated = plain(row.fusions, sparse=True) if row.fusions else {}
    changes = {name: value for name, value in stated.items() if name != "source"}
    graphs = dict(base.graphs)
    for arch, facts in row.graphs.items():
        graphs[arch] = {**graphs.get(arch, {}), **{name: fact for name, fact in facts.items() if name != "source"}}
    has_cache = base.moe_cache if row.moe_cache is None else row.moe_cache
    return replace(
        base,
        number=number,
        moe_cache=has_cache,
        graphs=graphs,
        fusions=replace(base.fusions, **changes),
        half_masks=row.projectors.half_masks if row.projectors else base.half_masks,
    )

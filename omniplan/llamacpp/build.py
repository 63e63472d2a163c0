"""Builds of llama.cpp as values: what each does otherwise than the build it is based on (``data/builds.toml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.errors import InputError

_FILE: Final = "builds.toml"
_NAME: Final = re.compile(r"b?(\d{3,6})")


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
    """

    number: int
    graphs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    fusions: Fusions = Fusions()

    @property
    def name(self) -> str:
        """The release, such as "b11434"."""
        return f"b{self.number}"


def build_number(name: int | str) -> int:
    """The number of a build such as 8022 or "b8022"; raises InputError for anything else."""
    match = _NAME.fullmatch(str(name))
    if not match:
        raise InputError(f"llama.cpp build {name!r}: expected a release such as b8022")
    return int(match[1])


def known(number: int) -> Build:
    """The build whose bytes are known; raises InputError for every other number."""
    found = builds().get(number)
    if found is None:
        names = ", ".join(build.name for build in builds().values())
        raise InputError(f"llama.cpp b{number}: its bytes are not known; known are {names}")
    return found


def release(number: int) -> Build:
    """Any build, for its command line: of one without a row only the number is known."""
    return builds().get(number) or Build(number=number)


@cache
def builds() -> Mapping[int, Build]:
    """Every build with a row, by number; raises TableError for a row that cannot be read."""
    with wrong_rows(_FILE):
        return read_builds(read_table(_FILE))


def read_builds(table: Mapping[str, object]) -> Mapping[int, Build]:
    """The builds of ``table``, each from its row and the build it is based on; raises InputError."""
    found: dict[int, Build] = {}
    for name, raw in table.items():
        row = Fields.of(raw, name)
        number = build_number(name)
        found[number] = _build(row, number, _base(row, found))
    return found


def _base(row: Fields, above: Mapping[int, Build]) -> Build:
    if not above:
        return Build(number=0)
    number = row.required_count("based_on")
    if number not in above:
        raise row.error("based_on", f"no build {number} stands above")
    return above[number]


def _build(row: Fields, number: int, base: Build) -> Build:
    row.text("source")
    fusions, graphs = row.table("fusions"), row.table("graphs")
    changes = {} if graphs is None else {arch: _facts(table) for arch in graphs.raw if (table := graphs.table(arch))}
    row.done()
    return replace(
        base,
        number=number,
        graphs={**base.graphs, **{arch: {**base.graphs.get(arch, {}), **facts} for arch, facts in changes.items()}},
        fusions=base.fusions if fusions is None else _fusions(fusions, base.fusions),
    )


def _facts(row: Fields) -> Mapping[str, object]:
    row.text("source")
    return {name: value for name, value in row.raw.items() if name != "source"}


def _fusions(row: Fields, base: Fusions) -> Fusions:
    row.text("source")
    most = row.count("reduced_experts")
    found = Fusions(
        shared_experts=row.flag("shared_experts", default=base.shared_experts),
        reduced_experts=base.reduced_experts if most is None else most,
        routing=row.flag("routing", default=base.routing),
    )
    row.done()
    return found

"""What a build without rows of its own may take beyond its price, which is that of the nearest known build."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from omniplan.domain.build import BuildBasis, PricedBuild
from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import BufferSize, Pool, Unpriced
from omniplan.errors import ArgumentError, UnsupportedModel
from omniplan.llamacpp.build import Build, doubtful
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.nearest import Neighbours, drift, neighbours

_SUBJECT: Final = "llama.cpp"
_TABLES: Final = "data/builds.toml, data/drift.toml"
Sizes = Mapping[str, BufferSize]


def priced_build(number: int, sizes: Sizes, price_as: Callable[[int], Sizes]) -> PricedBuild:
    """Whose bytes ``sizes`` are for the build ``number``, and how far that one may differ.

    ``price_as`` makes the sizes of the same command as another build's: a build between two known ones may do what is
    between two builds in doubt as either of them.
    """
    where = neighbours(number)
    if where.basis is BuildBasis.KNOWN:
        return PricedBuild.known(where.build.name)
    if where.basis is BuildBasis.BETWEEN and where.other is not None:
        margin, why = _between(where, where.other, sizes, price_as)
    elif where.basis is BuildBasis.BEYOND:
        margin, why = _beyond(where, sizes)
    else:
        margin, why = (
            {},
            f"priced as {where.build.name}, the oldest build known, which is newer: what differs is not known",
        )
    asked = f"b{number}"
    return PricedBuild(asked=asked, priced=where.build.name, basis=where.basis, margin=margin, why=why)


def _between(
    where: Neighbours, other: Build, sizes: Sizes, price_as: Callable[[int], Sizes]
) -> tuple[dict[str, int], str]:
    low, high = sorted((where.build.number, other.number))
    why = f"priced by the rules of b{low} and b{high}, each as known of the builds around it"
    ends = doubtful(where.number)
    if ends[0] == ends[1]:
        return {}, why
    more: Counter[str] = Counter()
    for end in ends:
        try:
            there = price_as(end)
        except ArgumentError as error:
            return {}, f"{why}; b{end} refuses the command: {error.flag}: {error.problem}"
        except UnsupportedModel as error:
            return {}, f"{why}; b{end} refuses the model: {error}"
        more |= Counter({name: size.total - sizes.get(name, BufferSize()).total for name, size in there.items()})
    why += f"; the margin is what b{ends[0]} or b{ends[1]} takes more"
    return {name: size for name, size in more.items() if size > 0}, why


def _beyond(where: Neighbours, sizes: Sizes) -> tuple[dict[str, int], str]:
    known, beyond = drift(), where.number - where.build.number
    share = known.per_hundred * beyond / 100
    margin = {name: size for name, held in sizes.items() if (size := math.ceil(held.compute * share)) > 0}
    why = f"priced as {where.build.name}, the newest build known, which is {beyond:,} builds older; {known.text}"
    return margin, why


def assumptions(build: PricedBuild) -> Iterator[Assumption]:
    """What was taken for true of a build that is not known."""
    if build.why:
        yield Assumption(subject=f"llama.cpp {build.asked}", statement=build.kept, source=_TABLES)


def unpriced_build(number: int) -> Iterator[Unpriced]:
    """All that a build before the known ones does otherwise."""
    where = neighbours(number)
    if where.basis is BuildBasis.BEFORE:
        yield Unpriced(
            subject=_SUBJECT,
            what=f"what b{number} does otherwise than {where.build.name}, the oldest build known",
            source=_TABLES,
            only_adds=False,
            keeps_weights=True,
        )


def unpriced_margin(build: PricedBuild, pools: Sequence[Pool]) -> Iterator[Unpriced]:
    """A margin that is more than a pool has left."""
    short = [pool.label for pool in pools if pool.left is not None and 0 <= pool.left < margin_of(build, pool)]
    if short:
        yield Unpriced(
            subject=_SUBJECT,
            what=f"what {build.asked} may take beyond {build.priced}, more than is left on {' and '.join(short)}",
            source=_TABLES,
        )


def margin_of(build: PricedBuild, pool: Pool) -> int:
    """The part of the margin that ``pool`` has to hold."""
    return sum(size for name, size in build.margin.items() if _device(name) in pool.members)


def _device(name: str) -> str:
    return buffers.CPU if buffers.is_host(name) else name

"""Whose bytes a price has: the build that was asked for, the known one whose rules counted, and what may differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from omniplan.documents.record import Record
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.units import mib

# The only sign that nobody chose.
DEFAULT_NAME: Final = f"b{DEFAULT_BUILD}"


class BuildBasis(StrEnum):
    """How a build's bytes are known: it has rows of its own, or stands between, beyond or before those that do."""

    KNOWN = "known"
    BETWEEN = "between"
    BEYOND = "beyond"
    BEFORE = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedBuild(Record):
    """The build ``asked`` for, and the build ``priced``: the nearest of those whose bytes are known.

    ``margin`` is what the one asked for may take beyond the price, in bytes by buffer type; ``why`` says how the two
    stand to each other and where the margin comes from, "" where they are the same.
    """

    asked: str
    priced: str
    basis: BuildBasis = BuildBasis.KNOWN
    margin: Mapping[str, int] = field(default_factory=dict)
    why: str = ""

    @classmethod
    def known(cls, name: str) -> PricedBuild:
        """A build with rows of its own."""
        return cls(asked=name, priced=name)

    @property
    def text(self) -> str:
        """Whose bytes these are: both names, and whether nobody chose."""
        return f"Bytes: simulation of llama.cpp {self._names}"

    @property
    def kept(self) -> str:
        """``why`` with the margin."""
        sizes = ", ".join(f"{mib(size)} on {name}" for name, size in self.margin.items())
        return f"{self.why}; margin: {sizes or 'none'}"

    @property
    def _names(self) -> str:
        if self.asked != self.priced:
            return f"{self.priced}, the nearest known to {self.asked}"
        return f"{self.priced}, the default" if self.priced == DEFAULT_NAME else self.priced


def build_lines(builds: Iterable[PricedBuild]) -> list[str]:
    """Whose bytes several prices have, without their margins."""
    return list(dict.fromkeys(line for build in builds for line in (build.text, _sentence(build)) if line))


def _sentence(build: PricedBuild) -> str:
    return f"{build.asked}: {build.why}" if build.why else ""

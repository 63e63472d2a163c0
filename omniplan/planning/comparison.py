"""Command lines side by side: what each takes, whether it fits, how fast it would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.documents.record import Record
from omniplan.domain.build import PricedBuild
from omniplan.domain.footprint import Footprint, GraphSplits, Unpriced, best
from omniplan.domain.prediction import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Record):
    """One command line without ``-m``.

    ``used`` are bytes by pool, ``shortfall`` the missing ones; ``fits`` says that no pool is short, headroom aside,
    None where ``unpriced`` leaves that open. ``prediction`` takes for granted that it runs; there is none where
    something is not priced or nothing is known about the speed. ``build`` says whose bytes these are.
    """

    args: tuple[str, ...]
    fits: bool | None
    used: Mapping[str, int]
    shortfall: Mapping[str, int]
    graph_splits: GraphSplits | None
    prediction: Prediction | None
    build: PricedBuild
    unpriced: tuple[Unpriced, ...] = ()

    @classmethod
    def of(cls, args: tuple[str, ...], priced: Footprint, prediction: Prediction | None) -> Compared:
        """What is compared of a footprint and a prediction."""
        return cls(
            args=args,
            fits=priced.fits,
            used={pool.name: pool.used for pool in priced.pools},
            shortfall=priced.shortfall,
            graph_splits=priced.graph_splits,
            prediction=prediction,
            build=priced.build,
            unpriced=priced.unpriced,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Record):
    """Command lines in the order given, for one model on one machine."""

    model: str
    machine: str
    rows: tuple[Compared, ...]

    @property
    def fits(self) -> bool | None:
        """Whether any of them fits; None where none is known to and some are not known not to."""
        return best(row.fits for row in self.rows)

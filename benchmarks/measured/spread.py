"""How wide a range has to be, and whether the faster of two is named: figures of scores, each rig once told apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.measured.rows import Case
from omniplan.predict.accuracy import Devices

# An 80 % range leaves out a tenth at either end.
TAIL = 0.1
# Two rows that differ by less are as fast as each other: reports round, and runs of one setting differ by as much.
APART = 1.1
# Fewer rows than that have no tenth.
_LEAST = 5


@dataclass(frozen=True, slots=True)
class Score:
    """One speed of one row: predicted and measured, tokens per second."""

    case: Case
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted / self.measured - 1

    @property
    def error(self) -> float:
        """Its size."""
        return abs(self.ratio)


def ends(found: Sequence[Score]) -> tuple[float, float]:
    """Measured over predicted seconds that eight of ten rows lie between; of a rig with many rows each counts less.

    A rig counts as the root of its rows: one with a hundred would decide alone, and one row alone is chance.
    """
    rows = Counter(score.case.rig for score in found)
    weighed = sorted((1 + score.ratio, rows[score.case.rig] ** -0.5) for score in found)
    return _quantile(weighed, TAIL), _quantile(weighed, 1 - TAIL)


def _quantile(weighed: Sequence[tuple[float, float]], share: float) -> float:
    wanted, passed = share * sum(weight for _, weight in weighed), 0.0
    for value, weight in weighed:
        passed += weight
        if passed >= wanted:
            return value
    return weighed[-1][0]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Rows in the range that all other rigs have; ``width`` is the median of high over low."""

    n_rows: int
    share: float
    width: float


def coverage(found: Iterable[Score], devices: Devices) -> Coverage:
    """Of one device class, each rig's rows in the range that the other rigs have."""
    own = [score for score in found if score.case.devices is devices]
    held, widths = [], []
    for score in own:
        others = [other for other in own if other.case.rig != score.case.rig]
        if len(others) >= _LEAST:
            low, high = ends(others)
            held.append(low <= 1 + score.ratio <= high)
            widths.append(high / low)
    return Coverage(len(held), sum(held) / max(1, len(held)), median(widths) if widths else 0.0)


def ordered(found: Iterable[Score]) -> Iterator[bool]:
    """Of every two rows of one rig, model and engine that are apart: whether the faster one is predicted faster."""
    groups: dict[tuple[object, ...], list[Score]] = defaultdict(list)
    for score in found:
        case = score.case
        groups[case.engine, case.is_old, case.rig, case.backend, case.model].append(score)
    for group in groups.values():
        for index, one in enumerate(group):
            for other in group[:index]:
                faster, slower = sorted((one, other), key=lambda score: -score.measured)
                if faster.measured > APART * slower.measured:
                    yield faster.predicted > slower.predicted

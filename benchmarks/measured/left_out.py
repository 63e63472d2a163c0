"""Each rig predicted with constants fitted without it: how far the time model is off where nothing was measured.

The shipped constants were set by hand from their sources, with all rows in sight. Here a plain procedure sets them
from rows alone: one constant after the other takes the step that lowers the error of the rows it matters to. It runs
over all rows, then again without each rig, whose rows are predicted with what came out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Final

from benchmarks.measured.rows import Case
from benchmarks.measured.spread import Score
from omniplan.domain.footprint import Footprint
from omniplan.domain.params import ServerParams
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml import table
from omniplan.llamacpp.load.placement import Placement
from omniplan.predict import network
from omniplan.predict.constants import shipped
from omniplan.predict.decode import decode_terms
from omniplan.predict.prefill import Prompt, prompt_terms
from omniplan.predict.rates import rates
from omniplan.predict.request import is_known, placed
from omniplan.predict.traffic import Traffic, at_depth, traffic

# A constant moves by these factors, and stays within twice and half of what is shipped.
_STEPS: Final = (0.75, 0.88, 0.95, 1.05, 1.14, 1.33)
_REACH: Final = 2.0
# A step has to lower the error by more than rounding does.
_GAIN: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One speed of one case, with all that does not depend on a constant."""

    case: Case
    test: str
    measured: float
    params: ServerParams
    placement: Placement
    priced: Footprint
    plain: Traffic

    def error(self, known: Mapping[str, float]) -> float:
        """Logarithm of predicted over measured speed."""
        own = {constant.name: constant.value for constant in self.case.machine.constants}
        seconds = self._seconds({**known, **own})
        return -log(seconds * self.measured)

    def score(self, known: Mapping[str, float]) -> Score:
        """The row as predicted with other constants."""
        return Score(self.case, self.measured * exp(self.error(known)), self.measured)

    def _seconds(self, known: Mapping[str, float]) -> float:
        case, speeds = self.case, rates(self.case.machine, self.params, known)
        if self.test == "decode":
            waited = network.seconds(case.model, self.placement, speeds, known, n_tokens=1, depth=case.depth)
            return sum(decode_terms(self.placement, self.priced, self.plain, speeds, known, network=waited).values())
        n_prompt, depth = prompt_of(case)
        asked = Prompt(n_prompt=n_prompt, n_ubatch=min(self.placement.context.n_ubatch, n_prompt), depth=depth)
        terms = prompt_terms(case.model, self.placement, self.params, self.plain, speeds, known, asked)
        return sum(terms.values()) / n_prompt


def prompt_of(case: Case) -> tuple[int, int]:
    """Tokens of a row's prompt, and those before it."""
    return (case.depth, 0) if case.is_whole and case.depth else (case.n_prompt, case.depth)


def rows(known: Iterable[Case]) -> Iterator[Row]:
    """Every speed of llama.cpp's own rows that the time model knows."""
    for case in known:
        params = parse(case.args)
        if case.engine != "llama.cpp" or not is_known(params):
            continue
        placement, priced = placed(case.model, case.machine, params)
        plain = traffic(case.model, placement, depth=case.depth + case.n_gen // 2)
        n_prompt, depth = prompt_of(case)
        middle = at_depth(plain, case.model, placement, depth=depth + n_prompt // 2)
        for test, measured, work in (("decode", case.decode, plain), ("prompt", case.prompt, middle)):
            if measured:
                yield Row(
                    case=case,
                    test=test,
                    measured=measured,
                    params=params,
                    placement=placement,
                    priced=priced,
                    plain=work,
                )


def matters(found: Sequence[Row]) -> Mapping[str, frozenset[Row]]:
    """The rows that each constant has a part in."""
    before = {row: row.error(shipped()) for row in found}
    return {
        name: frozenset(row for row in found if row.error({**shipped(), name: value * 1.2}) != before[row])
        for name, value in shipped().items()
    }


@dataclass(slots=True)
class Fit:
    """Constants on their way: ``errors`` are those of ``rows`` with ``known``."""

    rows: Sequence[Row]
    known: dict[str, float]
    errors: dict[Row, float]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, found: Sequence[Row], known: Mapping[str, float]) -> Fit:
        """A start from ``known``; a rig counts as the root of its rows, as ranges have it."""
        counts = Counter(row.case.rig for row in found)
        errors = {row: row.error(known) for row in found}
        return cls(found, dict(known), errors, {rig: count**-0.5 for rig, count in counts.items()})

    def settle(self, name: str, touched: Iterable[Row]) -> None:
        """Move one constant to the best of its steps, for the rows that it has a part in."""
        own = [row for row in touched if row in self.errors]
        if not own:
            return
        least, start = self._loss(self.errors, own), self.known[name]
        for step in _STEPS:
            value = start * step
            if not 1 / _REACH <= value / shipped()[name] <= _REACH:
                continue
            errors = {row: row.error({**self.known, name: value}) for row in own}
            if (loss := self._loss(errors, own)) < least - _GAIN:
                least, self.known[name] = loss, value
                self.errors.update(errors)

    def _loss(self, errors: Mapping[Row, float], own: Sequence[Row]) -> float:
        return sum(abs(errors[row]) * self.weights[row.case.rig] for row in own)


def fitted(
    found: Sequence[Row], start: Mapping[str, float], names: Iterable[str], touched: Mapping[str, frozenset[Row]]
) -> Mapping[str, float]:
    """Constants after one round; a name that no row has a part in is forgotten where a more general one remains."""
    fit = Fit.of(found, start)
    for name in [name for name in names if name in start]:
        if touched[name].isdisjoint(fit.errors) and is_own(name):
            del fit.known[name]
        else:
            fit.settle(name, touched[name])
    return fit.known


def is_own(name: str) -> bool:
    """Whether a constant is of one back end or compute capability alone, so that another stands for it."""
    return bool(re.search(rf"_(\d+_\d+|{'|'.join(table.rows())})$", name))


def left_out(known: Iterable[Case]) -> Mapping[str, Mapping[str, list[Score]]]:
    """Scores by what the constants were fitted to, and by phase: all rows, and those of other rigs."""
    found = list(rows(known))
    touched = matters(found)
    whole: Mapping[str, float] = dict(shipped())
    for _ in range(2):
        whole = fitted(found, whole, touched, touched)
    scores: dict[str, dict[str, list[Score]]] = {name: defaultdict(list) for name in ("all rows", "other rigs")}
    rigs: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        rigs[row.case.rig].append(row)
        scores["all rows"][row.test].append(row.score(whole))
    for rig, own in rigs.items():
        names = [name for name in touched if not touched[name].isdisjoint(own)]
        others = [row for row in found if row.case.rig != rig]
        alone = fitted(others, fitted(others, whole, names, touched), names, touched)
        for row in own:
            scores["other rigs"][row.test].append(row.score(alone))
    return scores

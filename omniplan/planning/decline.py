"""When --fit would do as well: its command, what it then chooses, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.params import ServerParams
from omniplan.domain.plan import Alternative
from omniplan.domain.prediction import Objective
from omniplan.planning.baselines import FIT, FIT_SET, Rival
from omniplan.planning.candidates import args_of
from omniplan.planning.solution import Solution
from omniplan.planning.timing import ERROR
from omniplan.predict.accuracy import comparison_error

_OWN: Final = "its own margin of 1,024 MiB per GPU keeps the headroom"
_OURS: Final = "-fitt says the MiB that the headroom policy keeps on each GPU"


def fit_instead(
    plan: Solution, known: Mapping[str, Rival], objective: Objective
) -> tuple[Alternative | None, Reason | None]:
    """--fit's command, where the plan is faster by no more than comparing the two is off, and a note that does so.

    Only a --fit that keeps the headroom and what was asked for is offered.
    """
    fits = (known[name] for name in (FIT_SET, FIT) if name in known)
    rival = next((rival for rival in fits if rival.baseline.fits and rival.baseline.is_allowed), None)
    if rival is None or rival.asked is None:
        return None, None
    theirs, ours = rival.solution.seconds, plan.seconds
    gain = 1 - ours / theirs if theirs else 0.0
    compared = f"predicted {ours:.3g} s against {theirs:.3g} s of --fit's own layout, {gain:.0%} less"
    error = comparison_error(objective, plan.prediction, rival.solution.prediction)
    if gain > error:
        return None, Reason(verdict=ReasonVerdict.NOTE, subject="--fit", statement=compared, source=ERROR)
    margins = _OURS if rival.asked.fit_target != ServerParams().fit_target else _OWN
    why = f"{compared}; such a comparison is off by {error:.0%}, so --fit does as well; {margins}"
    found = Alternative(
        args=args_of(rival.asked),
        chosen=rival.solution.args,
        footprint=rival.solution.footprint,
        margins=rival.solution.margins,
        prediction=rival.solution.prediction,
        why=why,
    )
    return found, Reason(verdict=ReasonVerdict.NOTE, subject="--fit", statement=why, source=ERROR)

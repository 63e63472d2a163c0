"""How many tokens the model's own MTP heads draft at a time, where that is left to the search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.params import DraftParams
from omniplan.planning.ladder import Outcome
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution, is_clearly_faster
from omniplan.planning.timing import MODEL


def best_drafting(problem: Problem, search: Callable[[Problem], Outcome]) -> Outcome:
    """The best of ``search`` without drafts and with as many as are predicted to pay most.

    Drafting takes memory for a second context and for states, so it has to be clearly faster.
    """
    if problem.request.mtp is not None:
        return search(problem)
    alone = search(problem)
    if not problem.model.hparams.n_layer_nextn:
        return _told(alone, "off: the model has no MTP heads")
    drafted = search(_with(problem, DraftParams().n_max))
    if (best := _pays_most(drafted[1])) and best != DraftParams().n_max:
        drafted = search(_with(problem, best))
    if drafted[1] is None or alone[1] is None:
        return drafted if drafted[1] else _told(alone, "off: what they take beside the model does not fit")
    speeds = f"predicted {drafted[1].seconds:.3g} s with {drafted[0].problem.settings.mtp} drafts at a time"
    speeds += f", {alone[1].seconds:.3g} s without"
    pays = is_clearly_faster(drafted[1], alone[1], problem.request.objective)
    return _told(drafted, speeds) if pays else _told(alone, f"off: {speeds}, which is not clearly faster")


def _with(problem: Problem, n_max: int) -> Problem:
    return problem.settled(replace(problem.settings, mtp=n_max))


def _pays_most(found: Solution | None) -> int:
    """Drafts at a time, 0 where none pay or nobody knows."""
    speculation = found.prediction.speculation if found else None
    return speculation.best_n_max if speculation else 0


def _told(outcome: Outcome, statement: str) -> Outcome:
    note = Reason(verdict=ReasonVerdict.CHOSEN, subject="MTP heads", statement=statement, source=MODEL)
    outcome[0].reporter.note(note)
    return outcome

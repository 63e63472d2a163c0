"""Which configuration to measure next, and when nothing more is to be gained: expected improvement over the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import erf, exp, pi, sqrt
from typing import Final

from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Phase, Prediction
from omniplan.tune.learner import DISTURBED, NOISE, Belief, Learner, Observation, Term

# What is left to gain, as a share, below which no further run is worth its minutes: a sixth of what runs scatter by.
ENOUGH: Final = 0.005
# Each run loads the model and takes minutes: more than a dozen is no tuning but a survey.
MOST_RUNS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedRun:
    """What one run took: seconds of the prompt and of one token, 0 for a phase that was not asked for.

    ``args`` are llama-server's without ``-m``. ``failure`` says why there are no seconds, "" where there are.
    ``scatter`` is how far single requests lie from that, as a share, and ``disturbances`` what else had a part in it.
    ``server`` is the build that ran, as it calls itself, in ``n_runs`` requests of ``program`` on ``date``.
    """

    args: tuple[str, ...]
    prompt_seconds: float = 0.0
    token_seconds: float = 0.0
    failure: str = ""
    scatter: float = 0.0
    disturbances: tuple[str, ...] = ()
    server: str = ""
    program: str = "llama-server"
    n_runs: int = 1
    date: str = ""

    @property
    def noise(self) -> float:
        """By which share the next run of the same may differ."""
        return max(NOISE, self.scatter, DISTURBED if self.disturbances else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a search stands: what each plan is believed to take, which is best so far, and which to measure next.

    ``beliefs`` and plans are by their arguments. ``following`` is None where nothing is worth a run, ``gain`` the share
    of the time that it is expected to save.
    """

    beliefs: Mapping[tuple[str, ...], Belief]
    factors: Mapping[Term, float]
    best: Plan | None
    following: Plan | None
    gain: float


def terms_of(prediction: Prediction) -> Mapping[Term, float]:
    """The model's seconds of the whole request by phase and cause."""
    found: dict[Term, float] = {
        (Phase.DECODE, cause): prediction.n_gen * seconds for cause, seconds in prediction.terms.items()
    }
    return found | {(Phase.PROMPT, cause): seconds for cause, seconds in prediction.prompt_terms.items()}


def consider(plans: Sequence[Plan], runs: Sequence[TunedRun]) -> State:
    """Learn from ``runs`` and look at every plan again; what failed, and what leaves less memory than that, is out."""
    by_args = {plan.server_args: plan for plan in plans}
    ran = [run for run in runs if run.args in by_args and not run.failure]
    terms = sorted({term for plan in plans for term in terms_of(plan.prediction)})
    learner = Learner(terms, [seen for run in ran for seen in _observations(run, by_args[run.args].prediction)])
    left = [plan for plan in plans if not _is_out(plan, [by_args[run.args] for run in runs if _failed(run, by_args)])]
    beliefs = {plan.server_args: learner.belief(terms_of(plan.prediction)) for plan in left}
    seen = {run.args for run in ran}
    # A single run scatters by as much as plans differ; what all runs together say of one scatters less.
    best = min((args for args in beliefs if args in seen), key=lambda args: beliefs[args].mean, default=None)
    rest = [args for args in beliefs if args not in seen]
    if best is None:
        following = min(rest, key=lambda args: beliefs[args].mean, default=None)
        gain = 1.0 if following else 0.0
    else:
        gains = {args: _gain(beliefs[args], beliefs[best].mean) for args in rest}
        following = max(rest, key=lambda args: gains[args], default=None)
        gain = gains[following] if following else 0.0
    return State(
        beliefs=beliefs,
        factors=learner.factors(),
        best=by_args[best] if best else None,
        following=by_args[following] if following and gain > ENOUGH else None,
        gain=gain,
    )


def _failed(run: TunedRun, by_args: Mapping[tuple[str, ...], Plan]) -> bool:
    return bool(run.failure) and run.args in by_args


def _is_out(plan: Plan, failed: Sequence[Plan]) -> bool:
    """Whether it failed, or leaves no more memory on any pool than one that did."""
    return any(plan.server_args == other.server_args or _leaves_less(plan, other) for other in failed)


def _leaves_less(plan: Plan, other: Plan) -> bool:
    left = {margin.pool: margin.left for margin in other.margins}
    return all(margin.left <= left.get(margin.pool, margin.left) for margin in plan.margins)


def _observations(run: TunedRun, predicted: Prediction) -> Iterator[Observation]:
    """What a run says about the terms of its phases."""
    for phase, terms, seconds in (
        (Phase.PROMPT, predicted.prompt_terms, run.prompt_seconds),
        (Phase.DECODE, predicted.terms, run.token_seconds),
    ):
        if terms and seconds > 0:
            yield Observation(phase=phase, terms=terms, seconds=seconds, noise=run.noise)


def _gain(belief: Belief, best: float) -> float:
    """Expected improvement of the logarithm of the time over ``best``: about the share that is saved."""
    if belief.spread <= 0:
        return max(0.0, best - belief.mean)
    z = (best - belief.mean) / belief.spread
    below = 0.5 * (1 + erf(z / sqrt(2)))
    return (best - belief.mean) * below + belief.spread * exp(-z * z / 2) / sqrt(2 * pi)

"""Rules about the logical batch and the micro-batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit, WordEdit
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.params import ServerParams
from omniplan.units import mib

USUAL: Final = ServerParams().n_ubatch
_DEFAULT_BATCH: Final = ServerParams().n_batch


def batch_equals_ubatch(case: Case) -> Iterator[Hit]:
    """``-b X -ub X``: an embedding server must have them equal, any other wastes a compute buffer."""
    given = case.option("ubatch-size")
    params = case.params
    if given is None or params.embedding or params.n_batch != params.n_ubatch:
        return
    if params.n_ubatch > USUAL:
        yield Hit(
            message=f"-b and -ub are both {params.n_ubatch}: the compute buffer holds a whole batch{_cost(case)}",
            at=given.at,
            edits=(WordEdit(word=given.at, texts=(str(USUAL),)),),
        )
    elif batch := case.option("batch-size"):
        yield Hit(
            message=f"-b and -ub are both {params.n_ubatch}: a batch of one micro-batch",
            at=batch.at,
            fix=f"raise -b to {_DEFAULT_BATCH}: it costs next to nothing",
            edits=(WordEdit(word=batch.at, texts=(str(_DEFAULT_BATCH),)),),
        )


def ubatch_over_batch(case: Case) -> Iterator[Hit]:
    """``-ub`` larger than ``-b``."""
    given, params = case.option("ubatch-size"), case.params
    if given is not None and params.n_ubatch > params.n_batch > 0:
        yield Hit(message=f"-ub {params.n_ubatch} is over -b {params.n_batch} and is cut down to it", at=given.at)


def ubatch_raised(case: Case) -> Iterator[Hit]:
    """A micro-batch over 512: a choice when all fits, a mistake when 512 would fit and this does not."""
    given, params = case.option("ubatch-size"), case.settled
    if given is None or params.embedding or not USUAL < params.n_ubatch < params.n_batch:
        return
    usual = replace(params, n_ubatch=USUAL)
    priced, smaller = case.price(params), case.price(usual)
    is_needless = priced is not None and smaller is not None and not priced.fits and smaller.fits
    yield Hit(
        message=f"-ub {params.n_ubatch} is over the usual {USUAL}{_cost(case)}"
        + (f"; with {USUAL} it fits" if is_needless else _gain(case, params, usual)),
        at=given.at,
        severity=Severity.WARNING if is_needless else Severity.INFO,
        edits=(WordEdit(word=given.at, texts=(str(USUAL),)),) if is_needless else (),
    )


def _gain(case: Case, params: ServerParams, usual: ServerParams) -> str:
    """What the raised micro-batch is predicted to do for a prompt."""
    now, then = case.speed(params), case.speed(usual)
    if now is None or then is None:
        return ""
    rates = (speed.prompt_tokens_per_second.value for speed in (now, then))
    return "; a prompt of {:,} tokens at {:,.0f} tokens/s predicted, {:,.0f} with 512".format(now.n_prompt, *rates)


def _cost(case: Case) -> str:
    """Bytes of compute buffer that the raised micro-batch takes on each device, where they can be computed."""
    params = case.settled
    priced, usual = case.price(params), case.price(replace(params, n_ubatch=USUAL))
    if priced is None or usual is None:
        return ""
    more = {
        name: size.compute - usual.buffers[name].compute
        for name, size in priced.buffers.items()
        if name in usual.buffers and size.compute > usual.buffers[name].compute
    }
    return "".join(f", {mib(size)} more on {name}" for name, size in more.items())


RULES: Final[Mapping[str, CommandRule]] = {
    "batch-equals-ubatch": batch_equals_ubatch,
    "ubatch-over-batch": ubatch_over_batch,
    "ubatch-raised": ubatch_raised,
}

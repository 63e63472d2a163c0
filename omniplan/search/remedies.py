"""Why nothing fits, and the smallest changes that would help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from omniplan.domain.plan import Request
from omniplan.errors import ArgumentError, Infeasible
from omniplan.units import gib, mib

if TYPE_CHECKING:
    from omniplan.search.planner import Ladder

# Below this a chat model is of little use, and llama.cpp's own --fit stops here too (-fitc).
_LEAST_CONTEXT = 4096
# iq1_s, the smallest type of llama.cpp that is used for language models.
_LEAST_BITS = 1.5625


def refusal(ladder: Ladder) -> Infeasible:
    """The error for a ladder nobody could climb."""
    where = ", ".join(f"{mib(size)} on {name}" for name, size in ladder.closest.items()) or "no pool is large enough"
    weights = ladder.model.header.tensor_bytes
    summary = (
        f"{ladder.model.header.paths[0]}: {gib(weights)} of weights do not fit on {ladder.machine.name}: "
        f"short by {where}"
    )
    remedies = (*_requests(ladder), *_smaller(ladder)) or (_hopeless(ladder),)
    return Infeasible(summary, shortfall=ladder.closest, remedies=remedies)


def _requests(ladder: Ladder) -> Iterator[str]:
    """Smaller requests that fit."""
    request = ladder.request
    if request.n_ctx > _LEAST_CONTEXT and (n_ctx := _largest_context(ladder)):
        yield f"it fits with --ctx {n_ctx}"
    if request.cache_type_k == "f16" and _fits(ladder, replace(request, cache_type_k="q8_0", cache_type_v="q8_0")):
        yield "it fits with --cache-type q8_0"


def _smaller(ladder: Ladder) -> Iterator[str]:
    """A smaller quant that fits, where one can exist."""
    weights = ladder.model.header.tensor_bytes
    room = weights - sum(ladder.closest.values())
    if room >= _smallest(ladder):
        yield f"a quant of at most {gib(room)} ({room / weights:.0%} of this one) would fit"


def _hopeless(ladder: Ladder) -> str:
    return f"no quant of this model would: even {_LEAST_BITS} bits per weight are {gib(_smallest(ladder))}"


def _smallest(ladder: Ladder) -> int:
    return int(sum(tensor.n_elements for tensor in ladder.model.header.tensors) * _LEAST_BITS / 8)


def _largest_context(ladder: Ladder) -> int:
    """The largest halving of the asked context that fits, 0 when none does."""
    n_ctx = ladder.request.n_ctx // 2
    while n_ctx >= _LEAST_CONTEXT:
        if _fits(ladder, replace(ladder.request, n_ctx=n_ctx)):
            return n_ctx
        n_ctx //= 2
    return 0


def _fits(ladder: Ladder, request: Request) -> bool:
    try:
        return type(ladder)(ladder.model, ladder.machine, request, ladder.headroom).climb() is not None
    except ArgumentError:
        return False

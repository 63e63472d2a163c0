"""The rule about a cache of experts that takes longer to fill than the CPU takes to compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.params import LoadMode, ServerParams
from omniplan.llamacpp.build import builds
from omniplan.predict.hits import even_from


def expert_cache_costs(case: Case) -> Iterator[Hit]:
    """``--moe-cache-mib`` where a token is predicted to be slower with it, or where there is nothing to cache."""
    given = case.option("moe-cache-mib")
    if given is None or not case.params.moe_cache:
        return
    number = next(build.number for build in builds().values() if build.moe_cache)
    asked = replace(case.settled, build=number)
    found, plain = case.speed(asked), case.speed(replace(asked, moe_cache=0))
    if found is None or plain is None:
        return
    what = f"{given.name} {given.value}"
    cached = found.cached_experts
    if cached is None:
        message = f"{what} caches nothing: no layer on a GPU has all of its experts in RAM"
        yield Hit(message=message, at=given.at, severity=Severity.INFO, fix="leave it out")
        return
    now, then = found.decode_tokens_per_second, plain.decode_tokens_per_second.value
    if now.value < then:
        yield Hit(
            message=f"{what} holds {cached.share:.0%} of the experts of its layers, about {cached.hits.value:.0%} of "
            f"those asked for: {now.value:.3g} tokens/s predicted, {then:.3g} without it, {even_from(found, 1 / then)}",
            at=given.at,
            fix=_pinned(case, asked, then),
        )


def _pinned(case: Case, asked: ServerParams, then: float) -> str:
    """The way out, if that is memory that GPUs copy from faster."""
    speed = case.speed(replace(asked, load_mode=LoadMode.NONE))
    if speed is None or speed.decode_tokens_per_second.value <= then:
        return "leave it out"
    return f"--load-mode none pins the experts: {speed.decode_tokens_per_second.value:.3g} tokens/s predicted"


RULES: Final[Mapping[str, CommandRule]] = {"expert-cache-costs": expert_cache_costs}

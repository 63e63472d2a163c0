"""Rules about model files: the model itself, its parts, and what is loaded beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.check.case import Case, Companion
from omniplan.check.hit import Hit
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.footprint import RAM, BufferSize, ContextKind, Footprint
from omniplan.formats.command import Word
from omniplan.gguf.companions import foreign
from omniplan.gguf.model import architectures
from omniplan.units import gib, mib

_PART: Final = re.compile(r"-(\d{5})-of-\d{5}\.gguf$")
# Options that bring something in beside the model.
_COMPANIONS: Final = {
    "mmproj": ContextKind.PROJECTOR,
    "spec-draft-model": ContextKind.DRAFT,
    "spec-type": ContextKind.MTP,
}


def unreadable(case: Case) -> Iterator[Hit]:
    """The model's file is there and is wrong: cut short, parts missing, not a language model."""
    if case.model_problem is not None:
        given = case.option("model")
        yield Hit(message=str(case.model_problem), at=given.at if given else None)


def not_first_part(case: Case) -> Iterator[Hit]:
    """``-m`` names a part of a split model that is not the first."""
    given = case.option("model")
    part = _PART.search(given.value) if given else None
    if given and part and part[1] != "00001":
        yield Hit(message=f"{given.value} is part {int(part[1])} of its model", at=given.at)


def unknown_architecture(case: Case) -> Iterator[Hit]:
    """An architecture that llama.cpp b11434 does not have."""
    if case.model is not None and case.model.arch not in architectures.known():
        given = case.option("model")
        yield Hit(
            message=f"general.architecture is '{case.model.arch}', which llama.cpp b11434 does not know",
            at=given.at if given else None,
        )


def unaccounted(case: Case) -> Iterator[Hit]:
    """A projector, a draft model or MTP heads that do not fit beside the model, or that no figure here holds."""
    for key, kind in _COMPANIONS.items():
        given = case.option(key)
        if given is None or not given.value:
            continue
        if case.priced is not None and kind in case.priced.contexts:
            yield from _too_much(case.priced, kind, given.at)
        elif kind is not ContextKind.MTP:
            found = next((item for item in case.companions if item.option is given), None)
            yield _beside(case, given.at.text, given.at, found)


def _too_much(priced: Footprint, kind: ContextKind, at: Word) -> Iterator[Hit]:
    """GPUs that would hold the rest."""
    for pool, short in priced.shortfall.items():
        held = priced.contexts[kind].get(pool, BufferSize()).total
        if pool != RAM and held >= short:
            what = f"the {kind.value} takes {mib(held)} of {pool} and does not fit beside this context"
            yield Hit(message=f"{what}: {mib(short)} are short", at=at)


def _beside(case: Case, name: str, at: Word, found: Companion | None) -> Hit:
    how = "" if case.params.is_fitted else ", and --fit, which would leave room for it, is off"
    mild = Severity.INFO if case.params.is_fitted else None
    if found is None:
        return Hit(message=f"{name} takes memory that no figure here holds{how}", at=at, severity=mild)
    left = {pool.name: pool.left for pool in case.priced.pools if pool.left is not None} if case.priced else {}
    most = max((size for pool, size in left.items() if pool != RAM), default=None)
    if most is not None and most < found.nbytes and not case.params.is_fitted:
        return Hit(message=f"{name} takes {mib(found.nbytes)} and no GPU has more than {mib(max(0, most))} left", at=at)
    return Hit(
        message=f"{name} takes {mib(found.nbytes)} that no figure here holds{how}", at=at, severity=Severity.INFO
    )


def draft_of_another_kind(case: Case) -> Iterator[Hit]:
    """A draft model whose vocabulary is not the model's."""
    for item in case.companions:
        if case.model is not None and item.model is not None and (other := foreign(case.model, item.model)):
            yield Hit(message=f"the draft model has {other}", at=item.option.at)


def in_ram(case: Case) -> Iterator[Hit]:
    """Weights stay in RAM: what that costs."""
    if case.priced is None or not case.gpus or case.host_weights < 1 << 30:
        return
    speed = case.speed(case.settled)
    if speed is not None:
        rate = speed.decode_tokens_per_second
        yield Hit(
            message=f"{gib(case.host_weights)} of weights stay in RAM: {rate.value:.1f} tokens/s predicted "
            f"({rate.low:.1f} to {rate.high:.1f})"
        )


RULES: Final[Mapping[str, CommandRule]] = {
    "model-unreadable": unreadable,
    "model-not-first-part": not_first_part,
    "architecture-unknown": unknown_architecture,
    "loaded-beside": unaccounted,
    "draft-of-another-kind": draft_of_another_kind,
    "weights-in-ram": in_ram,
}

"""What a plan is asked for. Every default of a request stands here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypedDict, TypeVar

from omniplan.documents.record import Record
from omniplan.domain.defaults import DEFAULT_ANSWER, DEFAULT_BUILD, DEFAULT_PROMPT
from omniplan.domain.headroom import Headroom
from omniplan.domain.params import LoadMode, Override
from omniplan.domain.prediction import Objective
from omniplan.errors import RequestError

# Leave it to the search.
AUTO: Final = "auto"

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Record):
    """What a plan is asked for, in llama.cpp's words; raises RequestError for what nobody can ask.

    ``n_ctx`` is the total context in tokens over ``n_parallel`` slots, None the model's own, at most 32,768. With
    ``n_ctx_least`` it is a wish: the most up to it that is not clearly slower than that least. Of ``cache_types``, for
    K and V alike and the preferred first, a later one must be clearly faster, or be the first that fits; without any
    it is ``cache_type_k`` and ``cache_type_v``. Clearly is by more than the time model's error. ``n_ubatch`` is the
    micro-batch in tokens, None the one with the least predicted time.

    ``mmproj``, ``draft`` and ``lora`` are paths of a projector, a draft model and adapters that are loaded beside it.
    ``mtp`` is the most tokens that the model's own MTP heads draft at a time, 0 where they stay unloaded, None as
    many as are predicted to pay.
    ``moe_cache`` are MiB of the GPUs' cache of experts that lie in RAM, "auto" for as many as make the plan clearly
    faster, if any do; None for none. ``build`` has to be one that has it.

    ``n_prompt`` and ``n_gen`` are the request to be fast at, in tokens, and ``objective`` the part of it that counts.

    ``pins`` keep the tensors they match where they say, and the rest is laid around them; ``max_patterns`` bounds the
    overrides of the plan, pins included. ``cpu_experts`` is false where no routed expert, ``cpu_weights`` where no
    weight of a layer may be on the CPU. ``load_mode`` is llama-server's; ``auto`` pins host memory where a prompt
    streams weights from it. ``headroom`` is what stays free, ``build`` the llama.cpp whose bytes count. ``baselines``
    are what one would do without a plan: they take most of the time, and no plan is predicted slower than one that
    fits.
    """

    n_ctx: int | None = None
    n_ctx_least: int | None = None
    n_parallel: int = 1
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    cache_types: tuple[str, ...] = ()
    n_ubatch: int | None = 512
    mmproj: str | None = None
    draft: str | None = None
    mtp: int | None = 0
    lora: tuple[str, ...] = ()
    moe_cache: int | str | None = None
    n_prompt: int = DEFAULT_PROMPT
    n_gen: int = DEFAULT_ANSWER
    objective: Objective = Objective.REQUEST
    pins: tuple[Override, ...] = ()
    max_patterns: int | None = None
    cpu_experts: bool = True
    cpu_weights: bool = True
    load_mode: LoadMode = LoadMode.AUTO
    headroom: Headroom = field(default_factory=Headroom)
    build: int = DEFAULT_BUILD
    baselines: bool = True

    def __post_init__(self) -> None:
        # Words and lists are as good as the values they stand for.
        object.__setattr__(self, "objective", _word(Objective, "objective", self.objective))
        object.__setattr__(self, "load_mode", _word(LoadMode, "load_mode", self.load_mode))
        object.__setattr__(self, "cache_types", tuple(self.cache_types))
        object.__setattr__(self, "pins", tuple(self.pins))
        object.__setattr__(self, "lora", tuple(self.lora))
        if self.moe_cache == AUTO:
            pass
        elif isinstance(self.moe_cache, str):
            raise RequestError("moe_cache", self.moe_cache, f"expected MiB or {AUTO}")
        elif self.moe_cache is not None:
            check_count("moe_cache", self.moe_cache, least=1)
        for name, least in _LEAST.items():
            if name not in _MAY_BE_NONE or getattr(self, name) is not None:
                check_count(name, getattr(self, name), least=least)
        if not isinstance(self.headroom, Headroom):
            raise RequestError("headroom", self.headroom, "expected a Headroom; Headroom.parse reads text")
        for pin in self.pins:
            if not isinstance(pin, Override):
                raise RequestError("pins", pin, "expected an Override of a pattern and a buffer type")
        if not self.n_prompt + self.n_gen:
            raise RequestError("n_gen", self.n_gen, "expected at least one token together with the prompt")
        if self.n_ctx and self.n_ctx_least and self.n_ctx_least > self.n_ctx:
            raise RequestError(
                "n_ctx_least", self.n_ctx_least, f"expected no more than the wish of {self.n_ctx} tokens"
            )


_LEAST: Final = {
    "n_ctx": 1, "n_ctx_least": 1, "n_ubatch": 1, "n_parallel": 1, "n_prompt": 0, "n_gen": 0, "max_patterns": 0,
    "mtp": 0,
}  # fmt: skip
_MAY_BE_NONE: Final = ("n_ctx", "n_ctx_least", "n_ubatch", "max_patterns", "mtp")


def check_count(field: str, value: object, *, least: int) -> None:
    """Raise RequestError unless ``value`` is a whole number of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(field, value, "expected a whole number")
    if value < least:
        problem = "expected at least 1; leave it out for the default" if least else "expected 0 or more"
        raise RequestError(field, value, problem)


def _word(kind: type[_Word], field: str, value: str) -> _Word:
    try:
        return kind(value)
    except ValueError:
        raise RequestError(field, value, f"expected one of {', '.join(kind)}") from None


DEFAULT: Final = Request()


class PlacementChanges(TypedDict, total=False):
    """The fields of a ``Request`` but for those that a frontier varies and the build, all optional."""

    mmproj: str | None
    draft: str | None
    mtp: int | None
    lora: tuple[str, ...]
    moe_cache: int | str | None
    n_prompt: int
    n_gen: int
    objective: Objective
    pins: tuple[Override, ...]
    max_patterns: int | None
    cpu_experts: bool
    cpu_weights: bool
    load_mode: LoadMode
    headroom: Headroom
    baselines: bool


class RequestChanges(PlacementChanges, total=False):
    """The fields of a ``Request`` but for the build, all optional: what may differ from the one that is given."""

    n_ctx: int | None
    n_ctx_least: int | None
    n_parallel: int
    cache_type_k: str
    cache_type_v: str
    cache_types: tuple[str, ...]
    n_ubatch: int | None

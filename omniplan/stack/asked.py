"""What a stack file asks for: models, what else takes memory, who runs together, and budgets, as the file has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from omniplan.documents.column import Amount, Column, Count, Mib, Positive
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import Record
from omniplan.domain.headroom import Headroom
from omniplan.domain.prediction import Objective
from omniplan.domain.request import DEFAULT
from omniplan.errors import InputError
from omniplan.llamacpp.build import build_number
from omniplan.units import MIB

# Where an external entry may lie on any GPU, in any division.
ANY_GPU: Final = "GPUs"
# A name becomes a section, a service, a model's id and part of a file's name.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def _member(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise InputError(f"expected letters, digits, - and _, 63 at most, got {text[:80]!r}")
    return text


def _group(text: str) -> str:
    # A derived group is called after its members: "startup+small".
    return "+".join(map(_member, text.split("+")))


def _policy(text: str) -> str:
    try:
        Headroom.parse(text)
    except InputError as error:
        raise InputError('expected "1024" (MiB per GPU), "2g", "10%" or "default"') from error
    return text


def _cache_type(values: Mapping[str, Any]) -> object:
    return values["cache_type"]


def _from_gb(values: Mapping[str, Any]) -> object:
    return values["gb"] if values["gb"] is not None else -1


MemberName = Annotated[str, Column(parse=_member)]
AtLeastOne = Annotated[int, Column(least=1, expected="at least 1 (leave it out for the default)")]


class On(StrEnum):
    """Where a model may compute: anywhere, with all its weights on GPUs, or with none."""

    ANY = "any"
    GPU = "gpu"
    CPU = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackModel:
    """One model that is asked for; ``n_ctx`` None is the default context, ``n_ubatch`` None the fastest micro-batch.

    ``cache_type`` is that of K and V where nothing else is said of one. ``priority`` weighs its seconds against those
    of others. ``on_demand`` models are loaded when they are asked for, the others with the server. ``port`` None takes
    the next free one. ``mmproj``, ``draft`` and ``mtp`` are loaded beside the model, as in a ``Request``.
    """

    name: MemberName
    path: str
    n_ctx: Annotated[AtLeastOne | None, Column(key="ctx")] = None
    n_parallel: Annotated[AtLeastOne, Column(key="parallel")] = DEFAULT.n_parallel
    cache_type: str = DEFAULT.cache_type_k
    cache_type_k: Annotated[str, Column(default=_cache_type)] = DEFAULT.cache_type_k
    cache_type_v: Annotated[str, Column(default=_cache_type)] = DEFAULT.cache_type_v
    n_ubatch: Annotated[AtLeastOne | None, Column(key="ubatch")] = DEFAULT.n_ubatch
    mmproj: str | None = None
    draft: str | None = None
    mtp: Annotated[int, Column(least=0)] = 0
    priority: Positive = 1.0
    on: On = On.ANY
    on_demand: bool = False
    port: Annotated[int | None, Column(least=1, most=65535, expected="a port from 1 to 65535")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """Something that only takes ``size`` bytes: another program, or a model behind an API, which takes none here.

    ``gb`` are the same bytes where a file says them so. ``pool`` is a GPU's name, "RAM", or "GPUs" for any of them in
    any division. ``may_use_ram`` says that it could run on the CPU instead.
    """

    name: MemberName
    gb: Annotated[int | None, Column(unit=10**9, least=0)] = None
    size: Annotated[int, Column(key="mib", unit=MIB, least=0, default=_from_gb)]
    pool: Annotated[str, Column(key="on", pattern=r"GPUs|RAM|CUDA\d+", example="GPUs, RAM or CUDA0")] = ANY_GPU
    may_use_ram: bool = False
    priority: Amount = 1.0

    def faults(self) -> Iterator[tuple[str, str]]:
        """A size that is not said, or said twice."""
        if self.size < 0 or self.gb not in (None, self.size):
            yield "gb", "expected either gb (10^9 bytes) or mib; 0 for something that runs elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Members that are resident at the same time, by name."""

    name: Annotated[str, Column(parse=_group)]
    members: tuple[str, ...] = ()

    def faults(self) -> Iterator[tuple[str, str]]:
        """Nobody, or somebody twice."""
        if not self.members:
            yield "members", "expected at least one name"
        if len(set(self.members)) < len(self.members):
            yield "members", "a name stands there twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Record):
    """What the whole stack may take.

    ``headroom`` is the policy per GPU in words, ``gpus`` bytes to keep free on single ones instead. ``ram`` is the most
    it may take of RAM in bytes, ``ram_headroom`` what stays free there; None leaves both to the machine and the policy.
    """

    headroom: Annotated[str, Column(parse=_policy)] = "default"
    gpus: Mapping[str, Mib] = FrozenMapping()
    ram: Mib | None = None
    ram_headroom: Mib | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile(Record):
    """What a stack file asks for.

    ``n_prompt`` and ``n_gen`` are the request to be fast at in tokens, ``objective`` the part of it that counts.
    ``build`` is the llama.cpp that serves them, ``busy`` the share of its time that a neighbour is taken to be
    computing.
    """

    is_sparse: ClassVar = True

    name: str = "stack"
    models: tuple[StackModel, ...] = ()
    externals: tuple[External, ...] = ()
    groups: tuple[Group, ...] = ()
    budget: Budget = Budget()
    n_prompt: Count = DEFAULT.n_prompt
    n_gen: Count = DEFAULT.n_gen
    objective: Objective = DEFAULT.objective
    build: Annotated[int, Column(key="llama_cpp", parse=build_number, least=1)] = DEFAULT.build
    busy: Annotated[float, Column(least=0, most=1, expected="a share from 0 to 1")] = 0.5

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody's, models first."""
        return (*(model.name for model in self.models), *(item.name for item in self.externals))

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key, and what is wrong with it."""
        if not self.names:
            yield "models", "expected at least one model or external"
        for position, name in enumerate(self.names):
            if name in self.names[:position]:
                yield "models", f"the name {name!r} stands there twice"
        ports: dict[int, str] = {}
        for model in self.models:
            if model.port is not None and ports.setdefault(model.port, model.name) != model.name:
                yield "models", f"{ports[model.port]} and {model.name} share port {model.port}"
        yield from self._faults_of_groups()
        if self.n_prompt + self.n_gen < 1:
            yield "n_gen", "expected at least one token with n_prompt"

    def _faults_of_groups(self) -> Iterator[tuple[str, str]]:
        for index, group in enumerate(self.groups):
            if group.name in {other.name for other in self.groups[:index]}:
                yield f"groups[{index}].name", f"{group.name!r} is already a group"
            for member in group.members:
                if member not in self.names:
                    known = ", ".join(sorted(self.names))
                    yield f"groups[{index}].members", f"{member!r} is no model or external; known are {known}"

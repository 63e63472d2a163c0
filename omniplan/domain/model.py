"""A model as a planner sees it: hyper-parameters, layers by kind, tensors by role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final

from omniplan.domain.evidence import Assumption
from omniplan.domain.header import Header, Tensor, Value
from omniplan.domain.hparams import Hparams
from omniplan.domain.roles import Role, role_of


class MixerKind(StrEnum):
    """How a layer mixes tokens: not at all, by a recurrent state, or by attention with K and V per so many heads."""

    NONE = "none"
    RECURRENT = "recurrent"
    RECURRENT_ATTENTION = "recurrent+attention"
    MHA = "mha"
    GQA = "gqa"
    MQA = "mqa"
    MLA = "mla"


class FeedForwardKind(StrEnum):
    """How a layer feeds forward: not at all, densely, or by routed experts, some with shared ones beside them."""

    NONE = "none"
    DENSE = "dense"
    MOE = "moe"
    MOE_SHARED = "moe+shared"

    @property
    def is_routed(self) -> bool:
        """Whether a token chooses among experts."""
        return self in (FeedForwardKind.MOE, FeedForwardKind.MOE_SHARED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One repeating block; ``is_sliding`` tells attention over a window from attention over everything."""

    il: int
    mixer: MixerKind
    ffn: FeedForwardKind
    is_nextn: bool
    tensors: tuple[Tensor, ...]
    is_sliding: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Companions:
    """Files that one server loads beside its model; those left out are not at hand."""

    draft: Model | None = None
    projector: Header | None = None
    adapters: tuple[Header, ...] = ()


NO_COMPANIONS: Final = Companions()


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A header read through the architecture's rules; compared by identity, so that results can be cached by it.

    ``loader_facts`` are fields of the architecture's row that the build it is read for has otherwise.
    """

    header: Header
    arch: str
    hparams: Hparams
    layers: tuple[Layer, ...]
    assumptions: tuple[Assumption, ...] = ()
    companions: Companions = NO_COMPANIONS
    loader_facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What people call it: its own name, else its architecture."""
        return str(self.header.metadata.get("general.name") or self.arch)

    def key(self, suffix: str, default: Value | None = None) -> Value | None:
        """Metadata value ``<arch>.<suffix>``, or ``default`` when the header leaves it out."""
        return self.header.metadata.get(f"{self.arch}.{suffix}", default)

    def tensor(self, name: str) -> Tensor | None:
        """The tensor called ``name``, or None."""
        return self.header.by_name.get(name)

    @cached_property
    def is_moe(self) -> bool:
        """Whether a layer has routed experts."""
        return any(layer.ffn.is_routed for layer in self.layers)

    @property
    def first_routed(self) -> int:
        """The first layer with routed experts, so how many lead without; 0 where there are none."""
        trunk = self.layers[: self.hparams.n_layer]
        return next((layer.il for layer in trunk if layer.ffn.is_routed), 0)

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """Role of every tensor, by name."""
        return {tensor.name: role_of(tensor.name, self.hparams.n_layer) for tensor in self.header.tensors}

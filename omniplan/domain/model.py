"""A model as a planner sees it: hyper-parameters, layers by kind, tensors by role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from omniplan.domain.evidence import Assumption
from omniplan.domain.header import Header, Tensor, Value
from omniplan.domain.hparams import Hparams
from omniplan.domain.roles import Role, role_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One repeating block; ``mixer`` is how it mixes tokens, ``ffn`` how it feeds forward."""

    il: int
    mixer: str
    ffn: str
    is_nextn: bool
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A header read through the architecture's rules; compared by identity, so that results can be cached by it."""

    header: Header
    arch: str
    hparams: Hparams
    layers: tuple[Layer, ...]
    assumptions: tuple[Assumption, ...] = ()

    def key(self, suffix: str, default: Value | None = None) -> Value | None:
        """Metadata value ``<arch>.<suffix>``, or ``default`` when the header leaves it out."""
        return self.header.metadata.get(f"{self.arch}.{suffix}", default)

    def tensor(self, name: str) -> Tensor | None:
        """The tensor called ``name``, or None."""
        return self.header.by_name.get(name)

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """Role of every tensor, by name."""
        return {tensor.name: role_of(tensor.name, self.hparams.n_layer) for tensor in self.header.tensors}

"""What one server holds beside its model's own context, part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from omniplan.domain.footprint import BufferSize, ContextKind
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.llamacpp.load import adapters, expert_cache
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.second import price_draft, price_mtp
from omniplan.llamacpp.projector import memory as projector

# Bytes per buffer type; empty where the arguments ask for none, or where the file they name is not at hand.
Pricer = Callable[[Model, Machine, ServerParams, Placement], Mapping[str, BufferSize]]


def _projector(model: Model, machine: Machine, params: ServerParams, placement: Placement) -> Mapping[str, BufferSize]:
    return projector.held(model, machine, params, placement.context.n_ubatch)


_PRICERS: Final[Mapping[ContextKind, Pricer]] = {
    ContextKind.DRAFT: price_draft,
    ContextKind.MTP: price_mtp,
    ContextKind.PROJECTOR: _projector,
    ContextKind.ADAPTERS: adapters.price,
    ContextKind.EXPERT_CACHE: lambda _model, _machine, _params, placement: expert_cache.sizes(placement.expert_cache),
}


def beside(
    model: Model, machine: Machine, params: ServerParams, placement: Placement
) -> dict[ContextKind, Mapping[str, BufferSize]]:
    """Bytes per buffer type of every part that ``params`` add to a process whose model lies at ``placement``."""
    priced = {kind: pricer(model, machine, params, placement) for kind, pricer in _PRICERS.items()}
    return {kind: sizes for kind, sizes in priced.items() if sizes}

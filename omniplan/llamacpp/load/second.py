"""What the context that drafts takes: a draft model with its cache and compute buffers, or those of nextn layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.footprint import BufferSize, ContextKind
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.errors import ArgumentError
from omniplan.gguf.model.architectures import row_of
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.load.place import measure, place
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.speculation import SecondContext, second, settled

# A refusal of the second context names the flag that asked for it.
_FLAGS: Final = {
    "--cache-type-k": "--spec-draft-type-k",
    "--cache-type-v": "--spec-draft-type-v",
    "--device": "--spec-draft-device",
    "--override-tensor": "--spec-draft-override-tensor",
}


def is_known(asked: SecondContext) -> bool:
    """Whether the graph of the context is simulated."""
    known = families.has_mtp if asked.is_mtp else families.is_known
    return known(asked.model.arch)


def measured(asked: SecondContext, machine: Machine, *, no_alloc: bool) -> Mapping[str, BufferSize]:
    """Bytes per buffer type that the context adds, loaded or not; raises ArgumentError where llama.cpp refuses it."""
    if asked.is_mtp:
        _check_heads(asked.model)
    try:
        placement = place(asked.model, machine, asked.params, is_mtp=asked.is_mtp, no_alloc=no_alloc)
        sizes = measure(asked.model, placement)
    except ArgumentError as error:
        raise ArgumentError(_FLAGS.get(error.flag, error.flag), error.problem, remedy=error.remedy) from error
    if asked.kind is ContextKind.DRAFT:
        return sizes
    # The main model holds the weights.
    return {name: replace(size, model=0) for name, size in sizes.items()}


def _check_heads(model: Model) -> None:
    """The assertions of the ``graph_mtp`` constructors (src/models/*.cpp)."""
    count = model.hparams.n_layer_nextn
    if count == 0 or (count > 1 and not row_of(model).several_heads):
        problem = f"llama.cpp aborts, it drafts with one nextn layer of {model.arch}, and there are {count or 'none'}"
        raise ArgumentError("--spec-type", problem, remedy="drop draft-mtp")


def price_draft(model: Model, machine: Machine, params: ServerParams, placement: Placement) -> Mapping[str, BufferSize]:
    """Weights, cache and compute buffers of a draft model beside a main one at ``placement``."""
    return _priced(ContextKind.DRAFT, model, machine, params, placement)


def price_mtp(model: Model, machine: Machine, params: ServerParams, placement: Placement) -> Mapping[str, BufferSize]:
    """Cache and compute buffers of the model's own nextn layers."""
    return _priced(ContextKind.MTP, model, machine, params, placement)


def _priced(
    kind: ContextKind, model: Model, machine: Machine, params: ServerParams, placement: Placement
) -> Mapping[str, BufferSize]:
    asked = second(model, settled(model, params), placement.context.n_ctx)
    if not asked or asked.kind is not kind or not is_known(asked):
        return {}
    return measured(asked, machine, no_alloc=placement.no_alloc)

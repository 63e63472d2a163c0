"""Drafting: which kinds a server uses, and the second context in which a draft model or nextn layers run.

Upstream: common/speculative.cpp (common_base_params_to_speculative, common_speculative_init_result), common/arg.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from omniplan.domain.footprint import ContextKind
from omniplan.domain.model import Model
from omniplan.domain.params import MTP, DraftParams, ServerParams, SplitMode
from omniplan.gguf.model import architectures

# Flags that name a draft model, beside -md.
DRAFT_FLAGS: Final = frozenset({"--spec-draft-hf", "--fim-qwen-7b-spec", "--fim-qwen-14b-spec"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondContext:
    """The context that drafts: of a draft ``model`` of its own, or of the main one, whose weights are there already.

    ``is_mtp``: it runs the nextn layers of that model.
    """

    kind: ContextKind
    model: Model
    params: ServerParams
    is_mtp: bool


def settled(model: Model, params: ServerParams) -> ServerParams:
    """``params`` with the kind of drafting that llama-server reads off the draft's header where none is named."""
    kind = None if params.spec_types else _kind_of(_draft(model, params))
    return params if kind is None else replace(params, spec_types=(kind,))


def second(model: Model, params: ServerParams, n_ctx: int) -> SecondContext | None:
    """The context that drafts beside a main one of ``n_ctx`` cells; None where no model drafts or its file is missing.

    ``params`` are settled.
    """
    asks, draft = _asks_draft(params), _draft(model, params)
    if (asks and draft is None) or not (asks or params.load_mtp):
        return None
    common = replace(
        params,
        n_ctx=n_ctx,
        kv_unified_per_slot=0,
        embedding=False,
        pooling=None,
        cache_type_k=params.draft.cache_type_k,
        cache_type_v=params.draft.cache_type_v,
        # b11549: the cache of experts is the target's alone.
        moe_cache=0,
        spec_types=(MTP,) if params.load_mtp else (),
        # One row of logits per slot, and no earlier states.
        draft=DraftParams(n_max=0),
    )
    if draft is None:
        return SecondContext(kind=ContextKind.MTP, model=model, params=common, is_mtp=True)
    own = _own(common, params.draft)
    return SecondContext(kind=ContextKind.DRAFT, model=draft, params=own, is_mtp=params.load_mtp)


def _own(common: ServerParams, draft: DraftParams) -> ServerParams:
    """What a draft model does not take over from the main one."""
    return replace(
        common,
        devices=common.devices if draft.devices is None else draft.devices,
        split_mode=SplitMode.LAYER if draft.devices and len(draft.devices) == 1 else common.split_mode,
        n_gpu_layers=draft.n_gpu_layers,
        overrides=draft.overrides,
    )


def _asks_draft(params: ServerParams) -> bool:
    return params.draft.model is not None or any(name in DRAFT_FLAGS for name, _ in params.extra)


def _draft(model: Model, params: ServerParams) -> Model | None:
    """The draft model that ``params`` load, if its file is at hand."""
    return model.companions.draft if _asks_draft(params) else None


def _kind_of(draft: Model | None) -> str | None:
    """common/speculative.cpp: ``common_speculative_types_from_gguf``."""
    if draft is None:
        return None
    if kind := architectures.row(draft.arch).drafts:
        return "draft-dspark" if draft.tensor("markov_w1.weight") else kind
    last = draft.hparams.n_layer_all - 1
    return MTP if draft.tensor(f"blk.{last}.nextn.eh_proj.weight") else None

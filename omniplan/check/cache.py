"""Rules about context, slots, and the types of the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.params import FlashAttn, SplitMode
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.units import gib

_TYPES: Final = ("cache-type-k", "cache-type-v")
_STRETCHES: Final = ("rope-scaling", "rope-scale", "rope-freq-base", "rope-freq-scale", "yarn-orig-ctx")
# The newest build whose library has the refusal; the next one looked at, b9554, takes it.
_DIVIDES_F16_ALONE: Final = 9445
# ggml/CMakeLists.txt: GGML_CUDA_FA_QUANTS, pairs with a kernel of their own in a default build.
_BUILT: Final = frozenset((name, name) for name in ("f16", "bf16", "q4_0", "q8_0"))


def unknown_type(case: Case) -> Iterator[Hit]:
    """A type the cache cannot have, such as f8."""
    for option, _ in case.reading.refused:
        if option is not None and option.row is not None and option.row.key in _TYPES and option.value:
            known = ", ".join(option.row.choices)
            yield Hit(message=f"{option.name} {option.value}: no such type; there are {known}", at=option.at)


def v_needs_flash_attention(case: Case) -> Iterator[Hit]:
    """A quantised V cache with flash attention off."""
    if case.params.flash_attn is FlashAttn.OFF and TYPE_BY_NAME[case.params.cache_type_v].is_quantized:
        given, name = case.option("cache-type-v"), case.params.cache_type_v
        yield Hit(message=f"a V cache of {name} needs flash attention, which is off", at=given.at if given else None)


def divided_cache_quantised(case: Case) -> Iterator[Hit]:
    """A quantised cache under ``-sm tensor`` on a build that is known to refuse it."""
    types = [name for name in (case.params.cache_type_k, case.params.cache_type_v) if TYPE_BY_NAME[name].is_quantized]
    given = case.option("cache-type-k") or case.option("cache-type-v")
    if types and given and case.params.split_mode is SplitMode.TENSOR and case.build <= _DIVIDES_F16_ALONE:
        yield Hit(message=f"b{case.build} takes no cache of {types[0]} with -sm tensor", at=given.at)


def pair_without_kernel(case: Case) -> Iterator[Hit]:
    """Types of K and V that a default CUDA build has no vector kernel for."""
    pair = case.params.cache_type_k, case.params.cache_type_v
    given = case.option("cache-type-k") or case.option("cache-type-v")
    is_latent = case.model is not None and case.model.hparams.is_mla
    if given is None or pair in _BUILT or is_latent or case.params.n_gpu_layers == 0:
        return
    yield Hit(
        message=f"K {pair[0]} with V {pair[1]}: a default CUDA build has no vector kernel for it",
        at=given.at,
    )


def low_bits(case: Case) -> Iterator[Hit]:
    """A cache of four bits."""
    for key in _TYPES:
        given = case.option(key)
        if given is not None and given.value in ("q4_0", "q4_1", "iq4_nl"):
            yield Hit(message=f"{given.name} {given.value}: four bits a value", at=given.at)
            return


def over_training(case: Case) -> Iterator[Hit]:
    """A sequence longer than the model was trained on, and nothing that stretches it."""
    if case.model is None or any(case.option(key) for key in _STRETCHES):
        return
    trained = case.model.hparams.n_ctx_train
    asked = case.params.n_ctx_asked
    per_slot = asked if case.params.is_kv_unified else asked // case.params.n_seq_max
    if trained and per_slot > trained:
        held = sum(size.context for size in case.priced.buffers.values()) if case.priced else 0
        cost = f"; {gib(held * (per_slot - trained) // per_slot)} of cache are for the rest" if held else ""
        given = case.option("ctx-size")
        yield Hit(
            message=f"{per_slot:,} tokens a sequence, trained on {trained:,}{cost}", at=given.at if given else None
        )


def slots(case: Case) -> Iterator[Hit]:
    """What each of several slots gets."""
    given, params = case.option("parallel"), case.params
    if given is None:
        if not case.may_have("parallel"):
            shared = f"{case.slots[0]:,} tokens" if params.n_ctx else "the whole context"
            yield Hit(message=f"no -np: {params.n_seq_max} slots share {shared}")
        return
    if params.n_seq_max < 2 or params.n_parallel < 1:
        return
    total, each = case.slots
    if not total:
        return
    if params.is_kv_unified:
        text = f"-np {params.n_parallel}: the slots share {total:,} tokens"
    else:
        text = f"-np {params.n_parallel}: each slot gets {each:,} of {total:,} tokens"
    yield Hit(message=text, at=given.at)


def negative_slots(case: Case) -> Iterator[Hit]:
    """``-np`` below 0."""
    given = case.option("parallel")
    if given is None or case.params.n_parallel >= 0:
        return
    is_lost = case.params.kv_unified is False
    yield Hit(
        message=f"-np {given.value} means {case.params.n_seq_max} slots and one cache for all of them"
        + (", whatever -no-kvu says" if is_lost else ""),
        at=given.at,
        severity=None if is_lost else Severity.INFO,
    )


RULES: Final[Mapping[str, CommandRule]] = {
    "cache-type-unknown": unknown_type,
    "v-cache-needs-flash-attention": v_needs_flash_attention,
    "divided-cache-quantised": divided_cache_quantised,
    "cache-pair-without-kernel": pair_without_kernel,
    "cache-of-four-bits": low_bits,
    "context-over-training": over_training,
    "slots": slots,
    "slots-negative": negative_slots,
}

"""The type llama-quantize gives every tensor of a model, by its rules as data (b11434 src/llama-quant.cpp)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from omniplan.domain.header import Tensor
from omniplan.domain.model import Model
from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.errors import UnsupportedModel
from omniplan.llamacpp.quant.table import Depth, Mix, QuantRule, Seventy, Shape, quantize_rules

_OUTPUT: Final = "output"
_EMBEDDINGS: Final = ("token_embd.weight", "per_layer_token_embd.weight")
_ATTENTION_V: Final = ("attention_v", "attention_qkv", "attention_kv_b")
_FEED_FORWARD: Final = ("ffn_down", "ffn_gate", "ffn_up")
# A type with blocks of this size has no smaller one to stand in for it, and gives way to f16.
_SMALLEST_BLOCK: Final = 32
_LAYER: Final = re.compile(r"blk\.(\d+)\.")


def _more_bits(i: int, n: int) -> bool:
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


_PARTS: Final[Mapping[Depth, Callable[[int, int], bool]]] = {
    Depth.ANY: lambda _i, _n: True,
    Depth.FIRST_TWO: lambda i, _n: i < 2,
    Depth.FIRST_FOUR: lambda i, _n: i < 4,
    Depth.FIRST_SIXTEENTH: lambda i, n: i < n // 16,
    Depth.FIRST_EIGHTH: lambda i, n: i < n // 8,
    Depth.MIDDLE: lambda i, n: n // 8 <= i < 7 * n // 8,
    Depth.MORE_BITS: _more_bits,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantRecipe:
    """How a model is quantised: the mix, with an importance matrix or not, and ``pure``: no rules, one type."""

    mix: Mix
    imatrix: bool
    pure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the rules ask of a whole model; ``n_layer`` counts nextn layers, ``gqa`` is that of the first layer."""

    arch: str
    n_layer: int
    n_expert: int
    gqa: int
    is_70b: bool
    is_tied: bool
    n_values: int

    @classmethod
    def of(cls, model: Model) -> _Facts:
        h = model.hparams
        n_head, n_head_kv = h.n_head[0], h.n_head_kv[0]
        seventy = quantize_rules().seventy.get(model.arch)
        return cls(
            arch=model.arch,
            n_layer=h.n_layer_all,
            n_expert=h.n_expert,
            gqa=n_head // n_head_kv if n_head_kv else 0,
            is_70b=seventy is not None and _is_seventy(seventy, h.n_layer, n_head, n_head_kv),
            is_tied=model.tensor("output.weight") is None,
            n_values=sum(category(tensor.name) in _ATTENTION_V for tensor in model.header.tensors),
        )


def _is_seventy(row: Seventy, n_layer: int, n_head: int, n_head_kv: int) -> bool:
    return n_layer == row.n_layer and not (row.grouped and n_head == n_head_kv)


def order(tensor: Tensor) -> tuple[int, str]:
    """llama.cpp goes through tensors by layer, then by name; those outside the layers come first."""
    match = _LAYER.match(tensor.name)
    return int(match[1]) if match else -1, tensor.name


@lru_cache(maxsize=8192)
def category(name: str) -> str:
    """What the rules take the tensor ``name`` for; "other" for what they do not speak of."""
    if name == "output.weight":
        return _OUTPUT
    if name in _EMBEDDINGS:
        return "token_embd"
    return next((kind for kind, text in quantize_rules().category.order if text in name), "other")


def is_kept(tensor: Tensor, arch: str) -> bool:
    """Whether llama-quantize leaves ``tensor`` as it is: vectors, norms, routers, convolutions and the like."""
    return _n_dims(tensor) == 1 or _is_kept_name(tensor.name, arch)


@lru_cache(maxsize=8192)
def _is_kept_name(name: str, arch: str) -> bool:
    known = quantize_rules()
    kept_here = known.keep_of.get(arch)
    texts = (*known.keep.contains, *(kept_here.contains if kept_here else ()))
    return not name.endswith("weight") or name in known.keep.names or any(text in name for text in texts)


def _n_dims(tensor: Tensor) -> int:
    """Dimensions without trailing ones (``ggml_n_dims``)."""
    return max((i + 1 for i, size in enumerate(tensor.shape) if size > 1), default=1)


def quantized_types(model: Model, recipe: QuantRecipe) -> dict[str, TensorType]:
    """The type of every tensor by name, in the order of llama-quantize's file; kept ones have their own.

    Raises UnsupportedModel where llama-quantize gives up: rows that fit no type, experts outside the layers.
    """
    facts, places = _read(model)
    rules, adjust = (
        [rule for rule in rows if _concerns(rule, facts, recipe)]
        for rows in (quantize_rules().rules, quantize_rules().adjust)
    )
    default = recipe.mix.default
    types: dict[str, TensorType] = {}
    for tensor, place in places:
        types[tensor.name] = tensor.type
        if place is None:
            continue
        if recipe.pure or not default.is_quantized:
            types[tensor.name] = _fitting(tensor, default)
            continue
        chosen = next((rule.type for rule in rules if _holds(rule, place, facts, default)), default)
        changed = (rule for rule in adjust if not rule.replaces or chosen.name in rule.replaces)
        chosen = next((rule.type for rule in changed if _holds(rule, place, facts, default)), chosen)
        types[tensor.name] = _fitting(tensor, chosen)
    return types


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor, what it counts as, and how many of that kind came before it."""

    tensor: Tensor
    kind: str
    i: int


@lru_cache(maxsize=4)
def _read(model: Model) -> tuple[_Facts, Sequence[tuple[Tensor, _Place | None]]]:
    """What rules ask of a model, and every tensor in the order of llama-quantize's file, without a place where kept."""
    facts, seen = _Facts.of(model), Counter[str]()
    return facts, [
        (tensor, None if is_kept(tensor, model.arch) else _place(tensor, facts, seen))
        for tensor in sorted(model.header.tensors, key=order)
    ]


def _place(tensor: Tensor, facts: _Facts, seen: Counter[str]) -> _Place:
    kind = category(tensor.name)
    counter = "values" if kind in _ATTENTION_V else kind
    i = seen[counter]
    seen[counter] += 1
    return _Place(tensor, _OUTPUT if kind == "token_embd" and facts.is_tied else kind, i)


def _concerns(rule: QuantRule, facts: _Facts, recipe: QuantRecipe) -> bool:
    """Whether what the rule asks of the model and the recipe holds."""
    return (
        (not rule.quants or recipe.mix.name in rule.quants)
        and recipe.mix.name not in rule.not_quants
        and (rule.imatrix == "any" or (rule.imatrix == "with") == recipe.imatrix)
        and (not rule.arch or facts.arch in rule.arch)
        and facts.arch not in rule.not_arch
        and (rule.n_expert is None or facts.n_expert == rule.n_expert)
        and facts.n_expert != rule.not_n_expert
        and facts.n_expert >= rule.min_expert
        and facts.gqa >= rule.min_gqa
        and (facts.is_70b or not rule.is_70b)
    )


def _holds(rule: QuantRule, place: _Place, facts: _Facts, default: TensorType) -> bool:
    """Whether what a rule that concerns the model asks of a tensor holds."""
    return (
        (not rule.category or place.kind in rule.category)
        and (not rule.contains or any(text in place.tensor.name for text in rule.contains))
        and _has_shape(rule.shape, place.tensor, default)
        and _is_there(rule, place, facts)
    )


def _has_shape(shape: Shape, tensor: Tensor, default: TensorType) -> bool:
    if shape == Shape.THREE_D:
        return any(size > 1 for size in tensor.shape[2:3])
    return shape == Shape.ANY or tensor.shape[0] % default.block != 0


def _is_there(rule: QuantRule, place: _Place, facts: _Facts) -> bool:
    if rule.layers == Depth.ANY:
        return True
    if place.kind not in _FEED_FORWARD:
        return _PARTS[rule.layers](place.i, facts.n_values)
    by_name = facts.n_expert > 1 and not rule.counted
    return _PARTS[rule.layers](_layer(place.tensor.name) if by_name else place.i, facts.n_layer)


def _layer(name: str) -> int:
    match = _LAYER.match(name)
    if match is None:
        raise UnsupportedModel(f"{name}: lies outside the layers; llama-quantize refuses this in a model with experts")
    return int(match[1])


def _fitting(tensor: Tensor, kind: TensorType) -> TensorType:
    """``kind``, or what stands in for it where the rows are no whole number of its blocks."""
    columns = tensor.shape[0]
    if columns % kind.block == 0:
        return kind
    fallback = quantize_rules().fallback.get(kind.name, kind)
    if fallback is kind and kind.block > _SMALLEST_BLOCK:
        raise UnsupportedModel(
            f"{tensor.name}: rows of {columns:,} are no whole number of {kind.name} blocks of {kind.block}, and "
            "llama-quantize has nothing to put in their place; choose another quant"
        )
    return fallback if columns % fallback.block == 0 else TYPE_BY_NAME["f16"]

"""How ``--split-mode tensor`` divides weights and caches over devices (``data/tensor_division.toml``)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate
from typing import Final

from omniplan.documents.source import read_table
from omniplan.domain.header import Tensor
from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.tensor_type import TensorType
from omniplan.errors import ArgumentError
from omniplan.llamacpp.graph.families.gemma4 import reused_layer
from omniplan.llamacpp.load.memory import CacheTensor
from omniplan.units import single

_IN_LAYER: Final = re.compile(r"blk\.(\d+)\.(.+)")
# llama_meta_device_get_split_state: kernels are slow on fewer elements.
_FAST: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRow:
    """Tensors that are cut alike; the head of the table explains the fields."""

    name: str
    archs: tuple[str, ...] = ()
    axis: int | None = None
    like: tuple[str, ...] = ()
    unit: str = ""
    linear: str = ""
    per_head: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DivisionTable:
    """The whole table."""

    source: str
    gated_query: tuple[str, ...]
    interleaved: tuple[str, ...]
    measured: tuple[str, ...]
    tensor: tuple[TensorRow, ...]


@cache
def table() -> DivisionTable:
    """The rows; raises TableError on an unknown key or value."""
    return read_table("tensor_division.toml", DivisionTable)


@lru_cache(maxsize=1024)
def row(name: str, arch: str) -> TensorRow:
    """The row of a tensor by its name within its layer; one that stays whole where none is about it."""
    rows = (row for row in table().tensor if not row.archs or arch in row.archs)
    return next((row for row in rows if re.fullmatch(row.name, name)), TensorRow(name=name))


@dataclass(frozen=True, slots=True)
class Slice:
    """One device's part of a tensor: rows of ``ne0`` elements, and the bytes of all."""

    ne0: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """``length`` elements, ``repeats`` times over, each cut at multiples of ``unit``."""

    length: int
    repeats: int
    unit: int


@dataclass(frozen=True, slots=True)
class Division:
    """One model's over several devices; ``shares`` are their ``-ts`` proportions, all zero for even ones."""

    model: Model
    shares: tuple[float, ...]

    def weight(self, tensor: Tensor) -> tuple[Slice, ...]:
        """Every device's part of a weight; raises ArgumentError where llama.cpp aborts."""
        return self._slices(tensor.name, tensor.type, tensor.shape)

    def cached(self, cache: CacheTensor) -> tuple[Slice, ...]:
        """The same of a cache."""
        return self._slices(f"blk.{cache.il}.cache_{cache.part}", cache.type, (cache.row, cache.cells, cache.streams))

    def check_adapters(self, names: Iterable[str]) -> None:
        """Raise ArgumentError where an adapter of one of the weights called ``names`` is applied to slices.

        Its factors are whole on every device, and no rule joins the two (``ggml_backend_meta_get_split_state``).
        """
        cut = next((name for name in names if row(name.split(".", 2)[-1], self.model.arch).axis is not None), None)
        if cut:
            problem = f"llama.cpp aborts, {cut} is divided and its adapter is not"
            raise ArgumentError("--lora", problem, remedy="use -sm layer, or merge the adapter into the model")

    def check_readers(self, caches: Iterable[CacheTensor]) -> None:
        """Raise ArgumentError where a layer without a cache would look for its heads on another device.

        Nothing moves heads between devices: ``ggml_backend_meta_get_split_state`` stops llama.cpp.
        """
        h = self.model.hparams
        keys = {cache.il: cache for cache in caches if cache.part == "k"}
        for il in (il for il in range(h.n_layer) if not h.has_kv[il]):
            cache = keys.get(reused_layer(h, il))
            if cache and self.cached(cache) != self.cached(replace(cache, il=il)):
                raise _aborts(f"layer {il} reads the cache of layer {cache.il}, which is cut otherwise")

    def _slices(self, full_name: str, kind: TensorType, shape: tuple[int, ...]) -> tuple[Slice, ...]:
        found = _IN_LAYER.fullmatch(full_name)
        il, name = (int(found[1]), found[2]) if found else (None, full_name)
        if il is not None and il >= self.model.hparams.n_layer_all:
            raise _aborts(f"{full_name} is of no layer")
        rule, rows = row(name, self.model.arch), math.prod(shape[1:])
        whole = Slice(shape[0], kind.row_size(shape[0]) * rows)
        axis = rule.axis
        if axis is None or axis >= len(shape) or (rule.per_head and math.prod(shape[1:2]) == 1):
            return (whole,) * len(self.shares)
        block = self._type(full_name, kind, rule, il).block
        lengths = _cut(self._segments(name, rule, il, shape[axis], block), self._turned(il))
        if axis:
            return tuple(Slice(shape[0], whole.nbytes // shape[axis] * length) for length in lengths)
        if any(length % kind.block for length in lengths):
            raise _aborts(f"no device can have whole blocks of {full_name}")
        return tuple(Slice(length, kind.row_size(length) * rows) for length in lengths)

    def _type(self, full_name: str, kind: TensorType, rule: TensorRow, il: int | None) -> TensorType:
        """The type that says how many elements hang together."""
        names = [like if il is None else f"blk.{il}.{like}" for like in rule.like]
        known = [tensor.type for name in names if (tensor := self.model.tensor(name))]
        if names and not known:
            raise _aborts(f"it cuts {full_name} as {' or '.join(names)}, which the model does not have")
        return known[0] if known else kind

    def _turned(self, il: int | None) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Devices in the order in which they take their parts, and their shares.

        Every layer of a kind begins with the next device, so that rounding does not favour the same one.
        """
        h, n = self.model.hparams, len(self.shares)
        before = h.n_layer if il is None else sum(_kind(h, i) == _kind(h, il) for i in range(il))
        order = tuple((i + before) % n for i in range(n))
        return order, tuple(self.shares[i] for i in order)

    def _segments(self, name: str, rule: TensorRow, il: int | None, length: int, block: int) -> list[_Segment]:
        h, arch = self.model.hparams, self.model.arch
        layer = 0 if il is None else il
        units = _linear_units(h, block) if h.is_recr[layer] else self._attention_units(layer, block)
        # A header may say 0 for what makes a unit up; llama.cpp would divide by it.
        unit = units.get(rule.linear if h.is_recr[layer] else rule.unit, 1) or 1
        if rule.unit == "qkv" and not h.is_recr[layer]:
            return list(_qkv(h, layer, units, is_gated=arch in table().gated_query))
        if arch in table().gated_query and rule.linear not in ("", "ffn"):
            return [_Segment(a, repeats, unit) for a, repeats in _linear_parts(h, rule, length, arch)]
        is_pair = name.startswith("ffn_gate_up") or (name.startswith("ffn_up") and length == 2 * h.n_ff[layer])
        if is_pair:
            return [_Segment(length // 2, 2, unit)]
        if rule.unit == "gate" and length == h.n_head[layer]:
            unit = units.get("heads", 1)
        return [_Segment(length, 1, unit)]

    def _attention_units(self, il: int, block: int) -> dict[str, int]:
        h = self.model.hparams
        ffn = {"ffn": math.lcm(block, _FAST)}
        if not (h.n_head_kv[il] and h.n_embd_head_k[il]):
            return ffn
        group = h.n_head[il] // h.n_head_kv[il]
        width, fast = group * h.n_embd_head_k[il], block
        while fast < _FAST and fast * len(self.shares) < width:
            fast *= 2
        query = math.lcm(width, fast)
        heads, key = query // h.n_embd_head_k[il], query // group
        value = key // h.n_embd_head_k[il] * h.n_embd_head_v[il]
        is_gated = self.model.arch in table().gated_query
        return ffn | self._group_units(il) | {
            "query": math.lcm(2 * width, fast) if is_gated else query,
            "gate": query, "key": key, "value": value, "heads": heads, "attention": heads * h.n_embd_head_v[il],
        }  # fmt: skip

    def _group_units(self, il: int) -> dict[str, int]:
        """Of DeepSeek-V4, whose output projection works on groups of heads."""
        groups, rank = (self.model.key(f"attention.output_{key}") for key in ("group_count", "lora_rank"))
        if not (isinstance(groups, int) and isinstance(rank, int) and groups):
            return {}
        heads = self.model.hparams.n_head[il] // groups
        return {
            "heads of a group": heads,
            "group": heads * self.model.hparams.n_embd_head_k[il],
            "rank of a group": rank,
        }


def _kind(h: Hparams, il: int) -> tuple[bool, bool]:
    return h.is_recr[il], h.is_swa[il]


def _linear_units(h: Hparams, block: int) -> dict[str, int]:
    """Whole heads of the state."""
    ffn = math.lcm(block, _FAST)
    channels = math.lcm(ffn, h.ssm_d_state or 1)
    heads = channels // (h.ssm_d_state or 1)
    return {
        "ffn": ffn, "channels": channels, "state heads": heads, "pairs of state heads": 2 * heads,
        "history": channels * (h.ssm_d_conv - 1), "state": channels * h.ssm_d_state,
    }  # fmt: skip


def _qkv(h: Hparams, il: int, units: Mapping[str, int], *, is_gated: bool) -> Iterator[_Segment]:
    """Q, K and V one behind the other."""
    yield _Segment(h.n_head[il] * h.n_embd_head_k[il] * (2 if is_gated else 1), 1, units["query"])
    k, v = h.n_embd_k_gqa(il), h.n_embd_v_gqa(il)
    if k == v:
        yield _Segment(k, 2, units["key"])
    else:
        yield from (_Segment(k, 1, units["key"]), _Segment(v, 1, units["value"]))


def _linear_parts(h: Hparams, rule: TensorRow, length: int, arch: str) -> list[tuple[int, int]]:
    """Q, K and V of a gated delta net: lengths with how often each is there."""
    keys, ratio = h.ssm_n_group * h.ssm_d_state, max(1, h.ssm_dt_rank // max(1, h.ssm_n_group))
    values = h.ssm_dt_rank * h.ssm_d_state
    scale = h.ssm_d_conv - 1 if rule.linear == "history" else 1
    is_mixed = length == (2 * keys + values) * scale
    if arch in table().interleaved:
        return [(keys * scale, 2), (values * scale, 1)] if is_mixed else [(length, 1)]
    if rule.linear == "pairs of state heads":
        return [(length, 1)]
    return [(keys * scale, 2 + ratio)] if is_mixed else [(length // ratio, ratio)]


def _cut(segments: Sequence[_Segment], turned: tuple[tuple[int, ...], tuple[float, ...]]) -> list[int]:
    """Elements each device gets, in llama.cpp's single precision."""
    order, shares = turned
    points = list(accumulate(map(single, shares), lambda total, x: single(total + x)))
    lengths = [0] * len(order)
    for segment in segments:
        low = 0
        for j, device in enumerate(order):
            high = segment.length if j == len(order) - 1 else _boundary(segment.length, j, points)
            if j < len(order) - 1:
                high -= high % segment.unit
            lengths[device] += (high - low) * segment.repeats
            low = high
    return lengths


def _boundary(length: int, j: int, points: Sequence[float]) -> int:
    if points[-1] == 0:
        return int(single(length * (j + 1) // len(points)))
    return int(single(single(single(length) * points[j]) / points[-1]))


def _aborts(why: str) -> ArgumentError:
    return ArgumentError("--split-mode", f"llama.cpp aborts, {why}", remedy="use -sm layer")

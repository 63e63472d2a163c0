"""Rules about tensor overrides: what their patterns match, and what they leave behind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from omniplan.audit.check.case import Case
from omniplan.audit.check.hit import Hit, WordEdit
from omniplan.audit.check.options import Option
from omniplan.audit.check.rule import CommandRule
from omniplan.domain.check import Severity
from omniplan.domain.params import Override, ServerParams, SplitMode
from omniplan.domain.roles import Role, layer_of
from omniplan.llamacpp.overrides import compile_pattern, first_match, parse_overrides

_GPU: Final = re.compile(r"(?:CUDA|ROCm|Vulkan|SYCL|MUSA)(\d+)")
# A dot that stands for any character, alone: not escaped, not repeated, not in brackets.
_BARE_DOT: Final = re.compile(r"(?:\\.|\[[^\]]*\]|[^\\.\[])|(?P<dot>\.(?![*+?{]))", re.DOTALL)
# Tensor names of a model nobody gave: enough to see what a pattern says of layer numbers.
_LAYERS: Final = range(100)
_SUFFIXES: Final = tuple(
    f"{name}.weight" for name in ("attn_q", "ffn_up", "ffn_up_exps", "ffn_gate_exps", "ffn_down_exps")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One item of an ``-ot`` value and the option it stands in."""

    option: Option
    override: Override


def _items(case: Case) -> tuple[_Item, ...]:
    """Every item the user wrote, in order; none from an option that llama-server refuses."""
    refused = {id(option) for option, _ in case.reading.refused}
    return tuple(
        _Item(option=option, override=override)
        for option in case.options("override-tensor")
        if id(option) not in refused
        for override in parse_overrides(option.value)
    )


def _names(case: Case) -> Sequence[str]:
    if case.model is not None:
        return tuple(case.model.header.by_name)
    return tuple(f"blk.{il}.{suffix}" for il in _LAYERS for suffix in _SUFFIXES)


def without_split(case: Case) -> Iterator[Hit]:
    """Overrides put whole layers on GPUs while the rest of these layers follows another split."""
    items = [item for item in _items(case) if _GPU.fullmatch(item.override.buffer_type)]
    is_several = len(case.gpus) > 1 if case.machine else len({item.override.buffer_type for item in items}) > 1
    if not items or not is_several or case.params.split_mode is SplitMode.NONE:
        return
    given = items[0].option
    if case.priced is None or case.model is None:
        if not any(case.params.tensor_split):
            yield Hit(
                message="-ot names GPUs and no -ts agrees: cache and all other tensors follow the default split",
                at=given.at,
            )
        return
    wanted = _wanted(case)
    apart = sum(1 for il, device in wanted.items() if case.priced.layers[il] != device)
    if apart:
        yield from _agreeing(case, wanted, given, apart)


def _agreeing(case: Case, wanted: Mapping[int, str], given: Option, apart: int) -> Iterator[Hit]:
    """The finding with its price: graph splits now and with the ``-ts`` that agrees, if that is any better."""
    assert case.priced is not None
    message = f"{apart} layers have their weights on one GPU by -ot, cache and the rest on another"
    share = _shares(case, wanted)
    better = case.price(replace(case.settled, tensor_split=tuple(map(float, share)))) if share else None
    if better is None or better.graph_splits is None or case.priced.graph_splits is None:
        yield Hit(message=f"{message}; no -ts agrees, since their layers are not in the GPUs' order", at=given.at)
        return
    now, then = case.priced.graph_splits.decode, better.graph_splits.decode
    if then < now:
        text, split = ",".join(map(str, share)), case.option("tensor-split")
        edit = WordEdit(word=given.at, texts=(given.at.text, "-ts", text))
        yield Hit(
            message=f"{message}: {now} graph splits per token, {then} with -ts {text}",
            at=given.at,
            fix=f"-ts {text}",
            edits=() if not better.fits else (WordEdit(word=split.at, texts=(text,)),) if split else (edit,),
        )


def _wanted(case: Case) -> dict[int, str]:
    """The GPU that overrides want most of a layer's tensors on, for layers where they want any."""
    assert case.model is not None
    found = first_match(case.params.overrides, case.model.header.by_name)
    votes: dict[int, Counter[str]] = {}
    for name, override in found.items():
        il = layer_of(name)
        if il is not None and _GPU.fullmatch(override.buffer_type):
            votes.setdefault(il, Counter())[override.buffer_type] += 1
    return {il: count.most_common(1)[0][0] for il, count in votes.items()}


def _shares(case: Case, wanted: Mapping[int, str]) -> list[int]:
    """Layers for each GPU so that its range is that of the overrides, none when they are not in the GPUs' order.

    A layer without an override goes with the one before it.
    """
    assert case.priced is not None
    order = [gpu.name for gpu in case.gpus]
    device = wanted[min(wanted)]
    devices = [device := wanted.get(il, device) for il in range(len(case.priced.layers))]
    indices = [order.index(name) for name in devices if name in order]
    if indices != sorted(indices):
        return []
    return [indices.count(index) for index in range(len(order))]


def counts_dense(case: Case) -> Iterator[Hit]:
    """``-ncmoe N`` counts leading layers that have no experts."""
    given = case.option("n-cpu-moe")
    if given is None or case.model is None or not case.is_moe or not given.value.isdigit():
        return
    lead = next((layer.il for layer in case.model.layers if layer.ffn.startswith("moe")), 0)
    count = int(given.value)
    if lead and count:
        moved = max(0, min(count, case.model.hparams.n_layer) - lead)
        yield Hit(
            message=f"-ncmoe {count} moves the experts of {moved} layers: the first {lead} have none and count",
            at=given.at,
            severity=None if moved == 0 else Severity.INFO,
            fix=f"for {count} layers write {count + lead}",
        )


def piles_on_last(case: Case) -> Iterator[Hit]:
    """``-ncmoe`` empties the first layers, which are all on the first GPU."""
    given = case.option("n-cpu-moe")
    if given is None or not case.params.overrides or case.params.split_mode is SplitMode.NONE:
        return
    if case.priced is None:
        if len(case.gpus) > 1 or len(case.params.tensor_split) > 1:
            yield Hit(
                message=f"-ncmoe {given.value} moves experts after layers were divided over the GPUs", at=given.at
            )
        return
    pools = [pool for gpu in case.gpus for pool in case.priced.pools if pool.name == gpu.name and pool.free]
    filled = [pool.used / pool.free for pool in pools if pool.free]
    if len(filled) > 1 and filled[-1] - filled[0] > _UNEVEN:
        shown = ", ".join(f"{pool.name} {share:.0%}" for pool, share in zip(pools, filled, strict=True))
        yield Hit(message=f"-ncmoe {given.value} leaves the GPUs unevenly filled: {shown}", at=given.at)


# Half of a GPU more on the last than on the first.
_UNEVEN: Final = 0.5


def matches_nothing(case: Case) -> Iterator[Hit]:
    """A pattern that matches no tensor of the model."""
    for item in _items(case):
        if not any(map(compile_pattern(item.override.pattern).matches, _names(case))):
            yield Hit(
                message=f"'{item.override.pattern}' matches no tensor of {_model(case)}",
                at=item.option.at,
                severity=Severity.INFO if _means_output(case, item.override.pattern) else None,
            )


def _means_output(case: Case, pattern: str) -> bool:
    """Whether a pattern is for the layer behind the last, as --fit itself writes: it counts the output as one."""
    return case.model is not None and compile_pattern(pattern).matches(
        f"blk.{case.model.hparams.n_layer_all}.ffn_up_exps.weight"
    )


def _model(case: Case) -> str:
    return "the model" if case.model is None else f"this {case.model.arch} model"


def shadowed(case: Case) -> Iterator[Hit]:
    """A pattern all of whose tensors an earlier one takes."""
    items = _items(case)
    names = _names(case)
    used = set(map(id, first_match([item.override for item in items], names).values()))
    for at, item in enumerate(items):
        is_repeated = any(other.override.pattern == item.override.pattern for other in items[:at])
        has_names = case.model is not None and any(map(compile_pattern(item.override.pattern).matches, names))
        if is_repeated or (has_names and id(item.override) not in used):
            yield Hit(
                message=f"'{item.override.pattern}={item.override.buffer_type}' does nothing: "
                "earlier patterns take all it matches",
                at=item.option.at,
            )


def unescaped_dot(case: Case) -> Iterator[Hit]:
    """A dot that matches any character."""
    for item in _items(case):
        pattern = item.override.pattern
        strict = _BARE_DOT.sub(lambda match: r"\." if match["dot"] else match[0], pattern)
        if strict == pattern or "blk" not in pattern:
            continue
        names = _names(case)
        loose, exact = (set(filter(compile_pattern(text).matches, names)) for text in (pattern, strict))
        if loose == exact and case.model is not None:
            yield Hit(
                message=f"'{pattern}': a bare dot matches any character; in this model it changes nothing",
                at=item.option.at,
                severity=Severity.INFO,
            )
            continue
        more = sorted(loose - exact, key=lambda name: layer_of(name) or 0)
        seen = f", so it takes {more[0]} too" if more else ""
        yield Hit(
            message=f"'{pattern}': a bare dot matches any character{seen}",
            at=item.option.at,
            fix=f"write '{strict}'",
            edits=_rewritten(item, strict),
        )


def prefix_of_layer(case: Case) -> Iterator[Hit]:
    r"""``blk\.1`` without an end matches blk.10 to blk.19."""
    layers = sorted({il for name in _names(case) if (il := layer_of(name)) is not None})
    for item in _items(case):
        cut = _cut_number(item.override.pattern, layers)
        more = [il for il in layers if cut is not None and il // 10 == cut]
        if more:
            yield Hit(
                message=f"'{item.override.pattern}' means blk.{cut} and matches blk.{more[0]} to blk.{more[-1]} too",
                at=item.option.at,
                fix=r"end the layer number with \.",
            )


def _cut_number(pattern: str, layers: Sequence[int]) -> int | None:
    """The layer number that a pattern takes for a whole one where it is the beginning of a longer one."""
    literal = _OPEN_NUMBER.search(pattern)
    if literal:
        return int(literal[1])
    search = compile_pattern(pattern).search
    found = {il: search(f"blk.{il}.") for il in layers}
    for il, match in found.items():
        digits = match.end() - len("blk.") if match and match.start() == 0 else 0
        if 0 < digits < len(str(il)):
            return int(str(il)[:digits])
    return None


# A number behind blk. that neither a dot nor another digit ends.
_OPEN_NUMBER: Final = re.compile(r"blk\\?\.([1-9]\d*)(?=\.[*+]|$)")


def _rewritten(item: _Item, pattern: str) -> tuple[WordEdit, ...]:
    old = f"{item.override.pattern}={item.override.buffer_type}"
    text = item.option.value.replace(old, f"{pattern}={item.override.buffer_type}", 1)
    return (WordEdit(word=item.option.at, texts=(text,)),)


def unused_device(case: Case) -> Iterator[Hit]:
    """An override to a GPU that computes nothing: llama.cpp aborts when the first token needs it."""
    in_use = _in_use(case)
    if in_use is None:
        return
    for item in _items(case):
        buffer = item.override.buffer_type
        if _GPU.fullmatch(buffer) and buffer not in in_use:
            shown = ", ".join(sorted(in_use)) or "no GPU"
            yield Hit(message=f"'{item.override.pattern}={buffer}': in use are {shown}", at=item.option.at)


def _in_use(case: Case) -> set[str] | None:
    """Names of GPUs that compute, None when only the machine could tell."""
    params: ServerParams = case.params
    if case.machine is not None:
        return {gpu.name for gpu in case.gpus}
    if params.devices is not None:
        return set(params.devices)
    return {f"CUDA{params.main_gpu}"} if params.split_mode is SplitMode.NONE and params.main_gpu >= 0 else None


def experts_only_on_cpu_of_dense(case: Case) -> Iterator[Hit]:
    """``-cmoe`` and ``-ncmoe`` with a model that has no experts."""
    if case.model is None or Role.ROUTED_EXPERT in case.model.roles.values():
        return
    for key in ("cpu-moe", "n-cpu-moe"):
        given = case.option(key)
        if given is not None and case.params.overrides:
            yield Hit(message=f"{given.name} moves experts and this {case.model.arch} model has none", at=given.at)


RULES: Final[Mapping[str, CommandRule]] = {
    "override-without-split": without_split,
    "override-matches-nothing": matches_nothing,
    "override-shadowed": shadowed,
    "override-bare-dot": unescaped_dot,
    "override-layer-prefix": prefix_of_layer,
    "override-unused-device": unused_device,
    "ncmoe-counts-dense": counts_dense,
    "ncmoe-piles-on-last": piles_on_last,
    "cpu-moe-without-experts": experts_only_on_cpu_of_dense,
}

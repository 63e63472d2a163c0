"""Rules about tensor overrides: where they put weights, and what they leave behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit
from omniplan.check.options import GivenOption
from omniplan.check.patterns import GPU, items_of
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.domain.roles import Role, layer_of
from omniplan.llamacpp.flags.overrides import first_match


def without_split(case: Case) -> Iterator[Hit]:
    """Overrides put whole layers on GPUs while the rest of these layers follows another split."""
    items = [item for item in items_of(case) if GPU.fullmatch(item.override.buffer_type)]
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
    apart = [il for il, device in wanted.items() if case.priced.layers[il] != device]
    # Part of a layer that overflows from one GPU to the next is what --fit writes itself.
    if len(apart) >= len(case.gpus) or any(_is_whole(case, il) for il in apart):
        yield from _agreeing(case, wanted, given, len(apart))


def _agreeing(case: Case, wanted: Mapping[int, str], given: GivenOption, apart: int) -> Iterator[Hit]:
    """The finding with its price: graph splits now and with the ``-ts`` that agrees, if that is any better."""
    assert case.priced is not None
    which = "1 layer has its" if apart == 1 else f"{apart} layers have their"
    message = f"{which} weights on one GPU by -ot, cache and the rest on another"
    share = _shares(case, wanted)
    better = case.price(replace(case.settled, tensor_split=tuple(map(float, share)))) if share else None
    if better is None or better.graph_splits is None or case.priced.graph_splits is None:
        yield Hit(
            message=f"{message}; no -ts agrees, since their layers are not in the GPUs' order",
            at=given.at,
            severity=Severity.INFO,
        )
        return
    now, then = case.priced.graph_splits.decode, better.graph_splits.decode
    if then < now:
        text = ",".join(map(str, share))
        yield Hit(
            message=f"{message}: {now} graph splits per token, {then} with -ts {text}",
            at=given.at,
            fix=f"-ts {text}" if better.fits else "",
        )


def _is_whole(case: Case, il: int) -> bool:
    """Whether overrides move every tensor of a layer, attention included."""
    assert case.model is not None
    names = [name for name in case.model.header.by_name if layer_of(name) == il]
    return len(first_match(case.params.overrides, names)) == len(names)


def _wanted(case: Case) -> dict[int, str]:
    """The GPU that overrides want most of a layer's tensors on, for layers where they want any."""
    assert case.model is not None
    found = first_match(case.params.overrides, case.model.header.by_name)
    votes: dict[int, Counter[str]] = {}
    for name, override in found.items():
        il = layer_of(name)
        if il is not None and GPU.fullmatch(override.buffer_type):
            votes.setdefault(il, Counter())[override.buffer_type] += 1
    return {il: count.most_common(1)[0][0] for il, count in votes.items()}


def _shares(case: Case, wanted: Mapping[int, str]) -> list[int]:
    """Layers for each GPU so that its range is that of the overrides, none when they are not in the GPUs' order.

    A layer without an override stays where it is.
    """
    assert case.priced is not None
    order = [gpu.name for gpu in case.gpus]
    devices = [wanted.get(il, device) for il, device in enumerate(case.priced.layers)]
    indices = [order.index(name) for name in devices if name in order]
    if indices != sorted(indices):
        return []
    return [indices.count(index) for index in range(len(order))]


def counts_dense(case: Case) -> Iterator[Hit]:
    """``-ncmoe N`` counts leading layers that have no experts."""
    given = case.option("n-cpu-moe")
    if given is None or case.model is None or not case.is_moe or not given.value.isdigit():
        return
    lead = case.model.first_routed
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


def unused_device(case: Case) -> Iterator[Hit]:
    """An override to a GPU that computes nothing: llama.cpp aborts when the first token needs it."""
    in_use = _in_use(case)
    if in_use is None:
        return
    for item in items_of(case):
        buffer = item.override.buffer_type
        if GPU.fullmatch(buffer) and buffer not in in_use:
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
    "override-unused-device": unused_device,
    "ncmoe-counts-dense": counts_dense,
    "ncmoe-piles-on-last": piles_on_last,
    "cpu-moe-without-experts": experts_only_on_cpu_of_dense,
}

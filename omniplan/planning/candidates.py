"""Placements to price: what was asked for, and where the layers lie, as parameters of llama-server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.params import MTP, FlashAttn, Override, ScaledFile, ServerParams, SplitMode
from omniplan.domain.plan import Settings
from omniplan.domain.request import DEFAULT, Request
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.write import write
from omniplan.planning import patterns
from omniplan.planning.pins import Pins
from omniplan.planning.ranges import Range

# Said in every plan, default or not: another build, or a variable in the environment, may have another default.
_SAID: Final = frozenset({"n_ubatch", "fit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One placement to price and what it is called.

    ``seconds`` is what the search reckoned with, 0 if nothing. ``is_baseline`` says that the layout is another's.
    """

    strategy: str
    params: ServerParams
    ranges: tuple[Range, ...] = ()
    seconds: float = 0.0
    is_baseline: bool = False

    @property
    def moved(self) -> tuple[int, ...]:
        """Layers with weights on the CPU."""
        return tuple(sorted(il for part in self.ranges for il in part.moved))


def args_of(params: ServerParams) -> tuple[str, ...]:
    """``params`` as a plan writes them down: explicit about context, slots, micro-batch and fit."""
    return write(params, said=_SAID | {"main_gpu"} if params.split_mode is SplitMode.NONE else _SAID)


def asked(request: Request, settings: Settings, *, rpc: tuple[str, ...] = ()) -> ServerParams:
    """What was asked for, before anything has a place, with the hosts at ``rpc``.

    Raises ArgumentError for what llama-server would refuse.
    """
    types = (settings.cache_type_k, settings.cache_type_v)
    usual = ServerParams()
    params = replace(
        usual,
        build=request.build,
        n_ctx=settings.n_ctx,
        n_ctx_given=True,
        n_parallel=request.n_parallel,
        cache_type_k=settings.cache_type_k,
        cache_type_v=settings.cache_type_v,
        flash_attn=usual.flash_attn if types == (DEFAULT.cache_type_k, DEFAULT.cache_type_v) else FlashAttn.ON,
        # llama_context clips -ub to -b.
        n_batch=usual.n_batch if settings.n_ubatch < usual.n_batch else 2 * settings.n_ubatch,
        n_ubatch=settings.n_ubatch,
        load_mode=request.load_mode,
        op_offload=settings.op_offload,
        moe_cache=settings.moe_cache,
        mmproj=request.mmproj,
        adapters=tuple(map(ScaledFile, request.lora)),
        rpc=rpc,
        spec_types=(MTP,) if settings.mtp else usual.spec_types,
        draft=replace(usual.draft, model=request.draft, n_max=settings.mtp or usual.draft.n_max),
    )
    return parse(write(params), build=request.build)


def single_gpu(params: ServerParams, index: int, n_layer_all: int, pins: Pins) -> Candidate:
    """The whole model on one GPU."""
    params = _pinned(params, pins, n_gpu_layers=all_layers(n_layer_all))
    return Candidate(strategy="single GPU", params=replace(params, split_mode=SplitMode.NONE, main_gpu=index))


def by_size(params: ServerParams, sizes: Sequence[int], n_layer_all: int, pins: Pins) -> Candidate:
    """The whole model over all GPUs, layers in proportion to ``sizes``."""
    params = _pinned(params, pins, n_gpu_layers=all_layers(n_layer_all))
    return Candidate(strategy=f"{len(sizes)} GPUs", params=replace(params, tensor_split=tuple(map(float, sizes))))


def split(
    params: ServerParams, machine: Machine, ranges: Sequence[Range], tensors: str, n_layer_all: int, pins: Pins
) -> Candidate:
    """Layers over GPUs in the order of ``ranges``; the layers that hold weights on the CPU share one pattern."""
    counts = {part.name: part.last - part.first for part in ranges}
    used = [*counts, *(name for name in pins.devices if name not in counts)]
    every = [gpu.name for gpu in machine.gpus]
    first = ranges[0].first
    params = _pinned(params, pins, n_gpu_layers=n_layer_all + 1 - first if first else all_layers(n_layer_all))
    if len(used) == 1:
        params = replace(params, split_mode=SplitMode.NONE, main_gpu=every.index(used[0]))
    else:
        shares = tuple(float(counts.get(name, 0)) for name in used)
        params = replace(params, devices=None if used == every else tuple(used), tensor_split=shares)
    moves = tuple(_overrides(ranges, tensors, n_layer_all))
    return Candidate(
        strategy=strategy(len(used), moved=bool(moves), tensors=tensors, partial=first > 0),
        params=replace(params, overrides=(*params.overrides, *moves)),
        ranges=tuple(ranges),
    )


def _pinned(params: ServerParams, pins: Pins, *, n_gpu_layers: int) -> ServerParams:
    return replace(params, n_gpu_layers=n_gpu_layers, overrides=pins.overrides, fit=False)


def _overrides(ranges: Sequence[Range], tensors: str, n_layer_all: int) -> Iterator[Override]:
    """One override for the layers that move whole, one for each set of projections that others move."""
    # A range may count the output among its moved layers, which has nothing to move and no block of its own.
    whole = [il for part in ranges for il in part.moved if il < n_layer_all and il != part.cut]
    if whole:
        yield patterns.to_cpu(whole, tensors)
    cut: dict[tuple[str, ...], list[int]] = {}
    for part in ranges:
        if part.cut is not None and part.partial is not None:
            cut.setdefault(part.partial.moved, []).append(part.cut)
    for projections, layers in cut.items():
        yield patterns.to_cpu(layers, patterns.some(tensors, projections))


def cpu_only(params: ServerParams, pins: Pins, *, has_gpu: bool) -> Candidate:
    """Everything in RAM; a GPU that is there must not take part, since op offload would put buffers on it."""
    params = replace(_pinned(params, pins, n_gpu_layers=0), moe_cache=0)
    return Candidate(strategy="CPU only", params=replace(params, devices=()) if has_gpu else params)


def all_layers(n_layer_all: int) -> int:
    """An ``-ngl`` that covers every layer and the output."""
    return 99 if n_layer_all + 1 <= 99 else 999


def strategy(n_gpus: int, *, moved: bool, tensors: str, partial: bool) -> str:
    """A placement in a few words: GPUs in use, and what is on the CPU."""
    if not n_gpus:
        return "CPU only"
    where = "single GPU" if n_gpus == 1 else f"{n_gpus} GPUs"
    if partial:
        return f"{where}, leading layers on CPU"
    if not moved:
        return where
    return f"{where}, some {'experts' if tensors == patterns.EXPERTS else 'FFN weights'} on CPU"

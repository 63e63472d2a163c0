"""A placement as llama-server's arguments, always explicit about context, slots and fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.domain.headroom import PROMPT_CACHE
from omniplan.domain.machine import Machine
from omniplan.domain.params import LoadMode
from omniplan.domain.plan import Request
from omniplan.planning import patterns
from omniplan.planning.pins import Pins
from omniplan.planning.ranges import Range

# llama-server's -b; a larger micro-batch needs a larger logical batch (llama_context clips -ub to -b).
_DEFAULT_BATCH: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One placement to price: what it is called, and the arguments that pin it.

    ``prompt_cache`` is what ``--cache-ram`` will be, in bytes; ``seconds`` what the search reckoned with, 0 if nothing.
    ``is_baseline`` says that the layout is another's.
    """

    strategy: str
    args: tuple[str, ...]
    ranges: tuple[Range, ...] = ()
    prompt_cache: int = PROMPT_CACHE
    seconds: float = 0.0
    is_baseline: bool = False

    @property
    def moved(self) -> tuple[int, ...]:
        """Layers with weights on the CPU."""
        return tuple(sorted(il for part in self.ranges for il in part.moved))


def request_args(request: Request) -> tuple[str, ...]:
    """The part of the arguments that says what was asked for."""
    args = ["-c", str(request.n_ctx), "-np", str(request.n_parallel)]
    if (request.cache_type_k, request.cache_type_v) != ("f16", "f16"):
        args += ["-ctk", request.cache_type_k, "-ctv", request.cache_type_v, "-fa", "on"]
    if request.n_ubatch >= _DEFAULT_BATCH:
        args += ["-b", str(2 * request.n_ubatch)]
    return (*args, "-ub", str(request.n_ubatch), *host_args(request))


def host_args(request: Request) -> tuple[str, ...]:
    """How weights get from RAM to a GPU, where that was settled: ``--load-mode``, ``--no-op-offload``."""
    load = () if request.load_mode is LoadMode.AUTO else ("--load-mode", request.load_mode)
    return load if request.op_offload else (*load, "--no-op-offload")


def pin_args(pins: Pins) -> tuple[str, ...]:
    """The user's overrides alone."""
    return ("-ot", ",".join(pins.texts)) if pins.texts else ()


def single_gpu(request: Request, index: int, n_layer_all: int, pins: Pins) -> Candidate:
    """The whole model on one GPU."""
    where = ("-ngl", all_layers(n_layer_all), "-sm", "none", "-mg", str(index), *pin_args(pins), "--fit", "off")
    return Candidate(strategy="single GPU", args=(*request_args(request), *where))


def by_size(request: Request, sizes: Sequence[int], n_layer_all: int, pins: Pins) -> Candidate:
    """The whole model over all GPUs, layers in proportion to ``sizes``."""
    where = ("-ngl", all_layers(n_layer_all), "-ts", ",".join(map(str, sizes)), *pin_args(pins), "--fit", "off")
    return Candidate(strategy=f"{len(sizes)} GPUs", args=(*request_args(request), *where))


def split(
    request: Request, machine: Machine, ranges: Sequence[Range], tensors: str, n_layer_all: int, pins: Pins
) -> Candidate:
    """Layers over GPUs in the order of ``ranges``; the layers that hold weights on the CPU share one pattern."""
    counts = {part.name: part.last - part.first for part in ranges}
    used = [*counts, *(name for name in pins.devices if name not in counts)]
    every = [gpu.name for gpu in machine.gpus]
    args = [*request_args(request), "-ngl", _n_gpu_layers(ranges, n_layer_all)]
    if len(used) == 1:
        args += ["-sm", "none", "-mg", str(every.index(used[0]))]
    else:
        if used != every:
            args += ["-dev", ",".join(used)]
        args += ["-ts", ",".join(str(counts.get(name, 0)) for name in used)]
    moves = list(_overrides(ranges, tensors, n_layer_all))
    if pins.texts or moves:
        args += ["-ot", ",".join((*pins.texts, *moves))]
    strategy = _strategy(len(used), moved=bool(moves), tensors=tensors, partial=ranges[0].first > 0)
    return Candidate(strategy=strategy, args=(*args, "--fit", "off"), ranges=tuple(ranges))


def _overrides(ranges: Sequence[Range], tensors: str, n_layer_all: int) -> Iterator[str]:
    """One override for the layers that move whole, one for each set of projections that others move."""
    # A range may count the output among its moved layers, which has nothing to move and no block of its own.
    whole = [il for part in ranges for il in part.moved if il < n_layer_all and il != part.cut]
    if whole:
        yield patterns.override(whole, tensors, "CPU")
    cut: dict[tuple[str, ...], list[int]] = {}
    for part in ranges:
        if part.cut is not None and part.partial is not None:
            cut.setdefault(part.partial.moved, []).append(part.cut)
    for projections, layers in cut.items():
        yield patterns.override(layers, patterns.some(tensors, projections), "CPU")


def n_patterns(args: Sequence[str]) -> int:
    """Overrides among ``args``: items of every ``-ot``."""
    return sum(args[i + 1].count(",") + 1 for i, word in enumerate(args) if word == "-ot")


def cpu_only(request: Request, pins: Pins, *, has_gpu: bool) -> Candidate:
    """Everything in RAM; a GPU that is there must not take part, since op offload would put buffers on it."""
    without = ("-dev", "none") if has_gpu else ()
    where = ("-ngl", "0", *without, *pin_args(pins), "--fit", "off")
    return Candidate(strategy="CPU only", args=(*request_args(request), *where))


def all_layers(n_layer_all: int) -> str:
    """An ``-ngl`` that covers every layer and the output."""
    return "99" if n_layer_all + 1 <= 99 else "999"


def _n_gpu_layers(ranges: Sequence[Range], n_layer_all: int) -> str:
    first = ranges[0].first
    return all_layers(n_layer_all) if first == 0 else str(n_layer_all + 1 - first)


def _strategy(n_gpus: int, *, moved: bool, tensors: str, partial: bool) -> str:
    where = "single GPU" if n_gpus == 1 else f"{n_gpus} GPUs"
    if partial:
        return f"{where}, leading layers on CPU"
    if not moved:
        return where
    return f"{where}, some {'experts' if tensors == patterns.EXPERTS else 'FFN weights'} on CPU"

"""Writes logs as llama.cpp writes them: a report in the words of one generation, inside any wrapper."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Final

from omniplan.domain.prediction import Phase
from omniplan.units import MIB
from omniplan.verify.logs.report import BufferKind, Load, LoadReport, LogCache, LogContext, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """The words of one generation; ``buffers`` is the function that prints each kind of buffer."""

    name: str
    hparams: str
    buffers: dict[BufferKind, str]
    context: str
    reserve: str
    timing: str
    model_word: str = "model "
    states_cells: bool = True
    has_table: bool = False
    has_graph_line: bool = False


_KV = BufferKind.KV
_RS = BufferKind.RECURRENT
ERAS: Final = {
    era.name: era
    for era in (
        Era(
            name="2024",
            hparams="llm_load_print_meta",
            buffers={
                BufferKind.MODEL: "llm_load_tensors",
                _KV: "llama_kv_cache_init",
                _RS: "llama_kv_cache_init",
                BufferKind.OUTPUT: "llama_new_context_with_model",
            },
            context="llama_new_context_with_model",
            reserve="llama_new_context_with_model",
            timing="llama_print_timings: ",
            model_word="",
            states_cells=False,
        ),
        Era(
            name="2025",
            hparams="print_info",
            buffers={
                BufferKind.MODEL: "load_tensors",
                _KV: "llama_kv_cache_unified",
                _RS: "llama_memory_recurrent",
                BufferKind.OUTPUT: "llama_context",
            },
            context="llama_context",
            reserve="llama_context",
            timing="llama_perf_context_print: ",
        ),
        Era(
            name="b11434",
            hparams="print_info",
            buffers={
                BufferKind.MODEL: "load_tensors",
                _KV: "llama_kv_cache",
                _RS: "llama_memory_recurrent",
                BufferKind.OUTPUT: "llama_context",
            },
            context="llama_context",
            reserve="sched_reserve",
            timing="slot print_timing: id  0 | task 0 | ",
            has_table=True,
            has_graph_line=True,
        ),
    )
}
_WORDS: Final = {_KV: "KV ", _RS: "RS ", BufferKind.OUTPUT: " output ", BufferKind.COMPUTE: "compute "}


def render(report: LoadReport, era: Era) -> list[str]:
    """The lines of ``report``'s only load, as ``era`` prints them."""
    load = report.load
    assert load is not None
    return [*_head(report, era), *_load(load, era), *(_timing(timing, era) for timing in report.timings)]


def _head(report: LoadReport, era: Era) -> Iterator[str]:
    if report.build is not None:
        number, commit = report.build.number, report.build.commit
        yield f"build_info: b{number}-{commit}" if era.has_table else f"build: {number} ({commit}) with cc for x86_64"
    for device in report.devices:
        index, vmm = device.name.removeprefix("CUDA"), "yes" if device.has_vmm else "no"
        vram = f", VRAM: {(device.total or 0) // MIB} MiB" if era.has_table else ""
        kind = f"{device.description}, compute capability {device.compute_capability}"
        yield f"  Device {index}: {kind}, VMM: {vmm}{vram}"
    for device in report.devices:
        free = (device.free or 0) // MIB
        yield f"llama_model_load_from_file_impl: using device {device.name} ({device.description}) - {free} MiB free"


def _load(load: Load, era: Era) -> Iterator[str]:
    model = load.model
    yield (
        f"llama_model_loader: loaded meta data with {len(model.metadata)} key-value pairs and "
        f"{model.n_tensors} tensors from {model.path} (version GGUF V3 (latest))"
    )
    for index, (name, value) in enumerate(model.metadata.items()):
        yield f"llama_model_loader: - kv {index:3d}: {name:>42s} str              = {value}"
    for name, count in model.tensor_types.items():
        yield f"llama_model_loader: - type {name:>4s}: {count:4d} tensors"
    for name, value in model.hparams.items():
        yield f"{era.hparams}: {name:<21s} = {value}"
    if load.offloaded is not None:
        yield f"load_tensors: offloaded {load.offloaded}/{load.offloadable} layers to GPU"
    for buffer in load.buffers:
        yield f"{era.buffers[buffer.kind]}: {buffer.device:>12s} {era.model_word}buffer size = {_mib(buffer.size)} MiB"
    yield "." * 60
    for context in load.contexts:
        yield from _context(context, era)
    yield from _refused(load)
    if era.has_table and load.breakdown:
        yield from _table(load)


def _context(context: LogContext, era: Era) -> Iterator[str]:
    if era.states_cells:
        yield f"{era.context}: constructing llama_context"
    for name, value in context.settings.items():
        yield f"{era.context}: {name:<13s} = {value}"
    order = [BufferKind.OUTPUT, _KV, _RS, BufferKind.COMPUTE]
    for kind in order:
        function = era.buffers.get(kind, era.reserve)
        for buffer in context.buffers:
            if buffer.kind is kind:
                yield f"{function}: {buffer.device:>10s} {_WORDS[kind]}buffer size = {_mib(buffer.size)} MiB"
        if kind in {_KV, _RS}:
            yield from (_cache(cache, era) for cache in context.caches if cache.is_recurrent is (kind is _RS))
        if kind is _RS and context.flash_attn is not None and era.states_cells:
            yield f"{era.reserve}: Flash Attention was auto, set to {'enabled' if context.flash_attn else 'disabled'}"
    yield from _graph(context, era)


def _cache(cache: LogCache, era: Era) -> str:
    size, types = cache.size, cache.types
    parts = ", ".join(f"{name} ({kind}): {_mib(size // 2)} MiB" for name, kind in types.items())
    if not era.states_cells:
        return f"llama_new_context_with_model: KV self size  = {_mib(size)} MiB, {parts}"
    function = "llama_memory_recurrent" if cache.is_recurrent else "llama_kv_cache"
    counts = f"{cache.cells:6d} cells, {cache.n_layer:3d} layers, {cache.n_seq:2d}"
    streams = "" if cache.is_recurrent else f"/{cache.n_stream}"
    return f"{function}: size = {_mib(size)} MiB ({counts}{streams} seqs), {parts}"


def _graph(context: LogContext, era: Era) -> Iterator[str]:
    prefill, decode, nodes = context.splits_prefill, context.splits_decode, context.n_nodes
    if prefill is None:
        return
    if era.has_graph_line:
        sizes = "" if prefill == decode else " (pp bs=512, tg bs=1)"
        splits = f"{prefill}" if prefill == decode else f"{prefill} / {decode}"
        yield f"{era.reserve}: graph{sizes}: nodes = {nodes}, splits = {splits}, input objects = 4, input tensors = 9"
        yield f"{era.reserve}: reserve took 1.06 ms, sched copies = {context.sched_copies}"
        return
    yield f"{era.reserve}: graph nodes  = {nodes}"
    two = f"{prefill} (with bs=512), {decode} (with bs=1)"
    yield f"{era.reserve}: graph splits = {prefill if prefill == decode else two}"


def _refused(load: Load) -> Iterator[str]:
    for item in load.refused:
        index = item.device.removeprefix("CUDA")
        yield (
            f"ggml_backend_cuda_buffer_type_alloc_buffer: allocating {item.size / MIB:.2f} MiB on device {index}: "
            "cudaMalloc failed: out of memory"
        )
        yield f"ggml_gallocr_reserve_n_impl: failed to allocate {item.device} buffer of size {item.size}"


def _table(load: Load) -> Iterator[str]:
    at = "common_memory_breakdown_print: |"
    yield f"{at} memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |"
    for row in load.breakdown:
        own = row.model + row.context + row.compute
        sizes = f"{_whole(own)} = {_whole(row.model)} + {_whole(row.context)} + {_whole(row.compute)}"
        if row.total is None:
            yield f"{at}   - {row.device}               |                   {sizes}                |"
        else:
            total, free, rest = (_whole(size or 0) for size in (row.total, row.free, row.unaccounted))
            yield f"{at}   - {row.device} (RTX) | {total} = {free} + ({sizes}) + {rest} |"


def _timing(timing: Timing, era: Era) -> str:
    kind = "prompt eval" if timing.phase is Phase.PROMPT else "       eval"
    what = "tokens" if timing.phase is Phase.PROMPT or era.has_table else "runs  "
    each = timing.seconds * 1e3 / timing.tokens
    return (
        f"{era.timing}{kind} time = {timing.seconds * 1e3:10.2f} ms / {timing.tokens:5d} {what} "
        f"({each:8.2f} ms per token, {timing.rate:8.2f} tokens per second)"
    )


def _mib(size: int) -> str:
    return f"{size / MIB:8.2f}"


def _whole(size: int) -> str:
    return f"{size // MIB:5d}"


Wrapper = Callable[[Sequence[str]], bytes]


def _each(prefix: str, suffix: str = "\n") -> Wrapper:
    def wrap(lines: Sequence[str]) -> bytes:
        return "".join(f"{prefix.format(n=number)}{line}{suffix}" for number, line in enumerate(lines, 1)).encode()

    return wrap


def _json(key: str, **more: object) -> Wrapper:
    def wrap(lines: Sequence[str]) -> bytes:
        return "".join(json.dumps({**more, key: f"{line}\n"}) + "\n" for line in lines).encode()

    return wrap


WRAPPERS: Final[dict[str, Wrapper]] = {
    "plain": _each(""),
    "crlf": _each("", "\r\n"),
    "levels": _each("0.00.012.345 I "),
    "dates": _each("2026-08-20 22:05:59.123 | "),
    "grep": _each("{n}:"),
    "quote": _each("> "),
    "router": _each("[52341] 0.00.012.345 I "),
    "compose": _each("llama-server-1  | "),
    "journal": _each("Nov 25 22:15:47 host llama-server[4711]: "),
    "colours": _each("\x1b[34m0.00.012.345\x1b[0m \x1b[32mI \x1b[0m", "\x1b[0m\n"),
    "bare colours": _each("[34m0.00.012.345[0m [32mI [0m"),
    "jsonl": _json("msg", type="log", level="info"),
    "docker": _json("log", stream="stderr"),
    "journald json": _json("MESSAGE", _PID="4711"),
}

_UNSTATED: Final = frozenset(("line", "source", "n_lines", "facts", "process", "is_dry", "kind"))


def stated(value: object) -> object:
    """What a report states, without where it stands and without what only some generations print."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if f.name not in _UNSTATED and not f.name.endswith("_line")]
        return {name: stated(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {str(key): stated(item) for key, item in value.items()}
    return [stated(item) for item in value] if isinstance(value, tuple) else value

"""Reports that a log of one generation can state, drawn whole."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from omniplan.domain.prediction import Phase
from omniplan.units import MIB
from omniplan.verify.logs.report import (
    BreakdownRow,
    BufferKind,
    Load,
    LoadReport,
    LogBuffer,
    LogBuild,
    LogCache,
    LogContext,
    LogDevice,
    LogModel,
    OutOfMemory,
    Timing,
)
from tests.log_writer import Era

_HEX = st.text("0123456789abcdef", min_size=7, max_size=9)
_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
_COUNT = st.integers(1, 100_000)
_DEVICES = st.sampled_from((("CUDA0",), ("CUDA0", "CUDA1"), ("CUDA0", "CUDA1", "CUDA2", "CUDA3")))


@st.composite
def sizes(draw: st.DrawFn) -> int:
    """Bytes that two decimals of a MiB state."""
    return round(draw(st.integers(1, 20_000_000)) / 100 * MIB)


def _mib(draw: st.DrawFn) -> int:
    return draw(st.integers(0, 200_000)) * MIB


@st.composite
def reports(draw: st.DrawFn, era: Era) -> LoadReport:
    """A report with one load, everything in it that ``era`` prints."""
    names = draw(_DEVICES)
    devices = tuple(_device(draw, name, era) for name in names)
    build = LogBuild(number=draw(_COUNT), commit=draw(_HEX), line=0)
    timings = tuple(_timing(draw, phase) for phase in draw(st.lists(st.sampled_from(Phase), max_size=4)))
    load = _load(draw, names, era)
    return LoadReport(
        source="", n_lines=0, facts={}, build=build, devices=devices, loads=(load,), main=0, timings=timings
    )


def _device(draw: st.DrawFn, name: str, era: Era) -> LogDevice:
    return LogDevice(
        name=name,
        description=f"NVIDIA {draw(_WORD).upper()}",
        total=_mib(draw) + MIB if era.has_table else None,
        free=_mib(draw) + MIB,
        compute_capability=draw(st.sampled_from(("6.0", "8.9", "12.0"))),
        has_vmm=draw(st.booleans()),
    )


def _load(draw: st.DrawFn, names: tuple[str, ...], era: Era) -> Load:
    arch = draw(_WORD)
    model = LogModel(
        path=f"/models/{draw(_WORD)}.gguf",
        architecture=arch,
        name=draw(_WORD),
        n_tensors=draw(_COUNT),
        hparams={"arch": arch, "n_layer": str(draw(_COUNT)), "n_head_kv": "[8, 8, 2]"},
        metadata={},
        tensor_types=draw(st.dictionaries(st.sampled_from(("f32", "q4_K", "mxfp4")), _COUNT)),
    )
    metadata = {"general.architecture": arch, "general.name": model.name}
    holders = (*names, "CPU_Mapped", "CPU_Mapped", "CUDA_Host")
    n_layer = draw(st.integers(1, 200))
    return Load(
        process="",
        line=0,
        model=replace(model, metadata=metadata),
        offloaded=draw(st.integers(0, n_layer + 1)),
        offloadable=n_layer + 1,
        buffers=tuple(_buffer(draw, name, BufferKind.MODEL) for name in holders),
        contexts=(_context(draw, names, era),),
        breakdown=tuple(_rows(draw, names)) if era.has_table else (),
        refused=(OutOfMemory(device=names[-1], size=draw(sizes()), kind=BufferKind.COMPUTE, line=0),)
        if draw(st.booleans())
        else (),
    )


def _buffer(draw: st.DrawFn, name: str, kind: BufferKind) -> LogBuffer:
    return LogBuffer(device=name, kind=kind, size=draw(sizes()), line=0)


def _context(draw: st.DrawFn, names: tuple[str, ...], era: Era) -> LogContext:
    flash = draw(st.booleans())
    prefill = draw(st.integers(1, 2000))
    has_state = era.states_cells and draw(st.booleans())
    kinds = [(BufferKind.KV, names), *([(BufferKind.RECURRENT, names)] if has_state else [])]
    kinds += [(BufferKind.OUTPUT, ("CUDA_Host",)), (BufferKind.COMPUTE, (*names, "CUDA_Host"))]
    settings = {name: str(draw(_COUNT)) for name in ("n_ctx", "n_batch", "n_ubatch")}
    settings |= {"flash_attn": "auto" if era.states_cells else str(int(flash))}
    return LogContext(
        line=0,
        settings=settings,
        buffers=tuple(_buffer(draw, name, kind) for kind, holders in kinds for name in holders),
        caches=tuple(_caches(draw, era, has_state=has_state)),
        flash_attn=flash,
        n_nodes=draw(_COUNT),
        splits_prefill=prefill,
        splits_decode=draw(st.sampled_from((prefill, prefill + 7))),
        sched_copies=draw(st.sampled_from((1, 4))) if era.has_graph_line else None,
    )


def _caches(draw: st.DrawFn, era: Era, *, has_state: bool) -> list[LogCache]:
    kinds = st.sampled_from(("f16", "q8_0"))
    found = []
    for is_recurrent in (False, True)[: 1 + has_state]:
        types = {"R": "f32", "S": "f32"} if is_recurrent else {"K": draw(kinds), "V": draw(kinds)}
        cells, layers, seqs = (draw(st.integers(1, 99_999)), draw(st.integers(1, 200)), draw(st.integers(1, 9)))
        known = era.states_cells
        found.append(
            LogCache(
                size=draw(sizes()),
                types=types,
                line=0,
                is_recurrent=is_recurrent,
                cells=cells if known else None,
                n_layer=layers if known else None,
                n_seq=seqs if known else None,
                n_stream=1 if known and not is_recurrent else None,
            )
        )
    return found


def _rows(draw: st.DrawFn, names: tuple[str, ...]) -> list[BreakdownRow]:
    rows = [
        BreakdownRow(
            device=name,
            model=_mib(draw),
            context=_mib(draw),
            compute=_mib(draw),
            line=0,
            total=_mib(draw),
            free=_mib(draw),
            unaccounted=_mib(draw),
        )
        for name in names
    ]
    return [*rows, BreakdownRow(device="Host", model=_mib(draw), context=0, compute=_mib(draw), line=0)]


def _timing(draw: st.DrawFn, phase: Phase) -> Timing:
    tokens = draw(st.integers(1, 99_999))
    seconds = float(f"{draw(st.integers(1, 10_000_000)) / 100:.2f}") / 1e3
    return Timing(phase=phase, tokens=tokens, seconds=seconds, rate=round(tokens / seconds, 2), line=0)

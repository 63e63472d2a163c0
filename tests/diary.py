"""Runs of the GLM diary as reports: figures as published, in MiB, to be written as logs and judged again."""

from __future__ import annotations

from typing import Final

from omniplan.domain.prediction import Phase
from omniplan.units import MIB
from omniplan.verify.logs.report import (
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

MODEL: Final = "data/models/GLM-4.7-Flash-Q8_0.gguf"
MACHINE: Final = "dual-4090-5070ti"
_OVERRIDE: Final = r"blk\.([0-9]|[12][0-9]|3[0-2])\.=CUDA0,blk\.(3[3-9]|4[0-6])\.=CUDA1"
_BUILD: Final = 8022


def args(n_ubatch: int) -> tuple[str, ...]:
    """The diary's command, 33 layers on CUDA0 and 14 on CUDA1 by ``-ot``."""
    cache = ("-ctk", "q8_0", "-ctv", "q8_0", "-fa", "on")
    where = ("-ngl", "99", "-ot", _OVERRIDE, "--fit", "off")
    return ("-c", "131072", "-np", "1", "-b", "2048", "-ub", str(n_ubatch), *cache, *where)


def glm(*, n_ubatch: int = 512, build: int = _BUILD) -> LoadReport:
    """2026-02-16: at 512 it ran with the cache split 31+16, at 1024 CUDA0 was short by 372 MiB with 32+15."""
    runs = n_ubatch == 512
    kv = {"CUDA0": 2371.5, "CUDA1": 1224.0} if runs else {"CUDA0": 2448.0, "CUDA1": 1147.5}
    compute = {"CUDA0": 448.0, "CUDA1": 331.0} if runs else {}
    context = LogContext(
        line=0,
        settings={"n_seq_max": "1", "n_ctx": "131072", "n_batch": "2048", "n_ubatch": str(n_ubatch)},
        buffers=(*_buffers(BufferKind.KV, kv), *_buffers(BufferKind.COMPUTE, compute)),
        caches=(
            LogCache(
                size=_size(3595.5),
                types={"K": "q8_0", "V": "q8_0"},
                line=0,
                cells=131072,
                n_layer=47,
                n_seq=1,
                n_stream=1,
            ),
        ),
        flash_attn=True,
        n_nodes=3000 if runs else None,
        splits_prefill=23 if runs else None,
        splits_decode=23 if runs else None,
        sched_copies=1,
    )
    refused = () if runs else (OutOfMemory(device="CUDA0", size=_size(897), kind=BufferKind.COMPUTE, line=0),)
    load = Load(
        process="",
        line=0,
        model=LogModel(path="GLM-4.7-Flash-Q8_0.gguf", n_tensors=844, hparams={"arch": "deepseek2", "n_layer": "47"}),
        offloaded=48,
        offloadable=48,
        buffers=_buffers(BufferKind.MODEL, {"CUDA0": 20698.01, "CUDA1": 9339.25, "CPU_Mapped": 321.41}),
        contexts=(context,),
        refused=refused,
    )
    timing = Timing(phase=Phase.DECODE, tokens=1923, seconds=1923 / 103.79, rate=103.79, line=0)
    return LoadReport(
        source="",
        n_lines=0,
        facts={},
        build=LogBuild(number=build, commit="b48e80f67", line=0),
        devices=(
            _device("CUDA0", "RTX 4090", "8.9", 24564, 23671),
            _device("CUDA1", "RTX 5070 Ti", "12.0", 16303, 12761),
        ),
        loads=(load,),
        main=0,
        timings=(timing,) if runs else (),
    )


def _device(name: str, description: str, capability: str, total: int, free: int) -> LogDevice:
    return LogDevice(
        name=name,
        description=description,
        total=total * MIB,
        free=free * MIB,
        compute_capability=capability,
        has_vmm=True,
    )


def _buffers(kind: BufferKind, sizes: dict[str, float]) -> tuple[LogBuffer, ...]:
    return tuple(LogBuffer(device=name, kind=kind, size=_size(size), line=0) for name, size in sizes.items())


def _size(mib: float) -> int:
    return round(mib * MIB)

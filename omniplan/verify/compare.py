"""Predicted and actual bytes side by side, part by part, pool by pool and column by column, and speeds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from statistics import median
from typing import Final

from omniplan.domain.build import PricedBuild
from omniplan.domain.footprint import BufferColumn, ContextKind, Footprint
from omniplan.domain.prediction import Phase
from omniplan.llamacpp.ggml.buffers import HOST
from omniplan.llamacpp.ggml.meta import NAME as META
from omniplan.verify.expected import Expected
from omniplan.verify.logs.report import BufferKind, Load, LoadReport
from omniplan.verify.parts import Columns, shown
from omniplan.verify.pools import COLUMNS, RPC, backend, device_order, is_mapped, pool_of, predicted_name
from omniplan.verify.pools import priced as known_devices
from omniplan.verify.table import Tolerance, tolerances
from omniplan.verify.values import ComparedColumn, ComparedSpeed

_MAPPED: Final = "a mapping of the file"
_NOT_PRINTED: Final = "not in the log"
_NOT_PREDICTED: Final = "not in the prediction"
_OTHER_BACKEND: Final = "no prediction for this back end"


def rows(report: LoadReport, expected: Expected) -> tuple[ComparedColumn, ...]:
    """Every column of every pool that either side knows; GPUs first."""
    load, priced = report.load, expected.footprint
    if load is None or priced is None:
        return ()
    seen = shown(report, load)
    kinds = dict.fromkeys((*seen, *priced.contexts))
    return tuple(row for kind in kinds for row in _part(report, load, priced, kind, seen.get(kind, {})))


def _part(
    report: LoadReport, load: Load, priced: Footprint, kind: ContextKind, seen: Columns
) -> Iterator[ComparedColumn]:
    """Every column of every pool of one part; GPUs first."""
    order = device_order(report)
    limits = {column: tolerance_of(report, priced.build, column) for column in COLUMNS}
    backends = comparable(priced)
    wanted = {column: _predicted(priced, kind, column) for column in COLUMNS}
    names = dict.fromkeys([*order, *(pool for sizes in seen.values() for pool in sizes)])
    known = {predicted_name(pool, order) for pool in names}
    names |= dict.fromkeys(pool for sizes in wanted.values() for pool in sizes if pool not in known)
    for pool in sorted(names, key=lambda pool: (pool == HOST, list(names).index(pool))):
        for column in COLUMNS:
            size = wanted[column].get(predicted_name(pool, order), 0)
            sizes = seen.get(column)
            actual = sizes.get(pool, 0) if sizes else None
            if size or actual:
                is_priced = kind in priced.contexts
                yield _row(limits, load, (kind, pool, column), size if is_priced else None, actual, backends)


def _row(
    limits: Mapping[BufferColumn, Tolerance],
    load: Load,
    where: tuple[ContextKind, str, BufferColumn],
    predicted: int | None,
    actual: int | None,
    backends: Collection[str],
) -> ComparedColumn:
    kind, pool, column = where
    tolerance = limits[column].of(predicted or 0)
    remark = _NOT_PREDICTED if predicted is None else _incomparable(load, pool, column, actual, backends)
    is_within = None if remark or actual is None else abs(actual - (predicted or 0)) <= tolerance
    return ComparedColumn(
        part=kind,
        pool=pool,
        column=column,
        predicted=predicted,
        actual=actual,
        tolerance=tolerance,
        is_within=is_within,
        remark=remark,
    )


def tolerance_of(report: LoadReport, priced: PricedBuild, column: BufferColumn) -> Tolerance:
    """What is tolerated in a column; compute buffers differ between builds."""
    is_other = column is BufferColumn.COMPUTE and not is_same_build(report, priced)
    return tolerances()["compute-other" if is_other else column]


def is_same_build(report: LoadReport, priced: PricedBuild) -> bool:
    """Whether the log is of the build whose bytes are known; a build without a number may be any."""
    return report.build is not None and f"b{report.build.number}" == priced.priced


def comparable(priced: Footprint) -> Collection[str]:
    """Back ends, by their devices' names, whose compute buffers are predicted: hosts that are described too."""
    known = {*known_devices(), ""}
    return known if priced.unpriced else {*known, RPC}


def _incomparable(load: Load, pool: str, column: BufferColumn, actual: int | None, backends: Collection[str]) -> str:
    if actual is None:
        return _NOT_PRINTED
    if column is BufferColumn.MODEL and any(is_mapped(b.device) and pool_of(b.device) == pool for b in load.buffers):
        return _MAPPED
    is_foreign = backend([pool]) not in backends
    has_foreign = any(backend([pool_of(b.device)]) not in backends for b in load.buffers)
    return _OTHER_BACKEND if column is BufferColumn.COMPUTE and (is_foreign or (pool == HOST and has_foreign)) else ""


def _predicted(priced: Footprint, kind: ContextKind, column: BufferColumn) -> dict[str, int]:
    if column is BufferColumn.OUTPUT:
        return {HOST: priced.output_buffer} if kind is ContextKind.MAIN else {}
    found: dict[str, int] = {}
    for name, size in priced.contexts.get(kind, {}).items():
        pool = pool_of(name)
        found[pool] = found.get(pool, 0) + int(getattr(size, column))
    if META not in priced.layers:
        return found
    # Of several devices that act as one llama.cpp prints the largest buffer.
    host = found.pop(HOST, 0)
    return {META: max(found.values(), default=0), HOST: host}


def speeds(report: LoadReport, expected: Expected) -> tuple[ComparedSpeed, ...]:
    """Measured rates against predicted ones; requests of one token say nothing about a rate."""
    return tuple(_speeds(report, expected))


def _speeds(report: LoadReport, expected: Expected) -> Iterator[ComparedSpeed]:
    known = expected.prediction
    for phase in Phase:
        rates = [timing.rate for timing in report.timings if timing.phase is phase and timing.tokens > 1]
        if not rates:
            continue
        estimate = None
        if known is not None:
            estimate = known.prompt_tokens_per_second if phase is Phase.PROMPT else known.decode_tokens_per_second
        yield ComparedSpeed(
            phase=phase,
            n_runs=len(rates),
            median=median(rates),
            low=min(rates),
            high=max(rates),
            predicted_low=estimate.low if estimate and estimate.value else None,
            predicted_high=estimate.high if estimate and estimate.value else None,
        )


def mapped_size(load: Load) -> int:
    """Bytes of the file that are mapped into RAM."""
    sizes = load.sizes(BufferKind.MODEL)
    return sum(size for device, size in sizes.items() if is_mapped(device) and pool_of(device) == HOST)

"""What logs teach about a machine: memory beside the model per GPU, compute buffers of a build, and speeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from omniplan.domain.footprint import BufferColumn
from omniplan.domain.machine import Gpu, Machine, ReservationKind
from omniplan.domain.model import Model
from omniplan.domain.prediction import Phase
from omniplan.errors import InputError
from omniplan.llamacpp.ggml.buffers import HOST
from omniplan.predict.calibrate import MeasuredSpeed, calibrate
from omniplan.predict.constants import Constant
from omniplan.predict.learned import Learned, LearnedGpu, LearnedMemory, MeasuredBytes, MeasuredFactor, learned_of
from omniplan.units import MIB, mib
from omniplan.verify.compare import rows
from omniplan.verify.expected import Expected, machine_in, of_model
from omniplan.verify.logs.report import Load, LoadReport, LogDevice
from omniplan.verify.pools import device_order, is_gpu, pool_of, pools, predicted_name
from omniplan.verify.values import GpuUsage

# Runs of one GPU and build that differ by more contradict each other.
_BESIDE_APART: Final = 256 * MIB
_COMPUTE_APART: Final = 2.0
# Smaller buffers say nothing about a factor, shorter requests nothing about a rate.
_LEAST_COMPUTE: Final = 16 * MIB
_LEAST_TOKENS: Final = {Phase.PROMPT: 64, Phase.DECODE: 8}
_HOW: Final = (
    "let llama-server end by itself at -lv 4, which prints its memory breakdown, or give what nvidia-smi showed; "
    "give the model for compute buffers and speeds"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One number about one GPU under one build, and the log that says it."""

    gpu: str
    build: int
    value: float
    log: str


Lessons = Mapping[tuple[str, int], Sequence[Lesson]]


def learn(
    reports: Sequence[LoadReport],
    *,
    machine: Machine | None = None,
    model: Model | None = None,
    args: Sequence[str] = (),
    usage: Sequence[GpuUsage] = (),
) -> Learned:
    """What ``reports`` teach about ``machine``, or about the one they describe; raises InputError with the reason.

    ``usage`` is nvidia-smi's view of the one run in ``reports``. With ``model``, compute buffers and speeds are held
    against its prediction under ``args``, else under what each log shows.
    """
    if usage and len(reports) > 1:
        raise InputError("belongs to one run; give one log with it", field="nvidia_smi")
    base = machine or machine_in(reports[0])
    for report in reports:
        _check(report, base)
    expected = [Expected() if model is None else of_model(report, model, machine, args) for report in reports]
    beside = _grouped(lesson for report in reports for lesson in _beside(report, base, usage))
    pairs = zip(reports, expected, strict=True)
    compute = _grouped(lesson for report, priced in pairs for lesson in _compute(report, priced))
    _agree(beside, _apart_in_bytes)
    _agree(compute, _apart_in_times)
    constants = _constants(model, base, reports, expected)
    if not beside and not compute and not constants:
        names = ", ".join(report.source for report in reports)
        raise InputError(f"{names}: teaches nothing about memory or speed; {_HOW}")
    logs = tuple(report.source for report in reports)
    memory = LearnedMemory(machine=base.name, logs=logs, gpus=tuple(_gpus(base, beside, compute)))
    return learned_of(constants, memory)


def _check(report: LoadReport, machine: Machine) -> None:
    """Refuse what went wrong and what ran elsewhere."""
    load = report.load
    if load is None:
        raise InputError(f"{report.source}: shows no load of a model, so it teaches nothing; {_HOW}")
    lost = [item for item in load.refused if not item.is_survived]
    if load.failure or lost:
        why = load.failure or f"{lost[0].device} had no {mib(lost[0].size)} left"
        raise InputError(f"{report.source}: the load failed ({why}); learn from a run that served")
    order = device_order(report)
    known = {gpu.name: gpu for gpu in machine.gpus}
    for device in report.devices:
        pool = pool_of(device.name)
        gpu = known.get(predicted_name(pool, order))
        if pool != HOST and gpu is None:
            raise InputError(
                f"{report.source}: line {device.line}: {machine.name} has no {device.name}; "
                f"learn each machine from its own logs"
            )
        if gpu is not None and not is_gpu(gpu, device.description, device.total):
            there, here = (f"a {text}{_of(size)}" for text, size in _both(device, gpu))
            raise InputError(
                f"{report.source}: line {device.line}: {device.name} is {there} there, {here} on {machine.name}; "
                "learn each machine from its own logs"
            )


def _both(device: LogDevice, gpu: Gpu) -> tuple[tuple[str, int | None], ...]:
    return (device.description, device.total), (gpu.description, gpu.total)


def _of(total: int | None) -> str:
    return "" if total is None else f" of {mib(total)}"


def _build(report: LoadReport) -> int:
    return report.build.number if report.build else 0


def _beside(report: LoadReport, machine: Machine, usage: Sequence[GpuUsage]) -> Iterator[Lesson]:
    """Bytes in use beside the model's buffers: by llama.cpp's own breakdown, else by nvidia-smi."""
    load, order = report.load, device_order(report)
    assert load is not None
    own = {predicted_name(pool_of(row.device), order): row.unaccounted for row in load.breakdown}
    shown = {name: size for name, size in own.items() if size is not None}
    for seen in usage:
        gpu = next((gpu for gpu in machine.gpus if gpu.name == seen.device), None)
        shown.setdefault(seen.device, _unexplained(load, order, seen, gpu))
    for name, size in shown.items():
        if size > 0:
            yield Lesson(gpu=name, build=_build(report), value=size, log=report.source)


def _unexplained(load: Load, order: list[str], seen: GpuUsage, gpu: Gpu | None) -> int:
    """What nvidia-smi counts beyond the buffers, and what the driver keeps, which it does not count."""
    held = sum(
        size
        for column in (BufferColumn.MODEL, BufferColumn.CONTEXT, BufferColumn.COMPUTE)
        for pool, size in pools(load, column).items()
        if predicted_name(pool, order) == seen.device
    )
    driver = sum(row.size for row in gpu.reserved if row.kind is ReservationKind.DRIVER) if gpu else 0
    return seen.used - held + driver if held else 0


def _compute(report: LoadReport, expected: Expected) -> Iterator[Lesson]:
    """How many times its prediction each GPU's compute buffer is."""
    order = device_order(report)
    for row in rows(report, expected):
        if (
            not row.is_of_model
            or row.column is not BufferColumn.COMPUTE
            or row.pool == HOST
            or row.remark
            or row.actual is None
            or not row.predicted
        ):
            continue
        if min(row.actual, row.predicted) >= _LEAST_COMPUTE:
            name = predicted_name(row.pool, order)
            yield Lesson(gpu=name, build=_build(report), value=row.actual / row.predicted, log=report.source)


def _grouped(lessons: Iterator[Lesson]) -> Lessons:
    found: dict[tuple[str, int], list[Lesson]] = defaultdict(list)
    for lesson in lessons:
        found[lesson.gpu, lesson.build].append(lesson)
    return found


def _agree(lessons: Lessons, apart: Callable[[Lesson, Lesson], str]) -> None:
    """Raise InputError where runs of one GPU and build contradict each other."""
    for (gpu, build), known in lessons.items():
        low, high = min(known, key=lambda lesson: lesson.value), max(known, key=lambda lesson: lesson.value)
        if how := apart(low, high):
            where = f"{gpu} under b{build}" if build else gpu
            raise InputError(f"{where}: {how}; leave out the run that was disturbed, or calibrate it apart")


def _apart_in_bytes(low: Lesson, high: Lesson) -> str:
    if high.value - low.value <= _BESIDE_APART:
        return ""
    return f"{low.log} shows {mib(round(low.value))} in use beside the model, {high.log} {mib(round(high.value))}"


def _apart_in_times(low: Lesson, high: Lesson) -> str:
    if high.value <= low.value * _COMPUTE_APART:
        return ""
    return f"{low.log} takes {low.value:.2f} of the predicted compute buffer, {high.log} {high.value:.2f}"


def _gpus(machine: Machine, beside: Lessons, compute: Lessons) -> Iterator[LearnedGpu]:
    described = {gpu.name: gpu.description for gpu in machine.gpus}
    for name, build in sorted({**beside, **compute}):
        yield LearnedGpu(
            name=name,
            description=described.get(name, ""),
            build=build,
            beside=_bytes(beside.get((name, build), ())),
            compute=_factor(compute.get((name, build), ())),
        )


def _bytes(lessons: Sequence[Lesson]) -> MeasuredBytes | None:
    values = [round(lesson.value) for lesson in lessons]
    if not values:
        return None
    return MeasuredBytes(value=round(median(values)), low=min(values), high=max(values), n_runs=len(values))


def _factor(lessons: Sequence[Lesson]) -> MeasuredFactor | None:
    values = [lesson.value for lesson in lessons]
    if not values:
        return None
    return MeasuredFactor(value=median(values), low=min(values), high=max(values), n_runs=len(values))


def _constants(
    model: Model | None, machine: Machine, reports: Sequence[LoadReport], expected: Sequence[Expected]
) -> dict[str, Constant]:
    """Constants of the time model under which the runs come out as measured."""
    if model is None:
        return {}
    runs = [run for report, priced in zip(reports, expected, strict=True) for run in _runs(report, priced)]
    source = f"omniplan calibrate, {len(runs)} runs in logs"
    return calibrate(model, machine, runs, source=source) if runs else {}


def _runs(report: LoadReport, expected: Expected) -> Iterator[MeasuredSpeed]:
    """The typical request of a log, prompt and answer apart."""
    depth = 0
    for phase in Phase:
        known = [item for item in report.timings if item.phase is phase and item.tokens >= _LEAST_TOKENS[phase]]
        if not known:
            continue
        tokens = round(median(item.tokens for item in known))
        is_prompt = phase is Phase.PROMPT
        yield MeasuredSpeed(
            label=f"{report.source} ({phase}, {len(known)} requests)",
            args=expected.args,
            n_prompt=tokens if is_prompt else 0,
            n_gen=0 if is_prompt else tokens,
            depth=depth,
            rate=median(item.rate for item in known),
        )
        depth = tokens

"""What a machine's own runs taught, as a TOML file that a person can read and delete: memory per GPU, and constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.toml_text import quoted
from omniplan.domain.machine import Gpu, LearnedConstant, Machine
from omniplan.errors import InputError
from omniplan.predict import constants as calibration
from omniplan.predict.constants import LEARNED, Constant
from omniplan.units import MIB

_SUFFIX: Final = ".calibration.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRange:
    """A measured number: the median of ``n_runs`` and the range seen."""

    value: float
    low: float
    high: float
    n_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedGpu:
    """One GPU under one build of llama.cpp.

    ``beside`` is bytes in use beside the model's own buffers: driver, CUDA context, pools, screen, other processes.
    ``compute`` is how many times the predicted compute buffer the build's own was.
    """

    name: str
    description: str
    build: int
    beside: MeasuredRange | None = None
    compute: MeasuredRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Everything one file holds: per GPU and build, constants of the time model, and the logs they come from."""

    machine: str
    logs: tuple[str, ...]
    gpus: tuple[LearnedGpu, ...] = ()
    constants: Mapping[str, Constant] = field(default_factory=dict)


def apply(learned: Learned, machine: Machine, *, where: str) -> Machine:
    """``machine`` with what runs on it taught; raises InputError with ``where`` when they ran on another."""
    newest: dict[str, LearnedGpu] = {}
    for row in sorted(learned.gpus, key=lambda row: row.build):
        newest[row.name] = _over(row, newest[row.name]) if row.name in newest else row
    known = {gpu.name for gpu in machine.gpus}
    if strange := sorted(newest.keys() - known):
        raise InputError(f"{where}: learned on {strange[0]}, which {machine.name} does not have")
    constants = tuple(LearnedConstant(name=name, value=row.value) for name, row in learned.constants.items())
    return replace(
        machine,
        gpus=tuple(_applied(gpu, newest.get(gpu.name), machine, where) for gpu in machine.gpus),
        constants=constants or machine.constants,
        learned=where if constants else machine.learned,
    )


def _applied(gpu: Gpu, row: LearnedGpu | None, machine: Machine, where: str) -> Gpu:
    if row is None:
        return gpu
    if not is_same_gpu(gpu.description, row.description):
        raise InputError(f"{where}: {gpu.name} is a {row.description} there, a {gpu.description} on {machine.name}")
    beside = round(row.beside.value) if row.beside else None
    factor = row.compute.value if row.compute else None
    return replace(gpu, beside=beside, compute_factor=factor, learned=f"{where}: {_basis(row)}")


def is_same_gpu(one: str, other: str) -> bool:
    """Whether two descriptions can be of one GPU: one is part of the other, or nothing is known."""
    a, b = one.lower().strip(), other.lower().strip()
    return not a or not b or a in b or b in a


def _over(new: LearnedGpu, old: LearnedGpu) -> LearnedGpu:
    """The newer build's figures, the older's where it has none."""
    return LearnedGpu(
        name=new.name,
        description=new.description,
        build=new.build,
        beside=new.beside or old.beside,
        compute=new.compute or old.compute,
    )


def _basis(gpu: LearnedGpu) -> str:
    runs = max(spread.n_runs for spread in (gpu.beside, gpu.compute) if spread)
    build = f" of b{gpu.build}" if gpu.build else ""
    return f"measured in {runs} run{'s' * (runs > 1)}{build}"


def load(path: str | Path) -> Learned:
    """The file at ``path``; a file of constants alone has taught nothing about memory. Raises InputError."""
    table = calibration.read(path)
    constants = calibration.own(path)
    if LEARNED not in table:
        return Learned(machine="", logs=(), constants=constants)
    try:
        fields = Fields.of(table[LEARNED], LEARNED)
        learned = Learned(
            machine=fields.text("machine"),
            logs=fields.texts("logs"),
            gpus=tuple(_gpu(row) for row in fields.tables("gpus")),
            constants=constants,
        )
        fields.done()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return learned


def _gpu(fields: Fields) -> LearnedGpu:
    gpu = LearnedGpu(
        name=fields.text("name"),
        description=fields.text("description", ""),
        build=fields.required_count("build"),
        beside=_spread(fields, "beside", "_mib", MIB),
        compute=_spread(fields, "compute_factor", "", 1),
    )
    fields.done()
    if gpu.beside is None and gpu.compute is None:
        raise fields.error("beside_mib", "is missing, and so is compute_factor: a row says one of them")
    return gpu


def _spread(fields: Fields, name: str, unit: str, scale: float) -> MeasuredRange | None:
    value = fields.number(f"{name}{unit}")
    low, high, runs = (
        fields.number(f"{name}_low{unit}"),
        fields.number(f"{name}_high{unit}"),
        fields.count(f"{name}_runs"),
    )
    if value is None:
        return None
    low, high = value if low is None else low, value if high is None else high
    if not 0 < low <= value <= high:
        raise fields.error(f"{name}{unit}", f"needs 0 < low <= value <= high, got {low:g}, {value:g}, {high:g}")
    return MeasuredRange(value=value * scale, low=low * scale, high=high * scale, n_runs=runs or 1)


def write(learned: Learned) -> str:
    """TOML that ``load`` reads back to the same."""
    head = (
        f"{learned.machine}, learned by omniplan calibrate --log; delete this file to forget it\n"
        "beside: in use on the GPU beside the model's buffers; compute_factor: this build's compute buffer / predicted"
    )
    lines = [*(f"# {line}" for line in head.splitlines()), "", f"[{LEARNED}]"]
    lines += [f"machine = {quoted(learned.machine)}", f"logs = [{', '.join(map(quoted, learned.logs))}]"]
    for gpu in learned.gpus:
        lines += ["", f"[[{LEARNED}.gpus]]", f"name = {quoted(gpu.name)}", f"description = {quoted(gpu.description)}"]
        lines += [f"build = {gpu.build}", *_spread_lines(gpu.beside, "beside", "_mib", MIB)]
        lines += _spread_lines(gpu.compute, "compute_factor", "", 1)
    return "\n".join(lines) + "\n" + (calibration.write(learned.constants, "") if learned.constants else "")


def _spread_lines(spread: MeasuredRange | None, name: str, unit: str, scale: float) -> list[str]:
    if spread is None:
        return []
    values = {f"{name}{unit}": spread.value, f"{name}_low{unit}": spread.low, f"{name}_high{unit}": spread.high}
    return [*(f"{key} = {value / scale:.6g}" for key, value in values.items()), f"{name}_runs = {spread.n_runs}"]


def beside(machine: str | Path) -> Path | None:
    """The file that belongs to a machine file, ``NAME.calibration.toml`` beside ``NAME.toml``, where there is one."""
    path = Path(machine)
    found = path.with_name(f"{path.stem}{_SUFFIX}")
    return found if path.is_file() and found.is_file() else None

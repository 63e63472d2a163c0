"""What a machine's own runs taught, as a TOML file that a person can read and delete: memory per GPU, and constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

from omniplan.documents.column import Amount, Column, Count, Mib
from omniplan.documents.document import from_text
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import Record, plain
from omniplan.documents.text_file import read_utf8
from omniplan.documents.toml_text import to_toml
from omniplan.domain.evidence import LearnedConstant
from omniplan.domain.machine import Gpu, Machine
from omniplan.errors import InputError
from omniplan.machines.files import CALIBRATION, path_of
from omniplan.predict.constants import Constant, by_name, is_known

_COMMENT: Final = (
    "Learned by omniplan calibrate; delete this file to forget it.\n"
    "beside: in use on the GPU beside the model's buffers; compute_factor: this build's compute buffer / predicted."
)


class _Seen:
    """Numbers of several runs: the median, and the range seen."""

    __slots__ = ()
    value: float
    low: float
    high: float

    def faults(self) -> Iterator[tuple[str, str]]:
        """A value outside the range that it was seen in."""
        if not 0 < self.low <= self.value <= self.high:
            yield "value", f"needs 0 < low <= value <= high, got {self.low:g}, {self.value:g}, {self.high:g}"


def _value(values: Mapping[str, Any]) -> Any:
    return values["value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBytes(_Seen):
    """Bytes of ``n_runs``."""

    value: Mib
    low: Annotated[Mib, Column(default=_value)]
    high: Annotated[Mib, Column(default=_value)]
    n_runs: Annotated[Count, Column(key="runs")] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFactor(_Seen):
    """How many times a prediction, in ``n_runs``."""

    value: Amount
    low: Annotated[Amount, Column(default=_value)]
    high: Annotated[Amount, Column(default=_value)]
    n_runs: Annotated[Count, Column(key="runs")] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedGpu:
    """One GPU under one build of llama.cpp.

    ``beside`` is bytes in use beside the model's own buffers: driver, CUDA context, pools, screen, other processes.
    ``compute`` is how many times the predicted compute buffer the build's own was.
    """

    name: str
    description: str = ""
    build: Count
    beside: MeasuredBytes | None = None
    compute: Annotated[MeasuredFactor | None, Column(key="compute_factor")] = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """A row that says nothing."""
        if self.beside is None and self.compute is None:
            yield "beside", "is missing, and so is compute_factor: a row says one of them"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedMemory:
    """What logs of ``machine`` say of its GPUs' memory."""

    machine: str
    logs: tuple[str, ...] = ()
    gpus: tuple[LearnedGpu, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned(Record):
    """Everything one file holds: what logs say of memory, and constants of the time model by group and name."""

    memory: Annotated[LearnedMemory | None, Column(key="learned")] = None
    constants: Annotated[Mapping[str, Mapping[str, Constant]], Column(is_rest=True)] = FrozenMapping()

    @property
    def gpus(self) -> tuple[LearnedGpu, ...]:
        """What is known of memory, per GPU and build."""
        return self.memory.gpus if self.memory else ()

    @property
    def by_name(self) -> Mapping[str, Constant]:
        """The constants by their dotted names."""
        return by_name(self.constants)

    def to_toml(self, comment: str = _COMMENT) -> str:
        """The calibration file that ``load`` reads back to the same, ``comment`` on top."""
        return to_toml(plain(self, sparse=True), comment=comment)


def learned_of(constants: Mapping[str, Constant], memory: LearnedMemory | None = None) -> Learned:
    """A file of ``constants`` by their dotted names, to the six digits that are written, and of ``memory``."""
    groups: dict[str, dict[str, Constant]] = {}
    for dotted, row in constants.items():
        group, _, name = dotted.partition(".")
        value, low, high = (float(f"{number:.6g}") for number in (row.value, row.low, row.high))
        groups.setdefault(group, {})[name] = replace(row, value=value, low=low, high=high)
    frozen = {group: FrozenMapping(rows) for group, rows in groups.items()}
    return Learned(memory=memory, constants=FrozenMapping(frozen))


def apply(learned: Learned, machine: Machine, *, where: str) -> Machine:
    """``machine`` with what runs on it taught; raises InputError with ``where`` when they ran on another."""
    newest: dict[str, LearnedGpu] = {}
    for row in sorted(learned.gpus, key=lambda row: row.build):
        newest[row.name] = _over(row, newest[row.name]) if row.name in newest else row
    known = {gpu.name for gpu in machine.gpus}
    if strange := sorted(newest.keys() - known):
        raise InputError(
            f"{where}: learned on {strange[0]}, which {machine.name} does not have; "
            f"learn each machine from its own logs"
        )
    values = {constant.name: constant.value for constant in machine.constants}
    values |= {name: row.value for name, row in learned.by_name.items()}
    return replace(
        machine,
        gpus=tuple(_applied(gpu, newest.get(gpu.name), machine, where) for gpu in machine.gpus),
        constants=tuple(LearnedConstant(name=name, value=value) for name, value in values.items()),
        learned=where if learned.constants else machine.learned,
    )


def _applied(gpu: Gpu, row: LearnedGpu | None, machine: Machine, where: str) -> Gpu:
    if row is None:
        return gpu
    if not is_same_gpu(gpu.description, row.description):
        raise InputError(
            f"{where}: {gpu.name} is a {row.description} there, a {gpu.description} on {machine.name}; "
            f"learn each from its own logs"
        )
    beside = row.beside.value if row.beside else None
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
    """The file at ``path``; raises InputError, for a constant that is not known too."""
    learned = from_text(Learned, read_utf8(path), where=str(path), what="calibration file")
    if strange := sorted(name for name in learned.by_name if not is_known(name)):
        raise InputError(f"{path}: {strange[0]}: no such constant; data/calibration.toml lists them")
    return learned


def beside(machine: str | Path) -> Path | None:
    """The file that belongs to a machine file, ``NAME.calibration.toml`` beside ``NAME.toml``, where there is one."""
    path = path_of(machine)
    if not path.name:
        return None
    found = path.with_name(f"{path.stem}{CALIBRATION}")
    return found if path.is_file() and found.is_file() else None

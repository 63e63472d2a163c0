"""Measurements: what runs showed, as small files that may be given away and are read back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omniplan.bench.values import BenchReport
    from omniplan.domain.machine import Machine
    from omniplan.domain.measurement import MeasuredModel, Measurement
    from omniplan.domain.params import ServerParams
    from omniplan.domain.plan import Plan
    from omniplan.domain.prediction import Prediction
    from omniplan.tune.session import Tuned


def measurements(found: Tuned | BenchReport, plan: Plan | None = None) -> tuple[Measurement, ...]:
    """What a tuning measured, or a benchmark of a server that was started with ``plan``.

    They name models, GPUs, processors and settings, and nobody: no path, address, serial or name of a host. Raises
    InputError where a speed depends on what may not be given away.
    """
    from omniplan.bench.measurement import of_report
    from omniplan.bench.values import BenchReport
    from omniplan.errors import InputError
    from omniplan.tune.measurements import measurements as of_tuning

    if not isinstance(found, BenchReport):
        return tuple(of_tuning(found))
    if plan is None:
        raise InputError("needs the plan whose server was measured; name its file", field="plan")
    return (of_report(found, plan),)


def keep_measurements(measurements: Iterable[Measurement]) -> tuple[Path, ...]:
    """Put them into the folder of your own rows, where ``plan`` and ``predict`` find what was measured here."""
    from omniplan.predict.measured import keep

    return keep(measurements)


def load_measurements(path: str | Path) -> tuple[Measurement, ...]:
    """The measurement in a file, or all of a folder (``*.json``); raises InputError with the path inside the file."""
    from omniplan.predict.measured import load_measurements as load

    return load(path)


def is_of_measurements(path: str | Path) -> bool:
    """Whether a calibration is a measurement or a folder of them, rather than a TOML file."""
    return Path(path).is_dir() or str(path).endswith(".json")


def with_measured(
    prediction: Prediction, model: MeasuredModel, machine: Machine, params: ServerParams, calibration: str | Path | None
) -> Prediction:
    """``prediction`` with what the same took: on this host, and in the measurements of ``calibration``."""
    from omniplan.predict.known import with_measured as joined
    from omniplan.predict.measured import own_measurements

    others = load_measurements(calibration) if calibration and is_of_measurements(calibration) else ()
    return joined(prediction, model, machine, params, here=tuple(own_measurements()), elsewhere=others)

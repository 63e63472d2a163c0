"""A run's own log: read, and held against a plan or a footprint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import build_of, machine_of, model_of

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.plan import Plan
    from omniplan.predict.learned import Learned
    from omniplan.verify.logs.report import LoadReport
    from omniplan.verify.values import Verification


def read_log(path: str | Path) -> LoadReport:
    """What a log of llama-server, llama-cli, llama-bench or llama-fit-params says, whatever build and wrapper.

    Reads any size in one pass with bounded memory. Raises InputError where no line states anything.
    """
    from omniplan.verify.logs import read_log as read

    return read(path)


def verify(
    log: str | Path | LoadReport,
    *,
    plan: Plan | str | Path | None = None,
    model: ModelSource | None = None,
    machine: MachineSource | None = None,
    args: Sequence[str] = (),
    nvidia_smi: str | Path | None = None,
    build: int | str | None = None,
) -> Verification:
    """Hold a run's ``log`` against ``plan``, or against a footprint of ``model``.

    Without a plan, ``args`` are what is priced, without ``-m``; when empty, the command in the log, else the settings
    it shows. It is priced as ``build``, else as the build that wrote the log. Without ``machine`` the log's own devices
    are taken. ``nvidia_smi`` is a CSV file of memory in use.
    Without plan and model the log is read and judged by itself. Raises InputError, ArgumentError or HeaderError.
    """
    from omniplan.api.documents import load_plan
    from omniplan.errors import InputError
    from omniplan.verify.expected import Expected, focused, of_model, of_plan
    from omniplan.verify.nvidia_csv import read_usage
    from omniplan.verify.verify import verify as hold

    if plan is not None and (model is not None or args or build is not None):
        raise InputError("verify: a plan has its own model, arguments and build; give either the plan or the model")
    number = None if build is None else build_of(build)
    host = None if machine is None else machine_of(machine)
    report = read_log(log) if isinstance(log, str | Path) else log
    if plan is not None:
        own = load_plan(plan) if isinstance(plan, str | Path) else plan
        report, expected = focused(report, own.model.path, own.model.name), of_plan(own)
    elif model is not None:
        ran = model_of(model)
        header = ran.header
        report = focused(report, header.paths[0], str(header.metadata.get("general.name", "")))
        expected = of_model(report, ran, host, args, number)
    else:
        expected = Expected(args=tuple(args))
    known = host or expected.machine
    usage = read_usage(nvidia_smi, known) if nvidia_smi is not None else ()
    return hold(report, expected, machine=known, usage=usage)


def calibrate(
    logs: Sequence[str | Path | LoadReport] = (),
    *,
    llama_bench: str | Path | None = None,
    records: str | Path | None = None,
    model: ModelSource | None = None,
    machine: MachineSource | None = None,
    args: Sequence[str] = (),
    nvidia_smi: str | Path | None = None,
) -> Learned:
    """What a machine's own runs teach: its ``logs``, or the rows that ``llama-bench -o json`` wrote to a file.

    Logs teach memory in use beside the model per GPU and, with the ``model`` that ran, the build's compute buffers and
    constants of the time model, held against predictions of ``args`` or of what each log shows; ``nvidia_smi`` is a CSV
    file of memory in use during the one run. Without ``machine`` the log's own devices are taken. ``llama_bench``
    teaches constants, and needs model and machine. So do ``records``, measurements in a file or a folder, which name
    the machine themselves. ``plan`` and ``predict`` take a file of the result's ``to_toml``.
    Raises InputError where a log is of a failed load or of another machine, teaches nothing, or contradicts another.
    """
    from omniplan.errors import InputError
    from omniplan.verify.learn import learn
    from omniplan.verify.nvidia_csv import read_usage

    if records is not None:
        return _of_records(records, model, machine)
    if llama_bench is not None:
        return _of_bench(llama_bench, model, machine)
    if not logs:
        raise InputError("calibrate: no log given; name logs of llama-server")
    reports = [read_log(log) if isinstance(log, str | Path) else log for log in logs]
    known, host = None if model is None else model_of(model), None if machine is None else machine_of(machine)
    usage = read_usage(nvidia_smi, host) if nvidia_smi is not None else ()
    return learn(reports, machine=host, model=known, args=args, usage=usage)


def _of_records(path: str | Path, model: ModelSource | None, machine: MachineSource | None) -> Learned:
    from omniplan.api.evidence import load_measurements
    from omniplan.errors import InputError
    from omniplan.predict.known import learn_measured

    if model is None:
        raise InputError("needs the model that was measured; name its file", field="records")
    host = None if machine is None else machine_of(machine)
    return learn_measured(model_of(model), load_measurements(path), host, source=str(path))


def _of_bench(path: str | Path, model: ModelSource | None, machine: MachineSource | None) -> Learned:
    import json

    from omniplan.documents.text_file import read_utf8
    from omniplan.errors import InputError
    from omniplan.predict.bench_rows import bench_runs
    from omniplan.predict.calibrate import calibrate
    from omniplan.predict.learned import learned_of

    if model is None or machine is None:
        raise InputError("needs the machine, and the model that was benchmarked; name both", field="llama_bench")
    try:
        rows = json.loads(read_utf8(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not readable as llama-bench -o json: {error}") from error
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected the list of rows that llama-bench -o json prints")
    ran = model_of(model)
    return learned_of(calibrate(ran, machine_of(machine), bench_runs(rows, ran)))

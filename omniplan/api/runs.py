"""A run's own log: read, and held against a plan or a footprint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import ModelSource, model_of
from omniplan.domain.machine import Machine

if TYPE_CHECKING:
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
    source: ModelSource | None = None,
    machine: Machine | None = None,
    args: Sequence[str] = (),
    nvidia_smi: str | Path | None = None,
) -> Verification:
    """Hold a run's ``log`` against ``plan``, or against a footprint of the model ``source``.

    Without a plan, ``args`` are what is priced, without ``-m``; when empty, the command in the log, else the settings
    it shows. Without ``machine`` the log's own devices are taken. ``nvidia_smi`` is a CSV file of memory in use.
    Without plan and model the log is read and judged by itself. Raises InputError, ArgumentError or HeaderError.
    """
    from omniplan.api.documents import load_plan
    from omniplan.errors import InputError
    from omniplan.verify.expected import Expected, focused, of_model, of_plan
    from omniplan.verify.nvidia_csv import read_usage
    from omniplan.verify.verify import verify as hold

    if plan is not None and (source is not None or args):
        raise InputError("verify: a plan has its own model and arguments; give either the plan or the model")
    report = read_log(log) if isinstance(log, str | Path) else log
    if plan is not None:
        own = load_plan(plan) if isinstance(plan, str | Path) else plan
        report, expected = focused(report, own.model.path, own.model.name), of_plan(own)
    elif source is not None:
        model = model_of(source)
        header = model.header
        report = focused(report, header.paths[0], str(header.metadata.get("general.name", "")))
        expected = of_model(report, model, machine, args)
    else:
        expected = Expected(args=tuple(args))
    known = machine or expected.machine
    usage = read_usage(nvidia_smi, known) if nvidia_smi is not None else ()
    return hold(report, expected, machine=known, usage=usage)


def learn(
    logs: Sequence[str | Path | LoadReport],
    *,
    source: ModelSource | None = None,
    machine: Machine | None = None,
    args: Sequence[str] = (),
    nvidia_smi: str | Path | None = None,
) -> Learned:
    """What a machine's own ``logs`` teach: memory beside the model per GPU and, with the model ``source``, more.

    With it the build's compute buffers and the constants of the time model are held against predictions, of ``args``
    or of what each log shows. Write the result with ``omniplan.predict.learned.write`` and give the file to ``plan`` or
    ``predict``. Raises InputError where a log is of a failed load or of another machine, teaches nothing, or
    contradicts another.
    """
    from omniplan.errors import InputError
    from omniplan.verify.learn import learn as lessons
    from omniplan.verify.nvidia_csv import read_usage

    if not logs:
        raise InputError("calibrate: no log given")
    return lessons(
        [read_log(log) if isinstance(log, str | Path) else log for log in logs],
        machine=machine,
        model=None if source is None else model_of(source),
        args=args,
        usage=read_usage(nvidia_smi, machine) if nvidia_smi is not None else (),
    )

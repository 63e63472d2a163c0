"""What a run should take: of a plan, or of a header with the arguments that the log or its reader names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath, PureWindowsPath
from typing import Final

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import Footprint
from omniplan.domain.hosts import joined, undescribed
from omniplan.domain.machine import Gpu, Machine, Memory
from omniplan.domain.model import Model
from omniplan.domain.params import MTP, ServerParams
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Phase, Prediction
from omniplan.errors import ArgumentError, InputError
from omniplan.gguf.companions import with_companions
from omniplan.llamacpp.fit.fit import fit
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.buffers import HOST
from omniplan.llamacpp.ggml.meta import NAME as META
from omniplan.llamacpp.load.footprint import footprint
from omniplan.machines.gpus import find_gpu
from omniplan.predict.request import is_known, predict
from omniplan.verify.logs.report import Load, LoadReport
from omniplan.verify.pools import device_order, pool_of, predicted_name

SETTINGS: Final = "the settings in the log"
_FLASH: Final = ("-fa", "--flash-attn")
# Wrong arguments are taken out one by one; more of them are not llama-server's.
_MOST_WRONG: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A prediction to hold a log against; without one, every field is empty.

    ``model`` says what it is of: architecture and ``n_layer`` as a log may print them.
    """

    basis: str = ""
    args: tuple[str, ...] = ()
    machine: Machine | None = None
    footprint: Footprint | None = None
    prediction: Prediction | None = None
    plan: Plan | None = None
    assumptions: tuple[Assumption, ...] = ()
    model: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def of_plan(plan: Plan) -> Expected:
    """The plan's own prediction."""
    return Expected(
        basis="the plan",
        args=plan.server_args,
        machine=plan.machine,
        footprint=plan.footprint,
        prediction=plan.prediction,
        plan=plan,
        model=_identity(plan.model.architecture, plan.model.n_layer, plan.model.n_layer_nextn),
    )


def _identity(architecture: str, n_layer: int, n_layer_nextn: int) -> Mapping[str, tuple[str, ...]]:
    """What a log prints of a model; builds before 2026 count nextn layers."""
    return {"architecture": (architecture,), "n_layer": (str(n_layer), str(n_layer + n_layer_nextn))}


def focused(report: LoadReport, path: str, name: str) -> LoadReport:
    """``report`` with the last load of the model at ``path``, or called ``name``, as its main one where it has one."""
    own = PurePath(path).name
    for index in reversed(range(len(report.loads))):
        load = report.loads[index]
        is_own = PureWindowsPath(load.model.path).name == own or (name and load.model.name == name)
        if is_own and not load.is_dry and not load.is_draft and (load.has_buffers or load.refused):
            return replace(report, main=index)
    return report


def of_model(
    report: LoadReport, model: Model, machine: Machine | None, args: Sequence[str], build: int | None = None
) -> Expected:
    """A footprint of ``args``, else of the command in the log, else of the settings it shows.

    It is that of ``build``, else of the log's own, else of the default. Free memory is what the log says was free,
    since llama.cpp divides layers by it. A rehearsal is held against a rehearsal, whose compute buffers can be larger
    than a load's. Raises InputError where neither a machine is given nor the log describes its devices.
    """
    load = report.load
    if load is None:
        raise InputError(
            f"{report.source}: shows no load of a model to hold against {model.header.paths[0]}; "
            f"give the log from its start"
        )
    basis, words = _words(load, args)
    number = build or (report.build.number if report.build else 0) or DEFAULT_BUILD
    params, dropped = _tolerant(words, number)
    base = _freed(report, joined(machine, params.rpc)) if machine else machine_in(report)
    loaded = with_companions(model, params)
    chosen = _fitted(loaded, base, params, words, load)
    # A run of the settings shown is priced as it ran, whatever --fit had in mind.
    params = parse(chosen, build=number)
    priced = footprint(loaded, base, params, no_alloc=load.is_dry)
    return Expected(
        basis=basis,
        args=tuple(chosen),
        machine=base,
        footprint=priced,
        prediction=_predicted(loaded, base, params, report),
        assumptions=(*priced.assumptions, *_left_out(priced), *dropped, *_unseen(basis, base)),
        model=_identity(model.arch, model.hparams.n_layer, model.hparams.n_layer_nextn),
    )


def _left_out(priced: Footprint) -> Iterator[Assumption]:
    for item in priced.unpriced:
        yield Assumption(subject=item.subject, statement=f"not counted: {item.what}", source=item.source)


def _unseen(basis: str, machine: Machine) -> Iterator[Assumption]:
    if basis == SETTINGS and machine.gpus:
        yield Assumption(
            subject="-ts, -ot",
            statement="taken for not given, since a log does not show them; give the run's arguments after --",
            source="llama.cpp b11434 prints no command line",
        )


def _words(load: Load, args: Sequence[str]) -> tuple[str, list[str]]:
    if args:
        return "the arguments given", list(args)
    if load.command:
        return "the command in the log", _known_context(list(load.command), load)
    return SETTINGS, settings_args(load)


def _known_context(words: list[str], load: Load) -> list[str]:
    """The command with the context it got, where --fit shrank it."""
    after = load.fit.context_after if load.fit else None
    return [*words, "-c", str(after)] if after else words


def settings_args(load: Load) -> list[str]:
    """llama-server's arguments for the settings that a log shows; overrides and splits it does not show."""
    context = load.contexts[0] if load.contexts else None
    found = {} if context is None else context.settings
    args: list[str] = ["--fit", "off"]
    for name, flag in (("n_ctx", "-c"), ("n_seq_max", "-np"), ("n_batch", "-b"), ("n_ubatch", "-ub")):
        if found.get(name, "").isdigit():
            args += [flag, found[name]]
    if not found and load.n_slots and load.n_ctx_slot:
        args += ["-c", str(load.n_slots * load.n_ctx_slot), "-np", str(load.n_slots)]
    if found.get("kv_unified") == "true":
        args.append("-kvu")
    if context is not None and context.flash_attn is not None:
        args += ["-fa", "on" if context.flash_attn else "off"]
    for key, flag in (("K", "-ctk"), ("V", "-ctv")):
        kind = next((cache.types[key] for cache in context.caches if key in cache.types), "") if context else ""
        args += [flag, kind] if kind else []
    if load.offloaded is not None:
        args += ["-ngl", str(load.offloaded)]
    if len(load.contexts) > 1:
        # A second context of one model is that of its MTP heads, for whose tokens the main one keeps states.
        args += ["--spec-type", MTP]
        args += ["--spec-draft-n-max", drafted] if (drafted := found.get("n_rs_seq", "")).strip("0").isdigit() else []
    return args


def _tolerant(words: list[str], build: int) -> tuple[ServerParams, tuple[Assumption, ...]]:
    """``words`` without what no build takes, which is taken out of them; each is an assumption."""
    dropped: list[Assumption] = []
    for _ in range(_MOST_WRONG):
        try:
            return parse(words, build=build), tuple(dropped)
        except ArgumentError as error:
            at = next((index for index, word in enumerate(words) if word.replace("_", "-") == error.flag), None)
            if at is None:
                raise
            following = words[at + 1 : at + 2]
            if error.flag in _FLASH and following != ["on"]:
                # Builds of 2025 and before take no value.
                words[at + 1 : at + 1] = ["on"]
                continue
            del words[at : at + 1 + bool(following and not following[0].startswith("-"))]
            dropped.append(
                Assumption(
                    subject=error.flag, statement=f"left out: {error.problem}", source="common/arg.cpp of b11434"
                )
            )
    raise InputError("the command in the log: is none that llama-server takes; give its arguments after --")


def _fitted(model: Model, machine: Machine, params: ServerParams, words: list[str], load: Load) -> list[str]:
    """``words`` with what --fit would make of them, where it was on and free to choose."""
    is_free = params.fit and params.n_gpu_layers == -1 and not params.tensor_split and not params.overrides
    if not is_free or not machine.gpus or load.offloaded is None:
        return words
    return [*words, *fit(model, machine, params).args, "--fit", "off"]


def _predicted(model: Model, machine: Machine, params: ServerParams, report: LoadReport) -> Prediction | None:
    """Speed at the sizes of the requests in the log; None where it shows none."""
    prompts = [timing.tokens for timing in report.timings if timing.phase is Phase.PROMPT]
    answers = [timing.tokens for timing in report.timings if timing.phase is Phase.DECODE]
    if not is_known(params) or undescribed(machine, params.rpc) or not (prompts or answers):
        return None
    n_prompt, n_gen = (sorted(sizes)[len(sizes) // 2] if sizes else 0 for sizes in (prompts, answers))
    return predict(model, machine, params, n_prompt=n_prompt, n_gen=max(1, n_gen), depth=0)


def _freed(report: LoadReport, machine: Machine) -> Machine:
    """The machine with the free memory that the log shows."""
    order = device_order(report)
    shown = {predicted_name(pool_of(d.name), order): d.free for d in report.devices if d.free is not None}
    gpus = tuple(replace(gpu, free=min(gpu.total, shown.get(gpu.name, gpu.free))) for gpu in machine.gpus)
    return replace(machine, gpus=gpus)


def machine_in(report: LoadReport) -> Machine:
    """The machine as far as the log describes it; raises InputError where it does not describe its devices."""
    order = device_order(report)
    gpus = []
    for device in report.devices:
        pool = pool_of(device.name)
        size = device.total or device.free
        if pool in (HOST, META) or size is None:
            continue
        name = predicted_name(pool, order)
        free = size if device.free is None else device.free
        row = find_gpu(device.description, size)
        gpus.append(
            Gpu(
                name=name,
                description=device.description,
                total=size,
                free=free,
                compute_capability=device.compute_capability,
                is_unified=row is not None and row.is_unified,
            )
        )
    cpu = report.device(buffers.CPU)
    if not gpus and cpu is None and any(pool != HOST for pool in order):
        raise InputError(f"{report.source}: does not describe its devices; name the machine")
    memory = Memory(total=cpu.total) if cpu and cpu.total else None
    return Machine(name="as in the log", gpus=tuple(gpus), memory=memory, source=report.source)


def free_of(report: LoadReport, machine: Machine | None, pool: str) -> int | None:
    """Bytes free on ``pool`` before the load, by the log, else by the machine."""
    device = next((d for d in report.devices if pool_of(d.name) == pool and d.free is not None), None)
    if device is not None:
        return device.free
    known = {gpu.name: gpu.free for gpu in machine.gpus} if machine else {}
    return known.get(predicted_name(pool, device_order(report)))

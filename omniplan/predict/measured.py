"""Measurements of one's own: what of plan and machine may be given away, and which files to read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from omniplan.documents.document import parse_document
from omniplan.documents.own import made_folder, own_folder
from omniplan.documents.whole_file import write_whole
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.measurement import MEASUREMENT_VERSION, MeasuredModel, Measurement, settings_of
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.plan import Plan
from omniplan.domain.processor import Cpu
from omniplan.errors import InputError, OmniplanError
from omniplan.llamacpp.build import build_number
from omniplan.llamacpp.flags.args import parse
from omniplan.machines.cpus import find_described
from omniplan.machines.gpus import find_gpu, plain_name
from omniplan.units import MIB

# Below a user's own folder: what was measured on this host.
FOLDER: Final = "measurements"
# A measurement has about 2 KiB; a folder of thousands is somebody's archive, of which the first will do.
_LARGEST: Final = 1 << 16
_MOST_FILES: Final = 2000
# Names of processors and GPUs hold words and numbers, never a path or an address.
_DEVICE: Final = re.compile(r"[A-Za-z]+\d{1,2}")
_NAME: Final = re.compile(r"[\w .()+-]{1,60}")


def recorded(plan: Plan) -> ServerParams:
    """What the plan says as far as it has a part in speed.

    Raises InputError where what has a part in it may not be given away: addresses, and files beside the model.
    """
    params = params_of(plan)
    beside = {
        "addresses": params.rpc,
        "a draft's file": params.draft.model,
        "adapters": params.adapters or params.control_vectors,
        "metadata of one's own": params.override_kv,
        "a pattern with a path": any(re.search(r"[/\s]", item.pattern) for item in params.overrides),
        "a device with a name of its own": not all(_DEVICE.fullmatch(gpu.name) for gpu in plan.machine.gpus),
    }
    if told := [what for what, is_there in beside.items() if is_there]:
        raise InputError(f"not kept as a measurement: its speed depends on {' and '.join(told)}; measure without")
    kept = settings_of(params)
    return replace(kept, n_ctx=params.n_ctx, n_ctx_given=params.n_ctx_given, n_parallel=params.n_parallel)


def params_of(plan: Plan) -> ServerParams:
    """The plan's arguments under its environment."""
    return parse(plan.server_args, env=plan.environment, build=build_number(plan.llama_cpp))


def hardware_of(machine: Machine) -> Machine:
    """The machine without what names it or its owner: no serials, addresses, processes, notes or files."""
    gpus = tuple(_bare(gpu) for gpu in machine.gpus if not gpu.endpoint)
    cpu = machine.cpu and _bare_processor(machine.cpu)
    memory = machine.memory and replace(machine.memory, total=machine.memory.total // MIB * MIB, reserved=())
    return Machine(
        name=" + ".join(gpu.description or "a GPU" for gpu in gpus) or "no GPU",
        gpus=gpus,
        memory=memory,
        numa_nodes=tuple(replace(node, cpus="") for node in machine.numa_nodes),
        nps=machine.nps,
        cpu=cpu,
    )


def _bare(gpu: Gpu) -> Gpu:
    """A GPU's make and speeds; its free memory is all of it."""
    found = find_gpu(gpu.description, gpu.total)
    return replace(
        gpu,
        description=found.name if found else _plain(plain_name(gpu.description)),
        free=gpu.total,
        uuid="",
        pci="",
        numa_node=None,
        limit_source="stated" if gpu.limit_source else "",
        beside=None,
        compute_factor=None,
        learned="",
        reserved=(),
    )


def _bare_processor(cpu: Cpu) -> Cpu:
    """A processor's make; what a process may use of it is another matter."""
    found = find_described(cpu.model)
    return replace(
        cpu,
        model=found.name if found else _plain(cpu.model),
        allowed="",
        allowed_cores=None,
        quota=None,
        features=tuple(filter(_NAME.fullmatch, cpu.features)),
    )


def _plain(name: str) -> str:
    """A name that is one, "" for anything else."""
    return name if _NAME.fullmatch(name) else ""


def model_of_plan(plan: Plan) -> MeasuredModel:
    """Which model the plan is of; a name that is a path is cut to its end."""
    facts = plan.model
    return MeasuredModel(
        name=_plain(re.split(r"[/\\]", facts.name)[-1]),
        architecture=facts.architecture,
        n_layer=facts.n_layer,
        tensor_bytes=facts.tensor_bytes,
    )


def model_of_header(model: Model) -> MeasuredModel:
    """The same of a model that is read."""
    name, header = str(model.header.metadata.get("general.name", "")), model.header
    return MeasuredModel(
        name=name, architecture=model.arch, n_layer=model.hparams.n_layer, tensor_bytes=header.tensor_bytes
    )


def load_measurements(path: str | Path) -> tuple[Measurement, ...]:
    """The measurement in a file, or those of a folder in the order of their names; raises InputError."""
    place = Path(path)
    files = sorted(place.glob("*.json"))[:_MOST_FILES] if place.is_dir() else [place]
    if not files:
        raise InputError(f"{path}: holds no measurement (*.json); omniplan tune and bench write them")
    return tuple(_load(file) for file in files)


def own_measurements() -> Iterator[Measurement]:
    """What was measured on this host; what another version wrote is passed over."""
    folder = own_folder()
    for path in sorted((folder / FOLDER).glob("*.json"))[-_MOST_FILES:] if folder else ():
        try:
            yield _load(path)
        except InputError:
            continue


def keep(measurements: Iterable[Measurement]) -> tuple[Path, ...]:
    """Write each into a user's own folder, where later predictions find it; raises InputError where that fails."""
    folder = made_folder(FOLDER)
    paths = []
    for measurement in measurements:
        paths.append(folder / measurement.file_name)
        write_whole(paths[-1], measurement.to_json() + "\n")
    return tuple(paths)


def _load(path: Path) -> Measurement:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from error
    if len(data) > _LARGEST:
        raise InputError(f"{path}: is larger than {_LARGEST >> 10} KiB, expected a measurement")
    found = parse_document(text, Measurement, version=MEASUREMENT_VERSION, where=str(path), verb="tune")
    try:
        parse(found.args, env=found.environment)
    except OmniplanError as error:
        raise InputError(f"{path}: args: {error}") from error
    return found

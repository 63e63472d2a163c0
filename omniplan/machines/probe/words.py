"""A machine from words: "2x RTX 3090, Ryzen 9 5950X, 64 GB DDR4-3600"."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final

from omniplan.domain.machine import Gpu, Machine, Memory, Reservation, ReservationKind
from omniplan.domain.processor import Cpu
from omniplan.errors import InputError
from omniplan.machines import cpus, gpus
from omniplan.machines.advice import LimitKind, reserves, share_limits
from omniplan.machines.cpus import CpuRow
from omniplan.machines.gpus import GpuRow
from omniplan.units import GIB, MIB

_COUNTS: Final = {"dual": 2, "two": 2, "three": 3, "triple": 3, "four": 4, "quad": 4, "eight": 8}
# What ggml calls the devices of each maker's backend.
_BACKENDS: Final = {"amd": "ROCm", "intel": "SYCL", "apple": "MTL"}
_COUNT: Final = re.compile(r"(?:(\d{1,3})\s*[x×*]\s*|(" + "|".join(_COUNTS) + r")\s+)(?=\S)", re.IGNORECASE)  # noqa: RUF001
_SIZE: Final = re.compile(r"(?:(\d{1,2})\s*[x×*]\s*)?(\d{1,6})\s*(GB|GiB|TB|TiB)\b\s*(.*)", re.IGNORECASE)  # noqa: RUF001
_KIND: Final = re.compile(r"(LP)?DDR(\d)X?(?:[- ](\d{3,5}))?", re.IGNORECASE)
_CHANNELS: Final = re.compile(r"(\d{1,2}|dual|quad|eight)[- ]channels?", re.IGNORECASE)


@dataclass(slots=True)
class _Found:
    """What the words said so far."""

    gpus: list[tuple[GpuRow, bool]] = field(default_factory=list)
    cpu: CpuRow | None = None
    sockets: int = 1
    memory: tuple[int, int | None, int | None] | None = None
    nps: int | None = None
    notes: list[str] = field(default_factory=list)


def machine_from_words(text: str, *, name: str = "") -> Machine:
    """The machine ``text`` describes, in the order it names GPUs; raises InputError with the part it does not know.

    Parts are separated by "+", "," or "and": GPUs and CPUs by their names with an optional count, RAM as
    "64 GB DDR4-3600" or "8x48 GB DDR5-6000", "8 channels", "NPS4"; "(display)" marks the GPU with a screen.
    """
    found = _Found()
    parts = re.split(r"\s*(?:,|;|\n|(?<=\s)\+(?=\s)|\+(?=[A-Za-z])|\s\band\b\s|\s\bwith\b\s)\s*", text.strip())
    for part in filter(None, (part.strip() for part in parts)):
        _take(part, found)
    if not (found.gpus or found.cpu or found.memory):
        raise InputError('machine: expected words such as "RTX 4090, Ryzen 7 5800X3D, 64 GB DDR4-3600"')
    _take_shared(found)
    memory = _memory(found)
    return Machine(
        name=name or re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60],
        description=text.strip(),
        gpus=_gpus(found, memory),
        memory=memory,
        nps=found.nps,
        cpu=_cpu(found),
        notes=tuple(dict.fromkeys(found.notes)),
        source="words; data/gpus.toml, data/cpus.toml",
    )


def _take_shared(found: _Found) -> None:
    """RAM that nobody named is that of the GPU which draws on it, in the largest configuration there is."""
    row = next((row for row, _ in found.gpus if row.is_unified), None)
    if row is not None and not (found.memory and found.memory[0]):
        found.memory = row.memory, *(found.memory or (0, None, None))[1:]
        found.notes.append(f"RAM taken for {row.memory // GIB} GiB, the most that {row.name} comes with: name yours")


def _take(part: str, found: _Found) -> None:
    if re.fullmatch(r"no gpu|cpu only|without gpu", part, re.IGNORECASE):
        return
    if match := re.fullmatch(r"NPS\s?([124])", part, re.IGNORECASE):
        found.nps = int(match[1])
        return
    if match := _CHANNELS.fullmatch(part):
        size = found.memory or (0, None, None)
        found.memory = size[0], size[1], _channels(match)
        return
    if (match := _SIZE.fullmatch(part)) and not gpus.find_gpus(part):
        _take_memory(match, found)
        return
    _take_device(part, found)


def _take_memory(match: re.Match[str], found: _Found) -> None:
    count, size, unit, rest = match.groups()
    total = int(count or 1) * int(size) * GIB * (1024 if unit[0] in "tT" else 1)
    kind = _KIND.search(rest)
    channels = _CHANNELS.search(rest)
    unknown = _CHANNELS.sub("", _KIND.sub("", rest, count=1))
    unknown = re.sub(r"\b(?:RAM|ECC|REG|RDIMM|UDIMM|memory|unified|of|MT/s)\b", "", unknown, flags=re.IGNORECASE)
    if unknown.strip(" -"):
        raise InputError(
            f'machine: {match[0][:60]!r}: expected RAM such as "64 GB DDR4-3600", not {unknown.strip()[:40]!r}'
        )
    if found.memory and found.memory[0]:
        raise InputError(f"machine: {match[0][:60]!r}: RAM is named twice")
    if total == 0:
        raise InputError(f"machine: {match[0][:60]!r}: no RAM at all")
    already = found.memory[2] if found.memory else None
    found.memory = total, int(kind[3]) if kind and kind[3] else None, _channels(channels) if channels else already


def _channels(match: re.Match[str]) -> int:
    return _COUNTS.get(match[1].lower()) or int(match[1])


def _take_device(part: str, found: _Found) -> None:
    match = _COUNT.match(part)
    count = 1 if match is None else int(match[1] or _COUNTS[match[2].lower()])
    name = part if match is None else part[match.end() :]
    display = bool(re.search(r"\(\s*display\s*\)", name, re.IGNORECASE))
    name = re.sub(r"\(\s*display\s*\)", "", name, flags=re.IGNORECASE).strip()
    if not 1 <= count <= 64:
        raise InputError(f"machine: {part[:60]!r}: expected 1 to 64 of them")
    rows = gpus.find_gpus(name)
    if (row := gpus.find_gpu(name)) is not None:
        found.gpus += [(row, display and index == 0) for index in range(count)]
        return
    if rows:
        names = " or ".join(row.name for row in rows)
        raise InputError(f"machine: {part[:60]!r}: which one, {names}?")
    if (cpu := cpus.find_cpu(name)) is not None:
        if found.cpu is not None:
            raise InputError(
                f"machine: {part[:60]!r}: a CPU is already named, {found.cpu.name}; write 2x for two sockets"
            )
        found.cpu, found.sockets = cpu, count
        return
    raise _unknown(name)


def _unknown(name: str) -> InputError:
    known = {other.lower(): other for other in (*gpus.known_names(), *cpus.known_names())}
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(known[item] for item in near)}?" if near else ""
    return InputError(f"machine: {name[:60]!r} is no GPU, CPU or RAM in the tables{hint}")


def _gpus(found: _Found, memory: Memory | None) -> tuple[Gpu, ...]:
    """Named as llama.cpp's backends name them, each counting from 0."""
    counts: dict[str, int] = {}
    gpus: list[Gpu] = []
    for row, display in found.gpus:
        prefix = _BACKENDS.get(row.group, "CUDA")
        gpu = _gpu(row, f"{prefix}{counts.get(prefix, 0)}", display=display)
        counts[prefix] = counts.get(prefix, 0) + 1
        if row.is_unified and memory is not None:
            gpu = replace(gpu, total=memory.total, free=memory.available, reserved=memory.reserved)
            gpu, limits = _limited(gpu, row)
            found.notes += [f"{row.name}: its memory is the RAM, and counts once", *limits]
        if row.is_spec_only:
            found.notes.append(f"{row.name}: specifications only, no plan has been checked on such a GPU")
        gpus.append(gpu)
    return tuple(gpus)


def _limited(gpu: Gpu, row: GpuRow) -> tuple[Gpu, tuple[str, ...]]:
    """A GPU that draws on RAM under the system's own limit, which llama.cpp sees as all there is, and a note of it."""
    rule = share_limits().get(row.group)
    if rule is None:
        return gpu, ()
    size = rule.of(gpu.total)
    gpu = replace(gpu, limit_source=rule.source, free=min(gpu.free, size))
    gpu = replace(gpu, gtt=size) if rule.kind is LimitKind.GTT else replace(gpu, working_set=size)
    return gpu, (f"{row.name}: {rule.statement}: {size // MIB:,} MiB; write {rule.kind}_mib where it is another",)


def _gpu(row: GpuRow, name: str, *, display: bool) -> Gpu:
    total = row.visible or row.memory
    kinds = (ReservationKind.DRIVER, ReservationKind.DISPLAY) if display else (ReservationKind.DRIVER,)
    reserved = tuple(_reserved(kind, total) for kind in kinds)
    return Gpu(
        name=name,
        description=row.name,
        total=total,
        free=max(0, total - sum(item.size for item in reserved)),
        compute_capability=row.compute_capability,
        bandwidth=row.bandwidth,
        fp16_flops=row.fp16_flops,
        int8_ops=row.int8_ops,
        pcie_generation_max=row.pcie,
        pcie_width_max=row.lanes,
        is_display=display,
        is_unified=row.is_unified,
        reserved=reserved,
    )


def _reserved(kind: ReservationKind, total: int) -> Reservation:
    row = reserves()[kind]
    return Reservation(size=row.of(total), reason=f"{row.statement}: assumed, after {row.source}", kind=kind)


def _memory(found: _Found) -> Memory | None:
    """RAM as named; channels, and a speed nobody named, come from the CPU's row."""
    if found.memory is None or not found.memory[0]:
        found.notes.append("RAM not named: add it, such as 64 GB DDR4-3600, or only the GPUs can be planned")
        return None
    total, speed, channels = found.memory
    cpu = found.cpu
    if speed is None and cpu is not None:
        speed = cpu.speed_mts
        found.notes.append(f"memory speed taken for {speed} MT/s, the fastest {cpu.name} supports")
    if channels is None and cpu is not None:
        channels = cpu.channels * found.sockets
        found.notes.append(f"memory channels taken for {channels}, all that {cpu.name} has")
    if not (speed and channels):
        found.notes.append("memory bandwidth unknown: name the CPU, or the channels and the speed")
    per_socket = channels // found.sockets if channels else None
    return Memory(
        total=total,
        reserved=(_reserved(ReservationKind.SYSTEM, total),),
        channels=channels,
        speed_mts=speed,
        bandwidth=per_socket * speed * 8e6 if per_socket and speed else None,
    )


def _cpu(found: _Found) -> Cpu | None:
    row = found.cpu
    if row is None:
        found.notes.append("CPU not named: thread counts are left to llama.cpp")
        return None
    return Cpu(
        model=row.name,
        n_cores=row.cores * found.sockets,
        n_threads=row.threads * found.sockets,
        n_sockets=found.sockets,
        n_performance_cores=row.performance_cores * found.sockets,
        n_efficiency_cores=row.efficiency_cores * found.sockets,
        l3=row.l3 * found.sockets // MIB * MIB or None,
        features=row.features,
    )

"""A machine from words: "2x RTX 3090, Ryzen 9 5950X, 64 GB DDR4-3600"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from omniplan.domain.machine import Gpu, Host, Machine, Memory, ReservationKind
from omniplan.domain.processor import Cpu
from omniplan.domain.titles import name_of
from omniplan.errors import InputError
from omniplan.machines.cpus import find_cpu
from omniplan.machines.gpus import GpuRow
from omniplan.machines.probe.phrases import read
from omniplan.machines.probe.said import Said, SaidGpu
from omniplan.machines.probe.several import Several, apart
from omniplan.machines.shares import assumed_reserve, drawing_on
from omniplan.units import GIB, MIB, gib

# What ggml calls the devices of each maker's backend.
_BACKENDS: Final = {"amd": "ROCm", "intel": "SYCL", "apple": "MTL"}


def machine_from_words(text: str, *, name: str = "") -> Machine:
    """The machine ``text`` describes, in the order it names GPUs; raises InputError with the part it does not know.

    Names of GPUs and CPUs are those of the tables, a bare number too, with a count and a size on either side, in
    English, German, French or Spanish; RAM is "64 GB DDR4-3600" or "8x48 GB DDR5-6000"; "8 channels", "NPS4", "PCIe 4.0
    x8"; "(display)" marks the GPU with a screen, "8 GB VRAM" or "unknown GPU 16 GB 448 GB/s" is a card in no table.
    "two Strix Halo over RPC" and "RTX 4090, 64 GB, second machine: RTX 3090, 32 GB, 10 GbE" have hosts. ``notes`` say
    what was taken for granted.
    """
    said = apart(text.strip())
    (main, count), *others = [_machine(words, counts_machines=said.counts_machines) for words in said.machines]
    every = [main] * (count - 1) + [machine for machine, number in others for _ in range(number)]
    hosts = tuple(
        Host(address=said.address(index), machine=machine, link_bandwidth=said.link)
        for index, machine in enumerate(every)
    )
    return replace(
        main,
        name=name or name_of(text),
        description=text.strip(),
        hosts=hosts,
        notes=(*main.notes, *(_unsaid(said, len(hosts)) if hosts else ())),
    )


def _unsaid(said: Several, count: int) -> Iterator[str]:
    """What was taken for granted about the network."""
    if len(said.addresses) < count:
        yield f"addresses of hosts not named: {said.address(len(said.addresses))} and the like stand for them"
    if said.link is None:
        yield "network between hosts not named: add it, such as 10 GbE, or it is taken for the slowest measured"


def _machine(text: str, *, counts_machines: bool) -> tuple[Machine, int]:
    """One machine, and how many of it there are: a chip whose memory is the RAM is a machine of its own."""
    said = read(text)
    if said.is_empty:
        raise InputError('machine: expected words such as "RTX 4090, Ryzen 7 5800X3D, 64 GB DDR4-3600"')
    count = 1
    if len(said.gpus) == 1 and (counts_machines or said.gpus[0].is_unified):
        count, said.gpus[0].count = said.gpus[0].count, 1
    _take_shared(said)
    memory = _memory(said)
    machine = Machine(
        name=name_of(text),
        description=text,
        gpus=tuple(_gpus(said, memory)),
        memory=memory,
        nps=said.nps,
        cpu=_cpu(said),
        notes=tuple(dict.fromkeys(said.notes)),
        source="words; data/gpus.toml, data/cpus.toml",
    )
    return machine, count


def _take_shared(said: Said) -> None:
    """What nobody named of a chip that has both: its processor, and RAM in the largest configuration there is."""
    row = next((row for gpu in said.gpus for row in gpu.rows if row.is_unified), None)
    if row is None:
        return
    said.cpu = said.cpu or next(filter(None, map(find_cpu, (row.name, *row.aliases))), None)
    if said.memory is None:
        said.memory = row.memory
        said.notes.append(f"RAM taken for {row.memory // GIB} GiB, the most that {row.name} comes with: name yours")


def _gpus(said: Said, memory: Memory | None) -> Iterator[Gpu]:
    """Named as llama.cpp's backends name them, each counting from 0."""
    counts: Counter[str] = Counter()
    for group in said.gpus:
        row = group.only()
        prefix = _BACKENDS.get(row.group, "CUDA") if row else "CUDA"
        said.notes += _remarks(group, row)
        for index in range(group.count):
            kinds = _kept(said, display=group.is_display and index == 0)
            gpu = _gpu(group, row, f"{prefix}{counts[prefix]}", kinds)
            counts[prefix] += 1
            if row is not None and row.is_unified and memory is not None:
                gpu, told = drawing_on(gpu, memory, "windows" if said.is_windows else row.group)
                said.notes += told
            yield gpu


def _remarks(group: SaidGpu, row: GpuRow | None) -> Iterator[str]:
    """What was taken for granted about a card."""
    if row is None:
        yield f"{group.text}: in no table; taken for a CUDA device, and no speed is known but what was said"
        return
    others = [other.name for other in group.rows if other is not row]
    if others:
        yield f"{group.text}: taken for {row.name}, the slowest; it could be {' or '.join(others)}"
    if group.size is not None and abs(group.size - row.memory) > row.memory // 10 and not row.is_unified:
        yield f"{row.name}: {gib(group.size)} instead of the {gib(row.memory)} it is sold with, bandwidth as sold"
    if row.is_spec_only:
        yield f"{row.name}: specifications only, no speed of such a GPU has been checked"


def _kept(said: Said, *, display: bool) -> tuple[ReservationKind, ...]:
    """Who keeps memory of a card: Windows with all that is its own, or the driver and the desktop."""
    if said.is_windows:
        return (ReservationKind.WDDM,)
    return (ReservationKind.DRIVER, ReservationKind.DISPLAY) if display else (ReservationKind.DRIVER,)


def _gpu(group: SaidGpu, row: GpuRow | None, name: str, kinds: tuple[ReservationKind, ...]) -> Gpu:
    known = (row.visible or row.memory) if row else 0
    # A size in words is rounded, and what a driver shows of that card is not.
    is_said = group.size is not None and abs(group.size - known) > known // 10
    total = group.size if is_said and group.size is not None else known
    reserved = tuple(assumed_reserve(kind, total) for kind in kinds)
    return Gpu(
        name=name,
        description=row.name if row else f"unknown {gib(total)}",
        total=total,
        free=max(0, total - sum(item.size for item in reserved)),
        compute_capability=row.compute_capability if row else "",
        bandwidth=group.bandwidth or (row.bandwidth if row else None),
        fp16_flops=row.fp16_flops if row else None,
        int8_ops=row.int8_ops if row else None,
        pcie_generation_max=group.pcie or (row.pcie if row else None),
        pcie_width_max=group.lanes or (row.lanes if row else None),
        is_display=ReservationKind.DISPLAY in kinds,
        is_unified=bool(row and row.is_unified),
        reserved=reserved,
    )


def _memory(found: Said) -> Memory | None:
    """RAM as named; channels, and a speed nobody named, come from the CPU's row."""
    if found.memory is None:
        found.notes.append("RAM not named: taken for enough, at a usual speed; add yours, such as 64 GB DDR4-3600")
        return None
    total, speed, channels = found.memory, found.speed_mts, found.channels
    cpu = found.cpu
    # Memory that a GPU has too is soldered, all of it as fast as the chip's.
    is_soldered = any(gpu.is_unified for gpu in found.gpus)
    if speed is None and cpu is not None:
        speed = cpu.speed_mts
        told = f"memory speed taken for {speed} MT/s, the fastest {cpu.name} supports"
        found.notes += [] if is_soldered else [told]
    if channels is None and cpu is not None:
        channels = cpu.channels * found.sockets
        told = f"memory channels taken for {channels}, all that {cpu.name} has"
        found.notes += [] if is_soldered else [told]
    if not (speed and channels):
        found.notes.append(
            "memory bandwidth unknown: taken for a usual one; name the CPU, or the channels and the speed"
        )
    per_socket = channels // found.sockets if channels else None
    return Memory(
        total=total,
        reserved=(assumed_reserve(ReservationKind.SYSTEM, total),),
        channels=channels,
        speed_mts=speed,
        bandwidth=per_socket * speed * 8e6 if per_socket and speed else None,
    )


def _cpu(found: Said) -> Cpu | None:
    row = found.cpu
    if row is None:
        found.notes.append("CPU not named: taken for a usual one, thread counts are left to llama.cpp")
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

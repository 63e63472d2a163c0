"""What a machine's processor and RAM give one server process: cores, and bytes per second that weights arrive with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Machine, Memory
from omniplan.machines.cpus import CpuRow, find_described
from omniplan.predict.constants import known_on

# Used where neither the machine nor a table knows; every use is reported as an assumption.
_UNKNOWN_CORES: Final = 8
# Nominal bytes per second of an unknown machine's RAM: two channels, or eight where there are more than 24 cores.
_UNKNOWN_DESKTOP: Final = 75e9
_UNKNOWN_SERVER: Final = 250e9
_SERVER_CORES: Final = 24
# Bases of a bandwidth that was worked out with the machine's NUMA nodes in mind.
_FINAL: Final = (Basis.MODELLED, Basis.ASSUMED)


def cores(machine: Machine, assumed: list[str]) -> int:
    """Physical cores of all sockets that a process may use."""
    cpu = machine.cpu
    if cpu is not None and (cpu.allowed_cores or cpu.n_cores):
        return cpu.allowed_cores or cpu.n_cores
    if row := _row(machine):
        return row.cores * (cpu.n_sockets if cpu else 1)
    assumed.append(f"CPU cores unknown, {_UNKNOWN_CORES} assumed")
    return _UNKNOWN_CORES


def features(machine: Machine) -> tuple[str, ...]:
    """Instruction sets of the processor, as stated, else by its name; empty where neither is known."""
    if machine.cpu is not None and machine.cpu.features:
        return machine.cpu.features
    row = _row(machine)
    return row.features if row else ()


def ram_bandwidth(machine: Machine) -> float:
    """``bandwidth`` by the machine's constants, for a process that is not told to spread its pages."""
    return bandwidth(machine, known_on(machine.constants), [], is_spread=False)


def bandwidth(machine: Machine, constants: Mapping[str, float], assumed: list[str], *, is_spread: bool) -> float:
    """Bytes per second a process can read from RAM, as a measurement would say it.

    A measured figure is taken as it is. A nominal one is of all sockets; pages of a process that is not told to spread
    them (``is_spread``) lie on one. With several NUMA nodes per socket and nothing told, most reads leave their node;
    a figure that says it was "modelled" or "assumed" already has that in it. Of memory that a GPU shares the cores of a
    CPU reach a part, unless it was measured.
    """
    memory = machine.memory
    sockets = machine.cpu.n_sockets if machine.cpu else 1
    rate, basis = _stated(machine, memory, sockets, constants, assumed)
    shared = [gpu.bandwidth for gpu in machine.gpus if gpu.draws_on_ram and gpu.bandwidth]
    if shared and basis is Basis.SPEC:
        rate = min(rate, constants["cpu.unified_share"] * max(shared))
    if is_spread:
        return rate * (1 + (sockets - 1) * constants["cpu.numa_share"]) if basis is Basis.SPEC else rate
    nodes = machine.nodes_per_socket or 1
    return rate if basis in _FINAL or nodes <= 1 else rate / nodes ** constants["cpu.nps_power"]


def _stated(
    machine: Machine, memory: Memory | None, sockets: int, constants: Mapping[str, float], assumed: list[str]
) -> tuple[float, Basis]:
    """Bytes per second of one socket (as measured: of what was measured), and what they rest on."""
    nominal = _nominal(machine, memory)
    if memory is not None and memory.bandwidth:
        # A figure that is called a specification and is no lower than one is channels times speed again.
        is_nominal = memory.bandwidth_basis is Basis.SPEC and (nominal is None or memory.bandwidth >= 0.95 * nominal)
        if not is_nominal:
            return memory.bandwidth, memory.bandwidth_basis if memory.bandwidth_basis in _FINAL else Basis.MEASURED
        nominal = memory.bandwidth
    if nominal is None:
        nominal = sockets * (_UNKNOWN_SERVER if cores(machine, []) > _SERVER_CORES * sockets else _UNKNOWN_DESKTOP)
        assumed.append(f"RAM bandwidth unknown, {nominal / 1e9:.0f} GB/s nominal assumed")
    return nominal / sockets * constants["cpu.nominal_share"], Basis.SPEC


def _nominal(machine: Machine, memory: Memory | None) -> float | None:
    """Channels times speed of all sockets, from the machine or from the processor's row."""
    if memory is not None and memory.nominal_bandwidth:
        return memory.nominal_bandwidth
    row = _row(machine)
    if row is None:
        return None
    sockets = machine.cpu.n_sockets if machine.cpu else 1
    if memory is None:
        return row.bandwidth * sockets
    return (memory.channels or row.channels * sockets) * (memory.speed_mts or row.speed_mts) * 8e6


def _row(machine: Machine) -> CpuRow | None:
    """The table's row of the processor, whatever is said around its name."""
    if machine.cpu is None or not machine.cpu.model:
        return None
    return find_described(machine.cpu.model)

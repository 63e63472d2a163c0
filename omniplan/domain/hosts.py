"""A machine as llama-server sees it with ``--rpc``: the devices of its hosts stand before its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from omniplan.domain.machine import Gpu, Host, Machine


def joined(machine: Machine, addresses: Sequence[str]) -> Machine:
    """``machine`` with the devices of those of its hosts that ``addresses`` name, in that order, and of no others.

    They count from RPC0 over all hosts (ggml-rpc.cpp: ggml_backend_rpc_add_server), and come first in ``-ts``
    (src/llama.cpp: llama_prepare_model_devices). An address that no host has is passed over; a machine that has these
    devices stays as it is.
    """
    known = {host.address: host for host in machine.hosts}
    named = tuple(dict.fromkeys(address for address in addresses if address in known))
    if named == joined_addresses(machine):
        return machine
    offered = [gpu for address in named for gpu in devices(known[address])]
    remote = tuple(replace(gpu, name=f"RPC{index}") for index, gpu in enumerate(offered))
    return replace(machine, gpus=(*remote, *own_gpus(machine)))


def own_gpus(machine: Machine) -> tuple[Gpu, ...]:
    """The GPUs that are plugged into ``machine`` itself."""
    return tuple(gpu for gpu in machine.gpus if not gpu.endpoint)


def joined_addresses(machine: Machine) -> tuple[str, ...]:
    """The addresses whose devices are among the GPUs of a joined ``machine``."""
    return tuple(dict.fromkeys(gpu.endpoint for gpu in machine.gpus if gpu.endpoint))


def undescribed(machine: Machine, addresses: Sequence[str]) -> tuple[str, ...]:
    """Those of ``addresses`` that no host of ``machine`` has."""
    known = {host.address for host in machine.hosts}
    return tuple(dict.fromkeys(address for address in addresses if address not in known))


def devices(host: Host) -> Iterator[Gpu]:
    """What an rpc-server on ``host`` offers: its GPUs, or its CPU where there is none (tools/rpc: get_devices)."""
    offered = host.machine.gpus or tuple(_cpu(host.machine))
    drawing = sum(gpu.draws_on_ram for gpu in offered)
    for index, gpu in enumerate(offered):
        share = (host.machine.ram or 0) // drawing if gpu.draws_on_ram else gpu.room
        # What limits a share of RAM is within what is free of it, and the RAM is not that of this machine.
        yield replace(
            gpu,
            endpoint=host.address,
            endpoint_index=index,
            endpoint_device=gpu.name,
            free=min(gpu.room, share),
            uuid="",
            pci="",
            is_unified=False,
            gtt=None,
            working_set=None,
            carve_out=None,
            limit_source="",
            numa_node=None,
            is_display=False,
        )


def _cpu(machine: Machine) -> Iterator[Gpu]:
    """The RAM of a machine without GPUs as a device."""
    memory = machine.memory
    if memory is not None:
        yield Gpu(
            name="CPU",
            description=machine.cpu.model if machine.cpu else machine.name,
            total=memory.total,
            free=memory.available,
            bandwidth=memory.bandwidth,
            bandwidth_basis=memory.bandwidth_basis,
        )

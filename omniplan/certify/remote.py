"""Devices of running rpc-servers, found and registered as llama-server does (common/arg.cpp: add_rpc_devices)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from omniplan.errors import InputError

_ADD: Final = b"ggml_backend_rpc_add_server"


class RemoteDevices:
    """What the servers at ``addresses`` offer; a server that does not answer ends the process.

    ``devices`` are by name and ``types`` by the name of their buffer type; ``owners`` are the names of devices by that.
    Raises InputError for a library without RPC.
    """

    def __init__(self, ffi: Any, lib: Any, addresses: Sequence[str]) -> None:
        self.devices: dict[str, Any] = {}
        self.types: dict[str, Any] = {}
        self.owners: dict[str, str] = {}
        rpc = lib.ggml_backend_reg_by_name(b"RPC") if addresses else ffi.NULL
        for address in addresses:
            function = rpc.get_proc_address(rpc, _ADD) if rpc else ffi.NULL
            if not function:
                raise InputError("--rpc: this library of llama.cpp comes without RPC; certify each host's part alone")
            reg = ffi.cast("reg_t (*)(const char *)", function)(address.encode())
            lib.ggml_backend_register(reg)
            for index in range(reg.get_device_count(reg)):
                self._add(ffi, reg.get_device(reg, index))

    def _add(self, ffi: Any, device: Any) -> None:
        buft = device.get_buffer_type(device)
        name, kind = (ffi.string(text).decode() for text in (device.get_name(device), buft.get_name(buft)))
        self.devices[name], self.types[kind], self.owners[kind] = device, buft, name

"""llama.cpp's rpc-server on the other hosts of a plan: its arguments, and where it may listen.

It asks nobody for a name, encrypts nothing, and lets whoever reaches it write to the memory it offers (tools/rpc of
b11434), so every file says where it may listen.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from omniplan.domain.machine import Gpu, Host
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.llamacpp.build import Build
from omniplan.machines.probe.order import pin

# tools/rpc/CMakeLists.txt: the first build seen in which the program has that name; b9775 has the other.
_RENAMED: Final = 9828
# ggml/CMakeLists.txt: GGML_RPC is off unless asked for, and .devops/*.Dockerfile do not ask.
WITH_RPC: Final = (
    "every host needs this build of llama.cpp with -DGGML_RPC=ON, which published images are built without"
)
_UNSAFE: Final = "rpc-server asks for no password and encrypts nothing: whoever reaches it reads and writes its memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteServer:
    """The rpc-server of one host of ``plan``: the ``gpus`` that it offers, in the order of their places."""

    plan: Plan
    host: Host
    gpus: tuple[Gpu, ...]
    build: Build

    @property
    def program(self) -> str:
        """What the build calls it."""
        return "ggml-rpc-server" if self.build.number >= _RENAMED else "rpc-server"

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes CUDA there number the GPUs as the machine lists them."""
        return pin(self.host.machine.gpus)

    def argv(self, listen: str) -> tuple[str, ...]:
        """Its arguments: where it listens, what it offers, and that it keeps weights it was sent for the next load."""
        port = self.host.address.partition(":")[2]
        return ("-H", listen, "-p", port, "-d", ",".join(gpu.endpoint_device for gpu in self.gpus), "-c")


def servers(plan: Plan, build: Build) -> tuple[RemoteServer, ...]:
    """Every rpc-server that ``plan`` needs, in the order of ``--rpc``."""
    hosts = {host.address: host for host in plan.machine.hosts}
    held: dict[str, list[Gpu]] = {}
    for gpu in plan.machine.gpus:
        if gpu.endpoint:
            held.setdefault(gpu.endpoint, []).append(gpu)
    return tuple(
        RemoteServer(plan=plan, host=hosts[address], gpus=tuple(gpus), build=build) for address, gpus in held.items()
    )


def starting(server: RemoteServer) -> str:
    """The command that has to run first, as a line of comments says it."""
    listen = server.host.address.partition(":")[0]
    words = shlex.join((server.program, *server.argv(listen)))
    return f"first on {server.host.address} ({server.host.machine.name}): {words}"


def is_public(address: str) -> bool:
    """Whether it is one that everybody can reach; a name may be."""
    try:
        return IPv4Address(address.partition(":")[0]).is_global
    except AddressValueError:
        return False


def safety(address: str) -> Iterator[str]:
    """What to say about listening at ``address``."""
    yield _UNSAFE
    listen, _, port = address.partition(":")
    if is_public(address):
        yield f"WARNING: {listen} is a public address; use a private one, a VPN or an SSH tunnel"
    elif listen.replace(".", "").isdecimal():
        yield f"{listen} is private: let a firewall keep port {port} to the main host alone"
    else:
        yield f"WARNING: {listen} is a name; see that it is one of a private network"


def listening(server: RemoteServer) -> str:
    """The address to listen on; raises InputError for a name, which it takes none by (transport.cpp: create_server)."""
    listen = server.host.address.partition(":")[0]
    try:
        return str(IPv4Address(listen))
    except AddressValueError as error:
        problem = "rpc-server listens on an IPv4 address alone; give the host's own in the machine file"
        raise InputError(problem, field="host", value=server.host.address) from error


def image(build: Build) -> str:
    """What an image of one's own with RPC is called here."""
    return f"llama.cpp-rpc:{build.name}"

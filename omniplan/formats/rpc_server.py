"""What other hosts of a plan run, as files: rpc-server as a command, a systemd unit, a Compose file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.formats import systemd, yaml_text
from omniplan.formats.launch import commented, printable
from omniplan.formats.remote import WITH_RPC, RemoteServer, image, listening, safety, servers
from omniplan.llamacpp.build import Build
from omniplan.text.argv import file_line
from omniplan.units import gib

_BUILD_IMAGE: Final = "the image is one of your own: .devops/{}.Dockerfile with -DGGML_RPC=ON, its target full"


def render(plan: Plan, address: str, name: str, build: Build) -> str:
    """What the host at ``address`` runs for ``plan``, as a file of the format ``name``.

    Raises InputError for a host the plan does not use, a format that it has not, and an address nobody can listen on.
    """
    found = {server.host.address: server for server in servers(plan, build)}
    if address not in found:
        known = ", ".join(found) or "none: it runs on one machine"
        raise InputError(f"expected one that the plan uses, {known}", field="host", value=address)
    if name not in _WRITERS:
        raise InputError(f"a host's file is one of {', '.join(_WRITERS)}", field="format", value=name)
    return _WRITERS[name](found[address])


def _rationale(server: RemoteServer) -> Sequence[str]:
    plan, footprint = server.plan, server.plan.footprint
    held = ", ".join(f"{gpu.endpoint_device} {gib(footprint.buffers[gpu.name].total)}" for gpu in server.gpus)
    return commented(
        [
            f"omniplan {plan.version} for llama.cpp {server.build.name}: {printable(plan.model.name)} over hosts",
            printable(f"{server.host.machine.name} at {server.host.address} holds: {held}"),
            WITH_RPC,
            *safety(server.host.address),
        ]
    )


def _shell(server: RemoteServer) -> str:
    line = file_line((server.program, *server.argv(listening(server))), server.environment)
    return "\n".join((*_rationale(server), line, ""))


def _unit(server: RemoteServer) -> str:
    words = (server.program, *server.argv(listening(server)))
    lines = (
        *_rationale(server),
        "[Unit]",
        "Description=llama.cpp rpc-server",
        "After=network-online.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        *(
            f"Environment={systemd.quoted(f'{name}={value}', is_command=False)}"
            for name, value in server.environment.items()
        ),
        f"ExecStart={' '.join(map(systemd.quoted, words))}",
        "Restart=always",
        "RestartSec=2",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    )
    return "\n".join(lines)


def _compose(server: RemoteServer) -> str:
    listen, port = listening(server), server.host.address.partition(":")[2]
    is_cuda = any(gpu.endpoint_device.startswith("CUDA") for gpu in server.gpus)
    lines = (
        *_rationale(server),
        f"# {_BUILD_IMAGE.format('cuda' if is_cuda else 'cpu')}",
        "services:",
        "  rpc-server:",
        f"    image: {image(server.build)}",
        f'    entrypoint: ["/app/{server.program}"]',
        "    command:",
        *(f"      - {yaml_text.quoted(word)}" for word in server.argv("0.0.0.0")),  # noqa: S104 - in its container
        "    environment:",
        *(f"      {name}: {yaml_text.quoted(value)}" for name, value in server.environment.items()),
        "      LLAMA_CACHE: /cache",
        "    volumes: [rpc-cache:/cache]",
        f'    ports: ["{listen}:{port}:{port}"]',
        *(_NVIDIA if is_cuda else ()),
        "    restart: unless-stopped",
        "volumes:",
        "  rpc-cache:",
        "",
    )
    return "\n".join(lines)


_NVIDIA: Final = (
    "    deploy:",
    "      resources:",
    "        reservations:",
    "          devices:",
    "            - { driver: nvidia, count: all, capabilities: [gpu] }",
)
_WRITERS: Final[Mapping[str, Callable[[RemoteServer], str]]] = {"shell": _shell, "systemd": _unit, "compose": _compose}

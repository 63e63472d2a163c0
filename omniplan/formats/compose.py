"""llama-server's commands in a Docker Compose file."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.hosts import own_gpus
from omniplan.formats import yaml_text, yaml_tree
from omniplan.formats.command import Command
from omniplan.formats.contents import Contents, together
from omniplan.formats.format import MODELS, Format, Options
from omniplan.formats.format import in_container as mounted
from omniplan.formats.launch import LOADED_PER_SECOND, Launch, commented, rationale
from omniplan.formats.remote import image as own_image
from omniplan.formats.remote import servers
from omniplan.formats.starts import in_container
from omniplan.formats.traced import Source, Traced
from omniplan.formats.words import traced_words
from omniplan.formats.yaml_tree import Items, Node, Scalar, Table


def commands(text: str, *, where: str = "compose file") -> tuple[Command, ...]:
    """The command of every service that runs llama.cpp, by its program, its image or its ``LLAMA_ARG_`` variables.

    ``$$`` is read as ``$``; variables such as ``${MODEL}`` have their default, or stay open.
    """
    source = Source(text)
    return together(read(source, node) for node in yaml_tree.documents(source, where=where)).commands


def read(source: Source, document: Node) -> Contents:
    """What the services of a document start."""
    services = document.table("services") if isinstance(document, Table) else Table(())
    return together(_service(source, name, service) for name, service in services.entries if isinstance(service, Table))


def _service(source: Source, name: Scalar, service: Table) -> Contents:
    image = service.get("image")
    return in_container(
        source,
        interpolated(image.text) if isinstance(image, Scalar) else Traced(),
        _words(service.get("entrypoint")),
        _words(service.get("command")),
        env=tuple(_environment(service.get("environment"))),
        name=str(name),
        line=name.line,
    )


def _words(node: Node | None) -> list[Traced]:
    if isinstance(node, Items):
        return [interpolated(item.text) for item in node.items if isinstance(item, Scalar)]
    return list(traced_words(interpolated(node.text))) if isinstance(node, Scalar) else []


def _environment(node: Node | None) -> Iterator[tuple[str, Traced]]:
    if isinstance(node, Items):
        for item in node.items:
            if isinstance(item, Scalar):
                name, equals, _ = str(item).partition("=")
                yield name, interpolated(item.text.slice(len(name) + 1)) if equals else item.text.opened()
    elif isinstance(node, Table):
        for key, value in node.entries:
            if isinstance(value, Scalar):
                yield str(key), interpolated(value.text)


# A dollar sign, or a variable with its default.
_DOLLAR: Final = re.compile(r"\$(?:\$|\{\w+(?::?[-+?](?P<default>[^{}]*))?\}|[A-Za-z_]\w*)")


def interpolated(text: Traced) -> Traced:
    """``text`` with ``$$`` as a dollar sign, and variables as their defaults or open."""
    return text.replaced(_DOLLAR, lambda match: _variable(text, match)) if "$" in text.text else text


def _variable(text: Traced, match: re.Match[str]) -> Traced:
    if match[0] == "$$":
        return text.slice(match.start() + 1, match.end())
    has_default = match["default"] and "+" not in match[0][: match.start("default") - match.start()][-2:]
    return text.slice(*match.span("default")) if has_default and "-" in match[0] else text.slice(*match.span()).opened()


_WHERE: Final = "compose file"
IMAGE: Final = "ghcr.io/ggml-org/llama.cpp"

# llama-server's port in its container; on the host the first free one from it on.
_PORT: Final = 8080
_PUBLISHED: Final = re.compile(r"(\d+):\d+")

# The address to listen on inside a container.
ANYWHERE: Final = "0.0.0.0"  # noqa: S104

# Never less than ten minutes, however small the model.
_LEAST_SECONDS: Final = 600


def load_seconds(item: Launch) -> int:
    """Seconds to wait for a model before a failing health check counts."""
    return max(_LEAST_SECONDS, item.plan.model.tensor_bytes // LOADED_PER_SECOND)


def image(item: Launch) -> str:
    """The image of the build, with CUDA where the machine has GPUs; for several hosts it is one's own."""
    if servers(item.plan, item.build):
        return own_image(item.build)
    return f"{IMAGE}:server-{'cuda-' if item.plan.machine.gpus else ''}{item.build.name}"


def block(item: Launch, port: int = _PORT) -> str:
    """One entry of ``services`` with its comments, on ``port`` of the host."""
    environment = {"LLAMA_ARG_HOST": ANYWHERE, **item.environment}
    lines = [
        *commented(rationale(item)),
        f"{yaml_text.quoted(item.id)}:",
        f"  image: {image(item)}",
        *(['  entrypoint: ["/app/llama-server"]'] if servers(item.plan, item.build) else []),
        "  command:",
        *(f"    - {_quoted(arg)}" for arg in item.argv),
        "  environment:",
        *(f"    {name}: {_quoted(value)}" for name, value in environment.items()),
        "  volumes:",
        f"    - {{ type: bind, source: {_quoted(_source(item.folder))}, target: {MODELS}, read_only: true }}",
        f'  ports: ["127.0.0.1:{port}:{_PORT}"]',
        *_gpus(item),
        "  healthcheck:",
        '    test: ["CMD", "curl", "-f", "http://localhost:8080/health"]',
        "    interval: 10s",
        "    timeout: 5s",
        "    retries: 3",
        f"    start_period: {load_seconds(item)}s",
        "  restart: unless-stopped",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A string in which Compose finds no variable."""
    return yaml_text.quoted(text.replace("$", "$$"))


def _source(folder: str) -> str:
    return folder if folder.startswith("/") else f"./{folder}"


def _gpus(item: Launch) -> Iterator[str]:
    gpus = own_gpus(item.plan.machine)
    if not gpus:
        return
    uuids = [gpu.uuid for gpu in gpus]
    which = f"device_ids: [{', '.join(yaml_text.quoted(uuid) for uuid in uuids)}]" if all(uuids) else "count: all"
    yield "  deploy:"
    yield "    resources:"
    yield "      reservations:"
    yield "        devices:"
    yield f"          - {{ driver: nvidia, {which}, capabilities: [gpu] }}"


def write(items: Sequence[Launch], options: Options) -> str:
    """A whole Compose file."""
    del options
    services = "\n".join(block(item, _PORT + at) for at, item in enumerate(items))
    return "services:\n" + textwrap.indent(services, "  ") + "\n"


def put(text: str, item: Launch, options: Options) -> str:
    """``text`` with the service in the place of the one with its name, or after the last; other lines stay."""
    del options
    return yaml_text.put(text, "services", item.id, block(item, _free_port(text, item.id)), where=_WHERE)


def _free_port(text: str, own: str) -> int:
    """The first port of the host, from llama-server's own on, that no other service publishes."""
    services = yaml_text.mapping_at(yaml_text.load(text, where=_WHERE), "services")
    others = [yaml_text.mapping_at(services, name).get("ports") for name in services if name != own]
    taken = {int(port) for ports in others for port in _PUBLISHED.findall(str(ports))}
    return next(port for port in itertools.count(_PORT) if port not in taken)


FORMAT: Final = Format(
    name="compose",
    ids=re.compile(r"[a-zA-Z0-9._-]+"),
    write=write,
    read=commands,
    prepare=mounted,
    put=put,
)

"""llama-server's commands in a Docker Compose file."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from omniplan.formats import yaml_text
from omniplan.formats.command import Command, Word
from omniplan.formats.format import MODELS, Format, Options, in_container
from omniplan.formats.launch import LOADED_PER_SECOND, Launch, commented, rationale
from omniplan.formats.shell import is_server, program_at, split


def commands(text: str, *, where: str = "compose file") -> tuple[Command, ...]:
    """The command of every service that runs llama-server, by its program, its image or its ``LLAMA_ARG_`` variables.

    ``$$`` is read as ``$``; variables such as ``${MODEL}`` stay as written.
    """
    services = yaml_text.mapping_at(yaml_text.load(text, where=where), "services")
    found = (_command(text, services, name) for name in services)
    return tuple(command for command in found if command)


def _command(text: str, services: Any, name: str) -> Command | None:
    service = services[name]
    if not isinstance(service, Mapping):
        return None
    words = [*_words(text, service, "entrypoint"), *_words(text, service, "command")]
    environment = tuple(_environment(text, service))
    at = program_at(words)
    image_of = str(service.get("image", ""))
    if at is None and not is_server(image_of) and not any(key.startswith("LLAMA_ARG_") for key, _ in environment):
        return None
    start = 0 if at is None else at + 1
    return Command(
        name=str(name),
        line=yaml_text.key_line(services, name),
        words=tuple(words[start:]),
        environment=environment,
        prefix=tuple(words[: start - 1]) if at is not None else (),
        program=image_of,
    )


def _words(text: str, service: Any, key: str) -> Iterator[Word]:
    value = service.get(key)
    if isinstance(value, list):
        words = yaml_text.item_words(value)
    else:
        word = yaml_text.value_word(text, service, key) if value else Word(text="", line=0)
        words = iter(split(word.text, line=word.line))
    for word in words:
        yield Word(text=word.text.replace("$$", "$"), line=word.line)


def _environment(text: str, service: Any) -> Iterator[tuple[str, Word]]:
    value = service.get("environment")
    if isinstance(value, list):
        for word in yaml_text.item_words(value):
            name, _, rest = word.text.partition("=")
            yield name, Word(text=rest.replace("$$", "$"), line=word.line)
    elif isinstance(value, Mapping):
        for name in value:
            word = yaml_text.value_word(text, value, name)
            yield str(name), Word(text=word.text.replace("$$", "$"), line=word.line)


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
    """The image of the build, with CUDA where the machine has GPUs."""
    return f"{IMAGE}:server-{'cuda-' if item.plan.machine.gpus else ''}{item.build.name}"


def block(item: Launch, port: int = _PORT) -> str:
    """One entry of ``services`` with its comments, on ``port`` of the host."""
    environment = {"LLAMA_ARG_HOST": ANYWHERE, **item.environment}
    lines = [
        *commented(rationale(item)),
        f"{yaml_text.quoted(item.id)}:",
        f"  image: {image(item)}",
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
    gpus = item.plan.machine.gpus
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
    prepare=in_container,
    put=put,
)

"""llama-server's commands in a Kubernetes Deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from omniplan.errors import InputError
from omniplan.formats import yaml_text
from omniplan.formats.command import Command, Word
from omniplan.formats.compose import ANYWHERE, image, load_seconds
from omniplan.formats.format import MODELS, Format, Options, in_container, only
from omniplan.formats.launch import Launch, commented, printable, rationale
from omniplan.formats.shell import is_server, program_at
from omniplan.units import MIB

# ``$$`` is a dollar sign and ``$(NAME)`` a variable, which stays as written; a dollar sign alone is itself.
_DOLLARS: Final = re.compile(r"\$\$")


def escaped(text: str) -> str:
    """``text`` as Kubernetes takes it for ``text`` and not for a variable."""
    return text.replace("$", "$$")


def commands(text: str, *, where: str = "deployment") -> tuple[Command, ...]:
    """The command of every container of the Deployment that runs llama-server, by its program or its image."""
    document = yaml_text.load(text, where=where)
    pod = yaml_text.mapping_at(document, "spec", "template", "spec")
    containers = pod.get("containers")
    found = (_command(text, item) for item in containers) if isinstance(containers, list) else ()
    return tuple(command for command in found if command)


def _command(text: str, container: Any) -> Command | None:
    words = [*_words(container, "command"), *_words(container, "args")]
    at, image_of = program_at(words), str(container.get("image", ""))
    if at is None and not is_server(image_of):
        return None
    start = 0 if at is None else at + 1
    return Command(
        name=str(container.get("name", "")),
        line=yaml_text.key_line(container, next(iter(container))),
        words=tuple(words[start:]),
        environment=tuple(_environment(text, container)),
        program=image_of,
    )


def _words(container: Any, key: str) -> Iterator[Word]:
    for word in yaml_text.item_words(container.get(key) or []):
        yield Word(text=_DOLLARS.sub("$", word.text), line=word.line)


def _environment(text: str, container: Any) -> Iterator[tuple[str, Word]]:
    for item in container.get("env") or []:
        if "value" in item:
            word = yaml_text.value_word(text, item, "value")
            yield str(item["name"]), Word(text=_DOLLARS.sub("$", word.text), line=word.line)


_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PERIOD: Final = 10


def prepare(item: Launch, options: Options) -> Launch:
    """The launch inside its container; raises InputError for a name or a folder that Kubernetes does not take."""
    if not _NAME.fullmatch(_name(item)):
        raise InputError(f"k8s: {item.id}: a Deployment's name has letters, digits and - inside, 63 at most")
    inside = in_container(item, options)
    if not inside.folder.startswith("/"):
        raise InputError(f"k8s: models folder {printable(inside.folder)}: a node needs a path from /")
    return inside


def _name(item: Launch) -> str:
    return item.id.lower().replace("_", "-")


def _deployment(item: Launch) -> str:
    name = yaml_text.quoted(_name(item))
    lines = [
        *commented(rationale(item)),
        "apiVersion: apps/v1",
        "kind: Deployment",
        f"metadata: {{ name: {name}, labels: {{ app: {name} }} }}",
        "spec:",
        "  replicas: 1",
        "  strategy: { type: Recreate } # two of them do not fit on the GPUs",
        f"  selector: {{ matchLabels: {{ app: {name} }} }}",
        "  template:",
        f"    metadata: {{ labels: {{ app: {name} }} }}",
        "    spec:",
        "      containers:",
        f"        - name: {name}",
        f"          image: {image(item)}",
        "          args:",
        *(f"            - {_quoted(arg)}" for arg in item.argv),
        "          env:",
        *_environment_text(item),
        "          ports: [{ name: http, containerPort: 8080 }]",
        *_resources(item),
        *_probes(item),
        f"          volumeMounts: [{{ name: models, mountPath: {MODELS}, readOnly: true }}]",
        "      volumes:",
        "        - name: models",
        f"          hostPath: {{ path: {yaml_text.quoted(item.folder)}, type: Directory }}",
    ]
    return "\n".join((*lines, ""))


def _quoted(text: str) -> str:
    return yaml_text.quoted(escaped(text))


def _environment_text(item: Launch) -> Iterator[str]:
    for name, value in {"LLAMA_ARG_HOST": ANYWHERE, **item.environment}.items():
        yield f"            - {{ name: {name}, value: {_quoted(value)} }}"


def _resources(item: Launch) -> Iterator[str]:
    """RAM as the plan reckons it with the prompt cache and growth; the machine's GPUs, all of them for their order."""
    ram = [margin for margin in item.plan.margins if margin.pool == "RAM"]
    gpus = f"limits: {{ nvidia.com/gpu: {len(item.plan.machine.gpus)} }}" if item.plan.machine.gpus else ""
    memory = sum(margin.used + margin.context + margin.growth for margin in ram)
    requests = f"requests: {{ memory: {-(-memory // MIB)}Mi }}" if memory else ""
    if gpus or requests:
        yield f"          resources: {{ {', '.join(part for part in (requests, gpus) if part)} }}"


def _probes(item: Launch) -> Iterator[str]:
    health = "httpGet: { path: /health, port: http }"
    yield f"          startupProbe: {{ {health}, periodSeconds: {_PERIOD}, failureThreshold: {_failures(item)} }}"
    yield f"          readinessProbe: {{ {health}, periodSeconds: {_PERIOD} }}"


def _failures(item: Launch) -> int:
    return -(-load_seconds(item) // _PERIOD)


def _write(items: Sequence[Launch], options: Options) -> str:
    del options
    return _deployment(only(items, "k8s: a Deployment"))


FORMAT: Final = Format(name="k8s", write=_write, read=commands, prepare=prepare)

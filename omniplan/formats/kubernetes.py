"""llama-server's commands in a Kubernetes Deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.hosts import own_gpus
from omniplan.errors import InputError
from omniplan.formats import yaml_text, yaml_tree
from omniplan.formats.command import Command
from omniplan.formats.compose import ANYWHERE, image, load_seconds
from omniplan.formats.contents import Contents, Written, together
from omniplan.formats.format import MODELS, Format, Options, only
from omniplan.formats.format import in_container as mounted
from omniplan.formats.launch import Launch, commented, printable, rationale
from omniplan.formats.remote import servers
from omniplan.formats.starts import in_container
from omniplan.formats.traced import Source, Traced, joined
from omniplan.formats.words import traced_words
from omniplan.formats.yaml_tree import Items, Node, Scalar, Table
from omniplan.units import MIB

_DOLLAR: Final = re.compile(r"\$\$|\$\([A-Za-z_][\w.-]*\)")


def escaped(text: str) -> str:
    """``text`` as Kubernetes takes it for ``text`` and not for a variable."""
    return text.replace("$", "$$")


def commands(text: str, *, where: str = "deployment") -> tuple[Command, ...]:
    """The command of every container that runs llama.cpp, in every document of the stream."""
    source = Source(text)
    return together(read(source, node) for node in yaml_tree.documents(source, where=where)).commands


def read(source: Source, document: Node) -> Contents:
    """What the containers of a document start, and the files that its ConfigMaps hold.

    A pod stands anywhere in it: in a Deployment, a Job or a CronJob, in a list, or in the values of a chart.
    """
    return together(_below(source, document, set()))


def _below(source: Source, node: Node, seen: set[int]) -> Iterator[Contents]:
    if id(node) in seen or isinstance(node, Scalar):
        return
    seen.add(id(node))
    if isinstance(node, Items):
        for item in node.items:
            yield from _below(source, item, seen)
        return
    if any(isinstance(node.get(key), Items | Scalar) for key in _ARGUMENTS) and node.get("image") is not None:
        yield _container(source, node)
    if node.text("kind") == "ConfigMap":
        yield Contents(
            files=tuple(
                Written(str(key), value.text) for key, value in node.table("data").entries if isinstance(value, Scalar)
            )
        )
    elif isinstance(node.get("image"), Scalar) and node.get("name") is not None and not any(map(node.get, _ARGUMENTS)):
        yield _container(source, node)
    for _, value in node.entries:
        yield from _below(source, value, seen)


# Where a container, or a chart's values for one, has arguments.
_ARGUMENTS: Final = ("args", "extraArgs", "command")


def _container(source: Source, container: Table) -> Contents:
    """One container; ``image`` of a chart's values is a table of repository and tag."""
    image = container.get("image")
    if isinstance(image, Table):
        parts = [part.text for key in ("repository", "tag") if isinstance(part := image.get(key), Scalar)]
        image_text = joined(parts, ":")
    else:
        image_text = image.text if isinstance(image, Scalar) else Traced()
    first = container.entries[0][0]
    return in_container(
        source,
        image_text,
        _words(container.get("command")),
        [word for key in ("args", "extraArgs") for word in _words(container.get(key))],
        env=tuple(_environment(container)),
        name=container.text("name"),
        line=first.line,
    )


def _words(node: Node | None) -> list[Traced]:
    if isinstance(node, Items):
        return [_filled(item.text) for item in node.items if isinstance(item, Scalar)]
    return list(traced_words(_filled(node.text))) if isinstance(node, Scalar) else []


def _filled(text: Traced) -> Traced:
    """``$$`` is a dollar sign, ``$(NAME)`` a variable, which is open; a dollar sign alone is itself."""
    if "$" not in text.text:
        return text
    return text.replaced(
        _DOLLAR,
        lambda match: (
            text.slice(match.start() + 1, match.end()) if match[0] == "$$" else text.slice(*match.span()).opened()
        ),
    )


def _environment(container: Table) -> Iterator[tuple[str, Traced]]:
    items = container.get("env")
    for item in items.items if isinstance(items, Items) else ():
        if isinstance(item, Table) and isinstance(value := item.get("value"), Scalar):
            yield item.text("name"), _filled(value.text)
    if isinstance(items, Table):
        yield from ((str(key), _filled(value.text)) for key, value in items.entries if isinstance(value, Scalar))


_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PERIOD: Final = 10


def prepare(item: Launch, options: Options) -> Launch:
    """The launch inside its container; raises InputError for a name or a folder that Kubernetes does not take."""
    if not _NAME.fullmatch(_name(item)):
        raise InputError(f"k8s: {item.id}: expected letters, digits and - inside, 63 at most, as a Deployment's name")
    inside = mounted(item, options)
    if not inside.folder.startswith("/"):
        raise InputError(
            f"k8s: models folder {printable(inside.folder)}: expected a path from /, which a node can find"
        )
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
        *(['          command: ["/app/llama-server"]'] if servers(item.plan, item.build) else []),
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
    count = len(own_gpus(item.plan.machine))
    gpus = f"limits: {{ nvidia.com/gpu: {count} }}" if count else ""
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

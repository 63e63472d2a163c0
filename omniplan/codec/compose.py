"""llama-server's commands in a Docker Compose file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omniplan.codec import yaml_text
from omniplan.codec.command import Command, Word
from omniplan.codec.shell import is_server, program_at, split


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
    is_image = is_server(str(service.get("image", "")))
    if at is None and not is_image and not any(key.startswith("LLAMA_ARG_") for key, _ in environment):
        return None
    start = 0 if at is None else at + 1
    return Command(
        name=str(name),
        line=yaml_text.key_line(services, name),
        words=tuple(words[start:]),
        environment=environment,
        prefix=tuple(words[: start - 1]) if at is not None else (),
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

"""llama-server's commands in a Kubernetes Deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from omniplan.codec import yaml_text
from omniplan.codec.command import Command, Word
from omniplan.codec.shell import is_server, program_at

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
    at = program_at(words)
    if at is None and not is_server(str(container.get("image", ""))):
        return None
    start = 0 if at is None else at + 1
    return Command(
        name=str(container.get("name", "")),
        line=yaml_text.key_line(container, next(iter(container))),
        words=tuple(words[start:]),
        environment=tuple(_environment(text, container)),
    )


def _words(container: Any, key: str) -> Iterator[Word]:
    for word in yaml_text.item_words(container.get(key) or []):
        yield Word(text=_DOLLARS.sub("$", word.text), line=word.line)


def _environment(text: str, container: Any) -> Iterator[tuple[str, Word]]:
    for item in container.get("env") or []:
        if "value" in item:
            word = yaml_text.value_word(text, item, "value")
            yield str(item["name"]), Word(text=_DOLLARS.sub("$", word.text), line=word.line)

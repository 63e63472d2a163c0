"""From the words that a file starts something with to llama.cpp's commands, through shells where they lead there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omniplan.formats.command import Tool
from omniplan.formats.contents import Contents, together
from omniplan.formats.launchers import started
from omniplan.formats.programs import Launched, Scripts, Settings, command_of, image_of, is_likely, is_named
from omniplan.formats.shell.scope import Scope, Variable
from omniplan.formats.shell.script import read_script
from omniplan.formats.traced import Source, Traced


def starts(
    source: Source, argv: Sequence[Traced], *, env: Settings = (), name: str = "", line: int = 0, in_swap: bool = False
) -> Contents:
    """The commands that ``argv`` comes to, called ``name``, on ``line`` or the program's own."""
    return of_started(source, started(argv, in_swap=in_swap), env=env, name=name, line=line)


def of_started(
    source: Source, found: Launched | Scripts | None, *, env: Settings = (), name: str = "", line: int = 0
) -> Contents:
    """The same of what is known to be started."""
    if found is None:
        return Contents()
    settings = (*env, *found.environment)
    if isinstance(found, Scripts):
        return together(_script(source, text, settings, name, line) for text in found.texts)
    line = line or source.line_of(found.program)
    return Contents((command_of(source, found, settings, line, name=name),))


def _script(source: Source, text: Traced, settings: Settings, name: str, line: int) -> Contents:
    scope = Scope()
    for key, value in settings:
        scope.set(key, None if value.is_open else Variable((value,)), is_exported=True)
    found = read_script(source.inside(text), scope=scope)
    return Contents(tuple(replace(item, name=name, line=line or item.line) for item in found.commands), found.files)


def in_container(
    source: Source,
    image: Traced,
    entry: Sequence[Traced],
    rest: Sequence[Traced],
    *,
    env: Settings = (),
    name: str = "",
    line: int = 0,
) -> Contents:
    """What a container runs: ``entry`` with ``rest``, ``rest`` where that is a program, else its image's own."""
    found = started((*entry, *rest))
    if found is None and not entry:
        row = image_of(image.text)
        words = [word.text for word in rest]
        is_server = row is not None or any(key.startswith("LLAMA_ARG_") for key, _ in env)
        if is_server or (is_likely(words) and (is_named(image.text) or image.is_open)):
            first = row.first if row else ()
            args = tuple(rest[1:] if words[:1] and words[0] in first else rest)
            found = Launched(program=image, tool=row.tool if row else Tool.SERVER, words=args)
    if isinstance(found, Launched):
        # The image says which build it is, where the program's own path does not.
        found = replace(found, program=image if image.text else found.program)
    return of_started(source, found, env=env, name=name, line=line)

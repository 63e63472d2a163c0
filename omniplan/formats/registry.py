"""Plans as the files people run, each read back before it is given away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from omniplan.documents.plugins import guarded, plugins
from omniplan.domain.params import ServerParams
from omniplan.errors import ArgumentError, InputError, meant
from omniplan.formats import compose, dotenv, kubernetes, llama_swap, models_conf, plain, preset_ini, systemd
from omniplan.formats.command import Command
from omniplan.formats.format import Format, Options
from omniplan.formats.launch import Launch, printable
from omniplan.llamacpp.flags.args import parse, read_flags

FORMATS: Final[Mapping[str, Format]] = {
    item.name: item
    for item in (
        plain.ARGV,
        plain.SHELL,
        models_conf.FORMAT,
        preset_ini.FORMAT,
        llama_swap.FORMAT,
        compose.FORMAT,
        systemd.FORMAT,
        dotenv.FORMAT,
        kubernetes.FORMAT,
    )
}


_DEFAULTS: Final = Options()


def render(items: Sequence[Launch], name: str, *, into: str | None = None, options: Options = _DEFAULTS) -> str:
    """``items`` as a file of the format ``name``: a whole one, or the text ``into`` with each of them in its place.

    Raises InputError for an unknown format, one that holds no several models, and for whatever the format's own reader
    would not give back: an argument is refused, never changed.
    """
    chosen = FORMATS.get(name) or others().get(name)
    if chosen is None:
        known = (*FORMATS, *others())
        raise InputError(f"unknown; choose one of {', '.join(known)}{meant(name, known)}", field="format", value=name)
    for item in items:
        if not chosen.ids.fullmatch(item.id):
            raise InputError(f"section {item.id!r}: {name}: expected a name of the form {chosen.ids.pattern}")
    prepared = [replace(chosen.prepare(item, options), format=name) for item in items]
    if into is None:
        text = chosen.write(prepared, options)
    elif chosen.put is None:
        able = ", ".join(item.name for item in FORMATS.values() if item.put)
        raise InputError(f"a file for {name} is written whole; {able} take a section more", field="into")
    else:
        text = into
        for item in prepared:
            text = chosen.put(text, item, options)
    check(chosen, prepared, text)
    return text


def others() -> Mapping[str, Format]:
    """The formats of other packages by name; raises InputError."""
    found = plugins("omniplan.formats", Format, called=lambda item: item.name, taken=FORMATS)
    return {
        name: replace(item, write=guarded(name, item.write), read=guarded(name, item.read))
        for name, item in found.items()
    }


def check(chosen: Format, items: Sequence[Launch], text: str) -> None:
    """Refuse a text that does not say what it should to its reader."""
    found = chosen.read(text)
    named = {command.name: command for command in found}
    for at, item in enumerate(items):
        command = named.get(item.id) if chosen.put else found[at] if len(found) == len(items) else None
        if command is None:
            raise InputError(
                f"{chosen.name}: the arguments of {item.id} cannot be written in this format; use the format shell"
            )
        if not (_is_same if chosen.is_exact else _has_same_effect)(command, item):
            raise InputError(
                f"{chosen.name}: {_culprit(command, item)} cannot be written in this format; use the format shell"
            )
        if chosen.carries_environment and not item.environment.items() <= command.env.items():
            raise InputError(
                f"{chosen.name}: the environment of {item.id} cannot be written in this format; use the format shell"
            )


def _culprit(command: Command, item: Launch) -> str:
    """What to name when a file says something else: the model's path where that is what got lost."""
    model = item.argv[1]
    return f"the arguments of {item.id}" if model in command.args else f"model {printable(model)}"


def _is_same(command: Command, item: Launch) -> bool:
    """Whether the arguments come back as they are, after what the format itself passes."""
    return command.args[-len(item.argv) :] == item.argv


def _has_same_effect(command: Command, item: Launch) -> bool:
    """Equal parameters where this llama.cpp's parser knows the dialect, else the same flags with the same values."""
    if item.flags == tuple(read_flags(item.args)):
        try:
            return effect(command.args, command.env) == effect(("-m", *item.argv[1:]), {})
        except ArgumentError:
            return False
    wanted = {(flag.row.key, flag.values, flag.name in flag.row.negated) for flag in item.flags}
    return wanted <= {(flag.row.key, flag.values, flag.name in flag.row.negated) for flag in read_flags(command.args)}


def effect(args: Sequence[str], environment: Mapping[str, str]) -> ServerParams:
    """What arguments and variables set, however they say it, less where the server listens."""
    params = parse(args, env=environment)
    extra = tuple(sorted(item for item in params.extra if item[0] not in {"--host", "--port"}))
    return replace(params, env=(), extra=extra)

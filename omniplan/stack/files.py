"""A stack as the files people run: a section, preset, model or service per member, and who may run with whom."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Final

from omniplan.errors import InputError
from omniplan.formats import compose, preset_ini, yaml_text
from omniplan.formats.format import Options
from omniplan.formats.launch import Launch, launch
from omniplan.formats.regenerate import stack_command
from omniplan.formats.registry import check, render
from omniplan.formats.visible import visible
from omniplan.machines.probe.order import by_pci
from omniplan.stack.text import stack_screen
from omniplan.stack.values import Member, Stack
from omniplan.text.layout import Look, text_of
from omniplan.text.screen import Level

_COUNT_ALL: Final = "count: all"
# Columns of a table that is kept as a file.
_WIDTH: Final = 120
Writer = Callable[[Stack, Options], str]


def stack_file(found: Stack, name: str, options: Options) -> str:
    """``found`` as a table, models.conf, preset, llama-swap or compose; raises InputError for what a format lacks."""
    if name not in WRITERS:
        raise InputError(f"unknown; choose one of {', '.join(WRITERS)}", field="format", value=name)
    if name != "table" and not found.members:
        raise InputError(f"{found.name} has no model to run; write it as table", field="format", value=name)
    return WRITERS[name](found, options)


def _table(found: Stack, options: Options) -> str:
    del options
    return text_of(stack_screen(found), Look(width=_WIDTH, level=Level.ALL)) + "\n"


def _launches(found: Stack) -> list[Launch]:
    return [_launch(found, member) for member in found.members]


def _launch(found: Stack, member: Member) -> Launch:
    return replace(launch(member.plan, id=member.name), origin=stack_command(found.machine.name, found.llama_cpp))


def _models_conf(found: Stack, options: Options) -> str:
    return render(_launches(found), "models.conf", options=options)


def _preset(found: Stack, options: Options) -> str:
    """Presets of the router; those loaded with it say so, and a comment says how many it may hold."""
    plain = render(_launches(found), "preset", options=options)
    text = plain
    for member in found.members:
        head = f"[{member.name}]\n"
        text = text.replace(f"\n{head}", f"\n{head}load-on-startup = {str(not member.on_demand).lower()}\n")
    most = together(found)
    note = f"; any {most} of these fit together: llama-server --models-preset FILE --models-max {most}\n"
    text = note + text
    check(preset_ini.FORMAT, _launches(found), text)
    return text


def together(found: Stack) -> int:
    """The most members of which any fit together, whichever they are."""
    names = [member.name for member in found.members]
    parts = [set(names_) for names_ in found.sets]
    sizes = range(len(names), 1, -1)
    return next(
        (n for n in sizes if all(any(set(some) <= part for part in parts) for some in combinations(names, n))), 1
    )


def _llama_swap(found: Stack, options: Options) -> str:
    """Models, the sets that may run at once, what evicting one costs, and what is loaded at the start."""
    text = render(_launches(found), "llama-swap", options=options)
    text += "\n".join((*_hooks(found), *_matrix(found), ""))
    yaml_text.load(text, where="llama-swap")
    return text


def _hooks(found: Stack) -> Iterator[str]:
    loaded = [member.name for member in found.members if not member.on_demand]
    if loaded:
        yield "hooks:"
        yield "  on_startup:"
        yield f"    preload: [{', '.join(map(yaml_text.quoted, loaded))}]"


def _matrix(found: Stack) -> Iterator[str]:
    short = {member.name: f"m{at}" for at, member in enumerate(found.members, 1)}
    yield "routing:"
    yield "  router:"
    yield "    use: matrix"
    yield "    settings:"
    yield "      matrix:"
    yield "        vars:"
    yield from (f"          {var}: {yaml_text.quoted(name)}" for name, var in short.items())
    yield "        # what a reload of each counts for: its priority; loaded with the server, more than all on demand"
    yield "        evict_costs:"
    yield from (f"          {short[name]}: {cost}" for name, cost in evict_costs(found).items())
    yield "        # the largest sets that fit together, headroom kept; every part of one does too"
    yield "        sets:"
    yield from (
        f"          set{at}: {yaml_text.quoted(' & '.join(short[name] for name in names))}"
        for at, names in enumerate(found.sets, 1)
    )


def evict_costs(found: Stack) -> Mapping[str, int]:
    """Whole numbers from 1: priorities over the least, those of members loaded with the server above all others."""
    least = min(member.priority for member in found.members)
    weights = {member.name: max(1, round(member.priority / least)) for member in found.members}
    demanded = sum(weights[member.name] for member in found.members if member.on_demand)
    return {member.name: weights[member.name] * (1 if member.on_demand else 1 + demanded) for member in found.members}


def _compose(found: Stack, options: Options) -> str:
    """A service per member on its own port, with its own GPUs; those on demand wait for their profile."""
    prepared = [compose.FORMAT.prepare(item, options) for item in _contained(found)]
    blocks = [_service(found, member, item) for member, item in zip(found.members, prepared, strict=True)]
    text = "services:\n" + textwrap.indent("\n".join(blocks), "  ") + "\n"
    check(compose.FORMAT, prepared, text)
    return text


def _contained(found: Stack) -> Iterator[Launch]:
    """Launches as a container sees them: no GPU but its member's, numbered from 0."""
    for member in found.members:
        yield replace(_launch(found, replace(member, plan=visible(member.plan, member.gpus))), format="compose")


def _service(found: Stack, member: Member, item: Launch) -> str:
    text = compose.block(item, member.port)
    pci = [gpu.name for gpu in by_pci(found.machine.gpus) if gpu.pci]
    if _COUNT_ALL in text and set(member.gpus) <= set(pci):
        ids = sorted(pci.index(name) for name in member.gpus)
        text = text.replace(_COUNT_ALL, f"device_ids: [{', '.join(yaml_text.quoted(str(index)) for index in ids)}]")
    return f"{text}\n  profiles: [on-demand]" if member.on_demand else text


WRITERS: Final[Mapping[str, Writer]] = {
    "table": _table,
    "models.conf": _models_conf,
    "preset": _preset,
    "llama-swap": _llama_swap,
    "compose": _compose,
}

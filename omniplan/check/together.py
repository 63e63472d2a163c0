"""Rules about several servers that run at the same time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.check.case import Case
from omniplan.check.document import File
from omniplan.check.hit import Hit
from omniplan.check.kinds import FileKind
from omniplan.check.rule import FileRule
from omniplan.domain.footprint import RAM
from omniplan.domain.machine import Machine
from omniplan.units import gib

_BACKGROUND: Final = re.compile(r"(?<!&)&\s*$", re.MULTILINE)


def too_many(file: File) -> Iterator[Hit]:
    """Servers of one file that each fit, and together do not."""
    if len(file.cases) < 2 or file.machine is None or not _is_at_once(file):
        return
    used: Counter[str] = Counter()
    for case in file.cases:
        if case.priced is None or case.priced.shortfall:
            return
        for pool in case.priced.pools:
            name = _physical(file.machine, case, pool.name)
            used[name] += pool.used if name else 0
    gpus = file.machine.gpus
    # Weights in RAM may be one mapping for all servers; what GPUs draw on it is each server's own.
    used[RAM] = sum(used[gpu.name] for gpu in gpus if gpu.draws_on_ram)
    free = {**{gpu.name: gpu.room for gpu in gpus}, RAM: file.machine.ram or used[RAM]}
    short = {name: size for name, size in used.items() if size > free.get(name, size)}
    if short:
        shown = ", ".join(f"{name} {gib(size)} of {gib(free[name])}" for name, size in short.items())
        yield Hit(message=f"{len(file.cases)} servers at once need {shown}", at=file.cases[0].command.line)


def _is_at_once(file: File) -> bool:
    """Whether the file starts all its servers: Compose does, and a script that puts them into the background."""
    if file.document.kind is FileKind.SHELL:
        return len(_BACKGROUND.findall(file.document.text)) >= len(file.cases) - 1
    return file.document.kind is FileKind.COMPOSE


def _physical(machine: Machine, case: Case, name: str) -> str:
    """The machine's name of a GPU that a command may see under another; "" for RAM or when it is not certain."""
    seen = [gpu for gpu in case.machine.gpus if gpu.name == name] if case.machine else []
    found = [gpu.name for gpu in machine.gpus if seen and replace(gpu, name=name) == seen[0]]
    if case.machine is not None and case.machine.gpus == machine.gpus:
        return name if seen else ""
    return found[0] if len(found) == 1 else ""


RULES: Final[Mapping[str, FileRule]] = {
    "servers-too-many": too_many,
}

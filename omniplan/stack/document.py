"""Stack files: TOML a person can write by hand, read with errors that name the path inside the file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.text_file import read_utf8
from omniplan.domain.headroom import Headroom
from omniplan.domain.prediction import Objective
from omniplan.errors import InputError
from omniplan.stack.values import ANY_GPU, Budget, External, Group, On, StackFile, StackModel

# The group of everything that is loaded with the server.
STARTUP: Final = "startup"
# A name becomes a section, a service, a model's id and part of a file's name.
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"


def load_stack(path: str | Path) -> StackFile:
    """The stack file at ``path``; models are found from its folder. Raises InputError with the path inside the file."""
    return parse_stack(read_utf8(path), where=str(path), folder=Path(path).parent)


def parse_stack(text: str, *, where: str = "stack", folder: Path = Path()) -> StackFile:
    """The stack written in ``text``; ``folder`` is where relative model paths start."""
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a TOML stack file: {str(error) or 'nested too deeply'}") from error
    try:
        return _stack(Fields.of(raw, ""), folder)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _stack(fields: Fields, folder: Path) -> StackFile:
    models = tuple(_model(item, folder) for item in fields.tables("models"))
    externals = tuple(_external(item) for item in fields.tables("externals"))
    name = fields.text("name", "stack")
    _check_names(fields, models, externals)
    groups = tuple(_groups(fields, models, externals))
    n_prompt, n_gen = fields.count("n_prompt"), fields.count("n_gen")
    busy = fields.number("busy")
    found = StackFile(
        name=name,
        models=models,
        externals=externals,
        groups=groups,
        budget=_budget(fields.table("budget")),
        n_prompt=2048 if n_prompt is None else n_prompt,
        n_gen=256 if n_gen is None else n_gen,
        objective=Objective(fields.choice("objective", tuple(Objective), Objective.REQUEST)),
        busy=0.5 if busy is None else busy,
    )
    fields.done()
    if not found.busy <= 1:
        raise fields.error("busy", f"expected a share from 0 to 1, got {found.busy:g}")
    if found.n_prompt + found.n_gen < 1:
        raise fields.error("n_gen", "expected at least one token with n_prompt")
    return found


def _model(fields: Fields, folder: Path) -> StackModel:
    cache_type = fields.text("cache_type", "f16")
    path = fields.text("path")
    ubatch = _positive(fields, "ubatch")
    priority = fields.number("priority")
    model = StackModel(
        name=_name(fields),
        path=os.path.normpath(folder / path),
        n_ctx=_positive(fields, "ctx"),
        n_parallel=_positive(fields, "parallel") or 1,
        cache_type_k=fields.text("cache_type_k", cache_type),
        cache_type_v=fields.text("cache_type_v", cache_type),
        n_ubatch=ubatch or 512,
        priority=1.0 if priority is None else priority,
        on=On(fields.choice("on", tuple(On), On.ANY)),
        on_demand=fields.flag("on_demand"),
        port=_port(fields),
    )
    fields.done()
    if model.priority <= 0:
        raise fields.error("priority", "expected a number above 0; leave the model out instead")
    return model


def _external(fields: Fields) -> External:
    name = _name(fields)
    gb, mib = fields.scaled("gb", 1e9), fields.mib("mib")
    if (gb is None) == (mib is None):
        raise fields.error("gb", "expected either gb (10^9 bytes) or mib; 0 for something that runs elsewhere")
    priority = fields.number("priority")
    found = External(
        name=name,
        size=int(gb) if gb is not None else mib or 0,
        pool=fields.matching("on", r"GPUs|RAM|CUDA\d+", "GPUs, RAM or CUDA0") or ANY_GPU,
        may_use_ram=fields.flag("may_use_ram"),
        priority=1.0 if priority is None else priority,
    )
    fields.done()
    return found


def _groups(fields: Fields, models: tuple[StackModel, ...], externals: tuple[External, ...]) -> Iterator[Group]:
    """The groups of the file; what is loaded with the server is one more, unless it is in one already.

    Without any, each model on demand joins what is loaded with the server.
    """
    known = {*(model.name for model in models), *(entry.name for entry in externals)}
    rows = fields.tables("groups")
    groups: list[Group] = []
    for row in rows:
        group = Group(name=_name(row), members=row.texts("members"))
        row.done()
        if group.name in {other.name for other in groups}:
            raise row.error("name", f"{group.name!r} is already a group")
        if not group.members:
            raise row.error("members", "expected at least one name")
        for member in group.members:
            if member not in known:
                raise row.error("members", f"{member!r} is no model or external; known are {', '.join(sorted(known))}")
        if len(set(group.members)) < len(group.members):
            raise row.error("members", "a name stands there twice")
        groups.append(group)
    in_groups = {member for group in groups for member in group.members}
    always = [item.name for item in externals if item.name not in in_groups]
    loaded = [model.name for model in models if not model.on_demand]
    yield from (Group(name=group.name, members=(*group.members, *always)) for group in groups)
    first = (*loaded, *always)
    if first and not any(set(first) <= {*group.members, *always} for group in groups):
        yield Group(name=_free(STARTUP, groups), members=first)
    if not groups and loaded:
        yield from (
            Group(name=f"{STARTUP}+{model.name}", members=(*loaded, model.name, *always))
            for model in models
            if model.on_demand
        )


def _free(name: str, groups: list[Group]) -> str:
    taken = {group.name for group in groups}
    while name in taken:
        name += "-all"
    return name


def _budget(fields: Fields | None) -> Budget:
    if fields is None:
        return Budget()
    gpus = fields.table("gpus")
    headroom = fields.text("headroom", "default")
    try:
        Headroom.parse(headroom)
    except InputError as error:
        raise fields.error("headroom", 'expected "1024" (MiB per GPU), "10%" or "default"') from error
    found = Budget(
        headroom=headroom,
        gpus={} if gpus is None else {name: gpus.required_mib(name) for name in gpus.raw},
        ram=fields.mib("ram_mib"),
        ram_headroom=fields.mib("ram_headroom_mib"),
    )
    fields.done()
    return found


def _check_names(fields: Fields, models: tuple[StackModel, ...], externals: tuple[External, ...]) -> None:
    if not models and not externals:
        raise fields.error("models", "expected at least one model or external")
    seen: set[str] = set()
    ports: dict[int, str] = {}
    for name in (*(model.name for model in models), *(entry.name for entry in externals)):
        if name in seen:
            raise fields.error("models", f"the name {name!r} stands there twice")
        seen.add(name)
    for model in models:
        if model.port is not None and ports.setdefault(model.port, model.name) != model.name:
            raise fields.error("models", f"{ports[model.port]} and {model.name} share port {model.port}")


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not re.fullmatch(_NAME, name):
        raise fields.error("name", f"expected letters, digits, - and _, 63 at most, got {name[:80]!r}")
    return name


def _positive(fields: Fields, key: str) -> int | None:
    value = fields.count(key)
    if value == 0:
        raise fields.error(key, "expected at least 1; leave it out for the default")
    return value


def _port(fields: Fields) -> int | None:
    value = fields.count("port")
    if value is not None and not 0 < value < 65536:
        raise fields.error("port", f"expected a port from 1 to 65535, got {value}")
    return value

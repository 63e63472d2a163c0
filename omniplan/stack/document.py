"""Stack files: TOML a person can write by hand, read with errors that name the path inside the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from omniplan.documents.document import from_text
from omniplan.documents.text_file import read_utf8
from omniplan.errors import InputError
from omniplan.gguf.place import seen_from
from omniplan.stack.asked import Group, StackFile, StackModel

# The group of everything that is loaded with the server.
STARTUP: Final = "startup"


def load_stack(path: str | Path) -> StackFile:
    """The stack file at ``path``; models are found from its folder. Raises InputError with the path inside the file."""
    return parse_stack(read_utf8(path), where=str(path), folder=Path(path).parent)


def parse_stack(text: str, *, where: str = "stack", folder: Path = Path()) -> StackFile:
    """The stack written in ``text``; ``folder`` is where relative model paths start."""
    asked = from_text(StackFile, text, where=where, what="stack file")
    models = tuple(replace(model, path=seen_from(folder, model.path)) for model in asked.models)
    return replace(asked, models=models, groups=tuple(_groups(asked)))


def one_at_a_time(paths: Sequence[str], n_ctx: int | None = None) -> StackFile:
    """What a file would say of models that take turns: each is loaded on demand, and has the machine to itself.

    They are called after their files; raises InputError where two would have one name.
    """
    models = tuple(StackModel(name=_called(path), path=path, n_ctx=n_ctx, on_demand=True) for path in paths)
    asked = StackFile(models=models, groups=tuple(Group(name=name, members=(name,)) for name in map(_called, paths)))
    for _, problem in asked.faults():
        raise InputError(f"{problem}; a stack file gives each a name of its own")
    return asked


def _called(path: str) -> str:
    stem = path.replace("\\", "/").rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    return re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-_")[:63] or "model"


def _groups(asked: StackFile) -> Iterator[Group]:
    """The groups of the file; what is loaded with the server is one more, unless it is in one already.

    Without any, each model on demand joins what is loaded with the server.
    """
    in_groups = {member for group in asked.groups for member in group.members}
    always = [item.name for item in asked.externals if item.name not in in_groups]
    loaded = [model.name for model in asked.models if not model.on_demand]
    yield from (Group(name=group.name, members=(*group.members, *always)) for group in asked.groups)
    first = (*loaded, *always)
    if first and not any(set(first) <= {*group.members, *always} for group in asked.groups):
        yield Group(name=_free(STARTUP, asked.groups), members=first)
    if not asked.groups and loaded:
        yield from (
            Group(name=f"{STARTUP}+{model.name}", members=(*loaded, model.name, *always))
            for model in asked.models
            if model.on_demand
        )


def _free(name: str, groups: Sequence[Group]) -> str:
    taken = {group.name for group in groups}
    while name in taken:
        name += "-all"
    return name

"""Stacks: several models on one machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import build_of, load_model, machine_of
from omniplan.domain.progress import unwatched

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource
    from omniplan.domain.model import Model
    from omniplan.domain.progress import Progress
    from omniplan.stack.asked import StackFile
    from omniplan.stack.values import Stack


def stack(
    source: str | Path | StackFile | Sequence[str],
    machine: MachineSource,
    *,
    n_ctx: int | None = None,
    build: int | str | None = None,
    progress: Progress = unwatched,
) -> Stack:
    """Place all models of a stack file jointly on ``machine``, within its budget of VRAM and RAM.

    ``source`` is the path of a stack file (``docs/verbs/stack.md``) or what one says, or models that take turns, with
    contexts of ``n_ctx`` tokens; models of its paths are read once each. ``build`` is the llama.cpp that serves them
    (None: the file's own); ``progress`` is told of the models.
    Every model gets one set of arguments, good in every group that fits; the sum over models of priority times
    predicted seconds, beside neighbours that are busy as the file says, is the least of all its places. A group
    that does not fit says by how much and which changes would help, least loss first; nothing is raised for it.
    Hosts of the machine take no part. Raises InputError with the path inside the file, HeaderError,
    UnsupportedModel or ArgumentError.
    """
    from omniplan.stack.asked import StackFile
    from omniplan.stack.document import load_stack, one_at_a_time
    from omniplan.stack.planner import make_stack

    if isinstance(source, StackFile):
        asked = source
    else:
        asked = load_stack(source) if isinstance(source, str | Path) else one_at_a_time(source, n_ctx)
    if build is not None:
        asked = replace(asked, build=build_of(build))
    known: dict[str, Model] = {}
    for model in asked.models:
        if model.path not in known:
            known[model.path] = load_model(model.path)
    alone = replace(machine_of(machine), hosts=())
    return make_stack(asked, {model.name: known[model.path] for model in asked.models}, alone, progress)


def emit_stack(found: Stack, *, format: str = "table", models_dir: str | None = None, ttl: int = 0) -> str:
    """``found`` as text: table, models.conf, preset, llama-swap or compose, with every member in it.

    ``models_dir`` is the folder that a container sees as ``/models`` (None: the nearest one named ``models``, else each
    model's own); ``ttl`` the seconds after which llama-swap unloads an idle model. Raises InputError for what the
    format cannot carry.
    """
    from omniplan.formats.format import Options
    from omniplan.stack.files import stack_file

    return stack_file(found, format, Options(models_dir=models_dir, ttl=ttl))

"""A joint plan of a stack, from what is asked to the placement of every member."""

from __future__ import annotations

from collections.abc import Mapping

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.progress import Progress, unwatched
from omniplan.stack.asked import StackFile
from omniplan.stack.result import stack_of
from omniplan.stack.search import Search
from omniplan.stack.values import Stack


def make_stack(
    asked: StackFile, models: Mapping[str, Model], machine: Machine, progress: Progress = unwatched
) -> Stack:
    """The best joint placement of ``asked`` on ``machine``, and ways out for groups that do not fit.

    ``models`` are the models by name. Raises InputError for a budget or pool the machine does not have, ArgumentError
    with the model's name for a request that llama-server would refuse.
    """
    return stack_of(Search(asked, models, machine, progress))

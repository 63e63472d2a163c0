"""Any command lines for one model on one machine, priced and predicted side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.request import check_count
from omniplan.errors import ArgumentError
from omniplan.gguf.companions import with_companions
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.footprint import footprint
from omniplan.planning.comparison import Compared, Comparison
from omniplan.predict.request import is_known, predict_priced


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One command line: its arguments and environment, the machine as it sees it, and the fork it starts if known."""

    args: tuple[str, ...]
    env: Mapping[str, str]
    machine: Machine
    fork: str | None = None


@contextmanager
def numbered(number: int) -> Iterator[None]:
    """Says with an ArgumentError which command line it is about."""
    try:
        yield
    except ArgumentError as error:
        raise ArgumentError(f"command line {number}: {error.flag}", error.problem, remedy=error.remedy) from error


def compare(
    model: Model, lines: Sequence[Line], *, n_prompt: int, n_gen: int, build: int = DEFAULT_BUILD
) -> Comparison:
    """Price and predict each of ``lines`` as given; raises ArgumentError with the number of the one that is wrong."""
    check_count("n_prompt", n_prompt, least=0)
    check_count("n_gen", n_gen, least=0)
    return Comparison(
        model=model.header.paths[0],
        machine=lines[0].machine.name,
        rows=tuple(_rows(model, lines, (n_prompt, n_gen), build)),
    )


def _rows(
    model: Model,
    lines: Sequence[Line],
    workload: tuple[int, int],
    build: int,
) -> Iterator[Compared]:
    for number, line in enumerate(lines, 1):
        with numbered(number):
            params = parse(line.args, env=line.env, build=build, fork=line.fork)
            served = with_companions(model, params)
            priced = footprint(served, line.machine, params)
        is_open = priced.unpriced or not is_known(params)
        speed = None if is_open else predict_priced(served, line.machine, params, priced, *workload, 0)
        yield Compared.of(line.args, priced, speed)

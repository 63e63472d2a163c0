"""Any command lines for one model on one machine, priced and predicted side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.request import check_count
from omniplan.errors import ArgumentError, InputError
from omniplan.gguf.companions import with_companions
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.footprint import footprint
from omniplan.planning.comparison import Compared, Comparison
from omniplan.predict.request import is_known, predict_priced


def compare(
    model: Model,
    machine: Machine,
    groups: Sequence[Sequence[str]],
    *,
    n_prompt: int,
    n_gen: int,
    env: Mapping[str, str],
    build: int = DEFAULT_BUILD,
) -> Comparison:
    """Price and predict each of ``groups`` as given; raises ArgumentError with the number of the one that is wrong."""
    if not groups:
        raise InputError(
            "compare: nothing to compare; write llama-server's arguments after --, and after each further --"
        )
    check_count("n_prompt", n_prompt, least=0)
    check_count("n_gen", n_gen, least=0)
    return Comparison(
        model=model.header.paths[0],
        machine=machine.name,
        rows=tuple(_rows(model, machine, groups, (n_prompt, n_gen), env, build)),
    )


def _rows(
    model: Model,
    machine: Machine,
    groups: Sequence[Sequence[str]],
    workload: tuple[int, int],
    env: Mapping[str, str],
    build: int,
) -> Iterator[Compared]:
    for number, args in enumerate(groups, 1):
        try:
            params = parse(args, env=env, build=build)
            served = with_companions(model, params)
            priced = footprint(served, machine, params)
        except ArgumentError as error:
            raise ArgumentError(f"command line {number}: {error.flag}", error.problem, remedy=error.remedy) from error
        is_open = priced.unpriced or not is_known(params)
        speed = None if is_open else predict_priced(served, machine, params, priced, *workload, 0)
        yield Compared.of(tuple(args), priced, speed)

"""The verb that ranks several files of one model, and quants nobody downloaded yet."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import show
from omniplan.cli.verbs import Verb, add_json, add_machine, add_objective, add_workload
from omniplan.errors import ExitCode


def _quants(text: str) -> list[str]:
    return text.split(",")


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "models", metavar="MODEL", nargs="+", help="files of one model, or folders that hold them; headers are enough"
    )
    add_machine(command)
    command.add_argument(
        "--what-if-quant",
        type=_quants,
        action="extend",
        default=[],
        metavar="Q,Q",
        help="also estimate these quants, such as Q4_K_M, by llama-quantize's rules",
    )
    command.add_argument("--ctx", type=int, metavar="N", help="context in tokens, over all slots (-c)")
    command.add_argument("--parallel", type=int, default=1, metavar="N", help="slots (-np), default 1")
    command.add_argument("--cache-type", default="f16", metavar="TYPE", help="type of the K and V cache, default f16")
    command.add_argument("--headroom", metavar="H", help="MiB to keep free per GPU, a share such as 10%%, or default")
    add_workload(command)
    add_objective(command)
    add_json(command)


def _run(options: argparse.Namespace) -> int:
    from omniplan.documents.as_json import as_json
    from omniplan.planning.text_recommendation import recommendation_text

    found = api.recommend(
        options.models,
        api.load_machine(options.machine),
        what_if=options.what_if_quant,
        n_ctx=options.ctx,
        n_parallel=options.parallel,
        cache_type_k=options.cache_type,
        cache_type_v=options.cache_type,
        headroom=options.headroom,
        n_prompt=options.n_prompt,
        n_gen=options.n_gen,
        objective=options.objective,
    )
    show(as_json(found) if options.json else recommendation_text(found))
    return ExitCode.of(found.fits)


VERBS: Final = (
    Verb(name="recommend", help="rank several quants of one model by fit and speed", declare=_declare, run=_run),
)

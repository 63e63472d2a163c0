"""The verb that says which quant of a model to take, or which of many models run here."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import present, show
from omniplan.cli.progress import watched
from omniplan.cli.request import (
    add_beside,
    add_context,
    add_headroom,
    add_objective,
    add_slots,
    add_workload,
    request_of,
)
from omniplan.cli.verbs import Verb, add_build, add_json, add_machine
from omniplan.domain.request import DEFAULT
from omniplan.errors import ExitCode


def _quants(text: str) -> list[str]:
    return text.split(",")


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "models", metavar="MODEL", nargs="+", help="files, folders, or hf:OWNER/REPO; headers are enough"
    )
    add_machine(command)
    command.add_argument(
        "--what-if-quant",
        type=_quants,
        action="extend",
        metavar="Q,Q",
        help="estimate these quants, such as Q4_K_M; those that publishers usually offer where one file is given",
    )
    add_context(command)
    add_slots(command)
    command.add_argument(
        "--cache-type",
        default=DEFAULT.cache_type_k,
        metavar="TYPE",
        help=f"type of the K and V cache, default {DEFAULT.cache_type_k}",
    )
    add_beside(command)
    add_build(command)
    add_headroom(command)
    add_workload(command)
    add_objective(command)
    add_json(command)


def _run(options: argparse.Namespace) -> int:
    from omniplan.planning.text_recommendation import recommendation_screen

    request = request_of(options, cache_type_k=options.cache_type, cache_type_v=options.cache_type)
    with watched() as progress:
        found = api.recommend(
            options.models, options.machine, request, what_if=options.what_if_quant, progress=progress
        )
    show(found.to_json()) if options.json else present(recommendation_screen(found), options)
    return ExitCode.of(found.fits)


VERBS: Final = (
    Verb(name="recommend", help="say which quant to take, or which models run here", declare=_declare, run=_run),
)

"""The verb that has a plan counted by llama.cpp itself."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import present, show
from omniplan.cli.verbs import Verb, add_build, add_json
from omniplan.errors import InputError


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("plan", metavar="PLAN.json", help="a plan written by `omniplan plan --json`")
    command.add_argument("--model", metavar="M", help="the plan's model, where it lies elsewhere now")
    command.add_argument(
        "--fit-params", metavar="PATH", help="a llama-fit-params binary for the real devices; default: the one on PATH"
    )
    command.add_argument(
        "--simulate", action="store_true", help="count on simulated GPUs with the library in xllamacpp"
    )
    command.add_argument(
        "--timeout", type=float, default=60, metavar="S", help="seconds to wait for llama.cpp, default 60"
    )
    add_build(command, default=None, usual="the plan's")
    add_json(command)


def _run(options: argparse.Namespace) -> int:
    from omniplan.certify.text import certificate_screen

    if options.simulate and options.fit_params:
        raise InputError("--simulate: asks the library, --fit-params a binary; give one of them")
    found = api.certify(
        options.plan,
        model=options.model,
        fit_params=options.fit_params,
        simulate=options.simulate,
        timeout=options.timeout,
        build=options.llama_cpp,
    )
    show(found.to_json()) if options.json else present(certificate_screen(found), options)
    return 0 if found.agrees else 1


VERBS: Final = (
    Verb(
        name="certify", help="have a plan counted by llama.cpp itself, before it is loaded", declare=_declare, run=_run
    ),
)

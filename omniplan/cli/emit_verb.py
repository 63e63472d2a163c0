"""The verb that writes a plan as the file one runs."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan.cli.files import add_format, add_output, deliver_plan
from omniplan.cli.verbs import Verb, add_build
from omniplan.errors import ExitCode


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("plan", metavar="PLAN.json", help="a plan written by `omniplan plan --json`")
    add_format(command, default="shell")
    add_output(command, "write a whole file instead of printing")
    command.add_argument("--model", metavar="PATH", help="where the model is on the machine that runs it")
    command.add_argument(
        "--host", metavar="HOST:PORT", help="what another host of the plan runs: rpc-server as shell, systemd, compose"
    )
    add_build(command, default=None, usual="the plan's")
    command.add_argument("--ttl", type=int, default=0, metavar="S", help="llama-swap: unload after S idle seconds")


def _run(options: argparse.Namespace) -> int:
    from omniplan.api.documents import load_plan

    plan = load_plan(options.plan)
    deliver_plan(
        plan, options, model_path=options.model, llama_cpp=options.llama_cpp, ttl=options.ttl, host=options.host
    )
    return ExitCode.of(plan.footprint.fits)


VERBS: Final = (Verb(name="emit", help="write a plan as the file one runs", declare=_declare, run=_run),)

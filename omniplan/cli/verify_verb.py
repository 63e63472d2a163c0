"""The verb that holds a run's log against its prediction."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import present, show
from omniplan.cli.verbs import Verb, add_build, add_json, add_report


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "log", metavar="LOG", help="what llama-server, llama-cli or llama-bench wrote to stderr; - reads it here"
    )
    command.add_argument("--plan", metavar="PLAN.json", help="the plan it ran by, written by `omniplan plan --json`")
    command.add_argument("--model", metavar="MODEL", help="instead: the model it ran, a GGUF file or its header")
    command.add_argument("--machine", metavar="M", help="the machine it ran on; default: the devices in the log")
    command.add_argument("--nvidia-smi", metavar="CSV", help="memory in use, from nvidia-smi --query-gpu --format=csv")
    add_build(command, default=None, usual="the one that wrote the log")
    add_report(command)
    add_json(command)
    command.usage = (
        "omniplan verify LOG [--plan PLAN.json | --model MODEL [--machine M]] [--nvidia-smi CSV] [--llama-cpp BUILD]\n"
        "                       [--report FILE] [--json] [-- <llama-server arguments>]"
    )


def _run(options: argparse.Namespace) -> int:
    from omniplan.verify.text import verification_screen

    found = api.verify(
        options.log,
        plan=options.plan,
        model=options.model,
        machine=options.machine,
        args=options.server_args,
        nvidia_smi=options.nvidia_smi,
        build=options.llama_cpp,
    )
    if options.report:
        api.write_report(api.report(found), options.report)
    show(found.to_json()) if options.json else present(verification_screen(found), options)
    return 0 if found.is_ok else 1


VERBS: Final = (
    Verb(
        name="verify",
        help="hold a run's own log against a plan or a footprint",
        declare=_declare,
        run=_run,
        takes_server_args=True,
    ),
)

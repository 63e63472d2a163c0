"""The verb that places several models on one machine."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import show
from omniplan.cli.verbs import Verb, add_json, add_machine


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("stack", metavar="STACK.toml", help="a stack file: models, groups and a budget")
    add_machine(command)
    add_json(command)


def _run(options: argparse.Namespace) -> int:
    from omniplan.emit.stack import stack_text

    found = api.stack(options.stack, api.load_machine(options.machine))
    show(found.to_json() if options.json else stack_text(found))
    return 0 if found.fits else 1


VERBS: Final = (Verb(name="stack", help="place several models on one machine together", declare=_declare, run=_run),)

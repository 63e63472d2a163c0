"""The verb that tunes on the machine itself: runs go to a journal, the answer to stdout, what is learned to a file."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omniplan import api
from omniplan.cli.keeping import keep
from omniplan.cli.output import present
from omniplan.cli.progress import watched
from omniplan.cli.request import add_beside, add_context, add_headroom, add_slots, add_workload, request_of
from omniplan.cli.verbs import Verb, add_build, add_machine, add_model
from omniplan.documents.whole_file import write_whole
from omniplan.errors import ExitCode

if TYPE_CHECKING:
    from omniplan.tune.session import Tuned

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def _declare(command: argparse.ArgumentParser) -> None:
    add_model(command)
    add_machine(command)
    add_context(command)
    add_slots(command)
    add_beside(command)
    add_headroom(command)
    add_workload(command)
    add_build(command)
    command.add_argument("--budget", type=_duration, default=1800.0, metavar="T", help="as 30m, 2h; default 30m")
    command.add_argument(
        "--server", default="llama-server", metavar="CMD", help="command to start, default llama-server"
    )
    command.add_argument(
        "--bench", default="", metavar="CMD", help="a llama-bench to measure with, where it has words for a plan"
    )
    command.add_argument("--gguf", default="", metavar="FILE", help="model file, where MODEL is a header alone")
    command.add_argument(
        "--journal",
        metavar="FILE",
        help="file that keeps the runs, default MODEL.tune.jsonl here; it makes them resumable",
    )
    command.add_argument("--learned", metavar="FILE", help="write what the runs teach here, for plan --calibration")


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"expected a time such as 30m, 90s or 2h, got {text!r}")
    return float(match[1]) * _SECONDS[match[2] or "m"]


def _run(options: argparse.Namespace) -> int:
    from omniplan.tune.text import tuned_screen

    journal = Path(options.journal or f"{Path(options.model).stem}.tune.jsonl")
    with watched() as progress:
        tuned = api.tune(
            options.model,
            options.machine,
            request_of(options, n_ubatch=None),
            journal=journal,
            budget=options.budget,
            server=options.server,
            bench=options.bench,
            gguf=options.gguf,
            say=_say,
            progress=progress,
        )
    if options.learned:
        _write(tuned, Path(options.learned))
    keep(tuned)
    present(tuned_screen(tuned, options.gguf or options.model), options)
    return ExitCode.GOOD if tuned.best else ExitCode.BAD


def _write(tuned: Tuned, path: Path) -> None:
    if tuned.learned:
        write_whole(path, tuned.learned.to_toml())
    else:
        _say(f"note: nothing is written to {path}: {tuned.untaught or 'no plan ran'}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


VERBS: Final = (
    Verb(name="tune", help="run the plans that could win here, and learn from them", declare=_declare, run=_run),
)

"""The verb that writes a plan as the file one runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from omniplan import api
from omniplan.cli.output import show
from omniplan.cli.verbs import Verb, add_build
from omniplan.errors import ExitCode


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("plan", metavar="PLAN.json", help="a plan written by `omniplan plan --json`")
    command.add_argument(
        "--as",
        dest="as_",
        default="shell",
        metavar="FORMAT",
        help="argv, shell (default), models.conf, preset, llama-swap, compose, systemd, env or k8s",
    )
    command.add_argument("--section", metavar="ID", help="name of the section, model or service; default: the model's")
    command.add_argument("--into", metavar="FILE", help="replace or add the section in this file, nothing else")
    command.add_argument("-o", "--output", metavar="FILE", help="write a whole file instead of printing")
    command.add_argument("--model", metavar="PATH", help="where the model is on the machine that runs it")
    command.add_argument(
        "--host", metavar="HOST:PORT", help="what another host of the plan runs: rpc-server as shell, systemd, compose"
    )
    command.add_argument("--models-dir", metavar="DIR", help="the folder that a container sees as /models")
    add_build(command, default=None, usual="the plan's")
    command.add_argument("--ttl", type=int, default=0, metavar="S", help="llama-swap: unload after S idle seconds")


def _run(options: argparse.Namespace) -> int:
    from omniplan.api.documents import load_plan
    from omniplan.documents.text_file import read_text
    from omniplan.documents.whole_file import write_whole
    from omniplan.errors import InputError
    from omniplan.text.verdict import verdict_line

    if options.into and options.output:
        raise InputError("--into and -o: give one of them; --into changes a file, -o writes a new one")
    plan = load_plan(options.plan)
    is_there = bool(options.into) and Path(options.into).exists()
    text = api.emit(
        plan,
        format=options.as_,
        section=options.section,
        into=read_text(options.into) if is_there else None,
        model_path=options.model,
        models_dir=options.models_dir,
        llama_cpp=options.llama_cpp,
        ttl=options.ttl,
        host=options.host,
    )
    if options.as_ == "argv" and plan.environment:
        variables = " ".join(f"{name}={value}" for name, value in plan.environment.items())
        print(f"note: set {variables} for llama-server", file=sys.stderr)
    if missing := verdict_line(plan.footprint.unpriced, fits=plan.footprint.fits):
        print(f"note: {missing}", file=sys.stderr)
    path = options.into or options.output
    if path:
        write_whole(Path(path), text)
    else:
        show(text)
    return ExitCode.of(plan.footprint.fits)


VERBS: Final = (Verb(name="emit", help="write a plan as the file one runs", declare=_declare, run=_run),)

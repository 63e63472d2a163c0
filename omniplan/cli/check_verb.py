"""The verb that reads what people already have and says what is wrong with it."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import put, show
from omniplan.cli.verbs import Verb, add_build, add_json
from omniplan.errors import ExitCode, InputError


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", nargs="?", help="a script, configuration, build file or log")
    command.add_argument("--model", metavar="M", help="the GGUF file that the commands load, instead of the one named")
    command.add_argument("--machine", metavar="M", help="a profile (see `omniplan machines`) or a machine file")
    command.add_argument("--fix", action="store_true", help="print a unified diff of what can be mended")
    add_build(command, default=None, usual="the one of the image or folder that runs it")
    add_json(command)
    command.usage = (
        "omniplan check (FILE | -- <llama-server arguments>) [--model M] [--machine M] [--llama-cpp BUILD] [--fix]\n"
        "                      [--json]"
    )


def _run(options: argparse.Namespace) -> int:
    from omniplan.check.text import check_text

    if (options.file is None) == (not options.server_args):
        raise InputError("check: name a FILE, or write llama-server's arguments after --")
    source = options.server_args if options.file is None else options.file
    report = api.check(source, model=options.model, machine=options.machine, build=options.llama_cpp)
    if options.fix:
        put(report.diff)
    else:
        show(report.to_json() if options.json else check_text(report))
    return ExitCode.of(report.verdict)


VERBS: Final = (
    Verb(
        name="check",
        help="say what is wrong with arguments, scripts and configuration files",
        declare=_declare,
        run=_run,
        takes_server_args=True,
    ),
)

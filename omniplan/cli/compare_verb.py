"""The verb that takes several command lines, each after a ``--`` of its own."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import present, show
from omniplan.cli.request import add_workload, request_of
from omniplan.cli.verbs import Verb, add_build, add_json, add_machine, add_pasted_model, add_report, read_model
from omniplan.errors import ExitCode


def _declare(command: argparse.ArgumentParser) -> None:
    add_pasted_model(command)
    add_machine(command)
    add_workload(command)
    add_build(command)
    add_report(command)
    add_json(command)
    command.usage = (
        "omniplan compare [MODEL] [--machine M] [--n-prompt N] [--n-gen N] [--llama-cpp BUILD] "
        "[--report FILE] [--json] -- <command or arguments> [-- <command or arguments>]..."
    )


def _run(options: argparse.Namespace) -> int:
    from omniplan.planning.text_comparison import comparison_screen

    request = request_of(options)
    found = api.compare(
        read_model(options.model) if options.model else None,
        options.machine,
        options.server_groups,
        n_prompt=request.n_prompt,
        n_gen=request.n_gen,
        build=options.llama_cpp,
    )
    if options.report:
        api.write_report(api.report(found, machine=options.machine), options.report)
    show(found.to_json()) if options.json else present(comparison_screen(found), options)
    return ExitCode.of(found.fits)


VERBS: Final = (
    Verb(
        name="compare",
        help="price any llama-server command lines side by side",
        declare=_declare,
        run=_run,
        takes_server_args=True,
        takes_groups=True,
    ),
)

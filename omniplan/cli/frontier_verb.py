"""The verb that plans a grid: what context, cache type, micro-batch and slots trade against speed."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from omniplan import api
from omniplan.cli.output import present, show
from omniplan.cli.progress import watched
from omniplan.cli.request import add_beside, add_headroom, add_workload, each_n_tokens, request_of
from omniplan.cli.verbs import Verb, add_build, add_machine, add_model, add_report, read_model
from omniplan.errors import ExitCode


def _words(text: str) -> list[str]:
    return text.split(",")


def _declare(command: argparse.ArgumentParser) -> None:
    add_model(command)
    add_machine(command)
    command.add_argument(
        "--ctx",
        dest="contexts",
        type=each_n_tokens,
        metavar="N,N",
        help="contexts, default: powers of two from 4096 to the training context",
    )
    command.add_argument(
        "--cache-type",
        dest="types",
        type=_words,
        default=["f16", "q8_0"],
        metavar="T,T",
        help="types of the K and V cache, default f16,q8_0",
    )
    command.add_argument(
        "--ubatch",
        dest="ubatches",
        type=each_n_tokens,
        default=[512, 2048],
        metavar="N,N",
        help="micro-batches, default 512,2048",
    )
    command.add_argument(
        "--parallel", dest="parallels", type=each_n_tokens, default=[1], metavar="N,N", help="slots, default 1"
    )
    add_beside(command)
    add_build(command)
    add_headroom(command)
    add_workload(command)
    command.add_argument("--plot", metavar="FILE", help="also draw tokens/s over context into an .svg or .png file")
    add_report(command)
    command.add_argument("--json", action="store_true", help="print JSON; its schema: `omniplan schema frontier`")


def _run(options: argparse.Namespace) -> int:
    from omniplan.planning.plot import check_plot, write_plot
    from omniplan.planning.text_frontier import frontier_screen

    if options.plot:
        check_plot(options.plot)
    model = read_model(options.model)
    with watched() as progress:
        found = api.frontier(
            model,
            options.machine,
            request_of(options),
            contexts=options.contexts,
            cache_types=options.types,
            ubatches=options.ubatches,
            parallels=options.parallels,
            progress=progress,
        )
    if options.plot and found.fits is not False:
        write_plot(found, options.plot)
    elif options.plot:
        print(f"note: nothing fits, {options.plot} is not written", file=sys.stderr)
    if options.report:
        api.write_report(api.report(found, model=model), options.report)
    show(found.to_json()) if options.json else present(frontier_screen(found), options)
    return ExitCode.of(found.fits)


VERBS: Final = (
    Verb(name="frontier", help="say what context, cache and batches cost in speed", declare=_declare, run=_run),
)

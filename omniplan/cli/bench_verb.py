"""The verb that measures a running server: progress on stderr, verdict as exit code, a report as text and Markdown."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omniplan import api
from omniplan.cli.files import add_output
from omniplan.cli.keeping import keep
from omniplan.cli.output import show
from omniplan.cli.progress import watched
from omniplan.cli.request import each_n_tokens, n_bytes, n_tokens
from omniplan.cli.verbs import Verb, add_json
from omniplan.documents.whole_file import write_whole
from omniplan.errors import InputError

if TYPE_CHECKING:
    from omniplan.bench.protocol import BenchProtocol, ServerStart
    from omniplan.bench.values import BenchReport, SmokeReport
    from omniplan.domain.plan import Plan


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("url", nargs="?", metavar="URL", help="an OpenAI-compatible server, as http://127.0.0.1:8080")
    command.add_argument("--launch", metavar="PLAN.json", help="start the plan's server, benchmark it, and stop it")
    command.add_argument("--judge", metavar="REPORT.json", help="judge a saved report again instead of measuring")
    command.add_argument("--show-gates", action="store_true", help="print the shipped gates as a file to change")
    command.add_argument("--plan", metavar="PLAN.json", help="compare with this plan (--launch brings its own)")
    command.add_argument("--gates", metavar="FILE", help="gates to judge by, default: the shipped ones")
    command.add_argument("--smoke", action="store_true", help="only check that every model answers, as after an update")
    command.add_argument("--models", metavar="FILE", help="models.conf whose sections --smoke asks for")
    command.add_argument("--model", default="", metavar="NAME", help="the model to ask for, default: the first listed")
    add_output(command, "also write the report here, as Markdown")
    _declare_protocol(command)
    _declare_launch(command)
    add_json(command)


def _declare_protocol(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--lengths", type=each_n_tokens, default=(), metavar="N,N", help="tokens of the prompts, default 32,160,1024"
    )
    command.add_argument("--n-gen", type=n_tokens, default=0, metavar="N", help="tokens of an answer, default 128")
    command.add_argument("--runs", type=int, default=3, metavar="N", help="requests per length and mode, default 3")
    command.add_argument("--warmup", type=int, default=1, metavar="N", help="requests that do not count, default 1")
    command.add_argument("--timeout", type=_positive, default=600, metavar="S", help="seconds an attempt may take, 600")
    command.add_argument("--retries", type=int, default=2, metavar="N", help="attempts after a failed one, default 2")
    command.add_argument(
        "--vram-budget", type=n_bytes, metavar="MIB", help="MiB that each GPU may use, or a size such as 20g"
    )
    command.add_argument("--api-key-env", default="", metavar="VAR", help="environment variable with the server's key")


def _declare_launch(command: argparse.ArgumentParser) -> None:
    command.add_argument("--server", default="llama-server", metavar="CMD", help="command for --launch")
    command.add_argument("--gguf", default="", metavar="FILE", help="model file, where it is not at the plan's path")
    command.add_argument("--log", default="", metavar="FILE", help="file for the started server's output")
    command.add_argument("--wait", type=_positive, default=600, metavar="S", help="seconds its loading may take, 600")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def _check(options: argparse.Namespace) -> None:
    """Refuse before anything is measured what could not be done afterwards."""
    if sum((bool(options.url), bool(options.launch), bool(options.judge), options.show_gates)) != 1:
        raise InputError("bench: give one of URL, --launch PLAN.json, --judge REPORT.json and --show-gates")
    if options.plan and not options.url:
        raise InputError("--plan: goes with a URL; --launch brings its own plan, and a saved report has been compared")
    if options.models and not options.smoke:
        raise InputError("--models: goes with --smoke; add that, or leave it out")


def _run(options: argparse.Namespace) -> int:
    _check(options)
    if options.show_gates:
        from omniplan.bench.gate_table import shipped_text

        return show(shipped_text())
    if options.judge:
        return _give_bench(api.judge(options.judge, options.gates), options)
    return _smoke(options) if options.smoke else _bench(options)


def _bench(options: argparse.Namespace) -> int:
    with watched() as progress:
        report = api.bench(
            _target(options),
            protocol=_protocol(options),
            plan=_plan(options.plan) if options.plan else None,
            gates=options.gates,
            served=options.model,
            vram_budget=options.vram_budget,
            api_key=_api_key(options),
            progress=progress,
            say=_say,
        )
    if options.launch and not report.stopped:
        keep(report, _plan(options.launch))
    return _give_bench(report, options)


def _smoke(options: argparse.Namespace) -> int:
    models = _sections(options.models) if options.models else ((options.model,) if options.model else ())
    with watched() as progress:
        report = api.smoke(
            _target(options),
            served=models,
            protocol=_protocol(options),
            api_key=_api_key(options),
            progress=progress,
            say=_say,
        )
    return _give_smoke(report, options)


def _give_bench(report: BenchReport, options: argparse.Namespace) -> int:
    from omniplan.bench.gates import GateVerdict
    from omniplan.bench.text import bench_markdown, bench_text

    show(report.to_json() if options.json else bench_text(report))
    if options.output:
        write_whole(Path(options.output), bench_markdown(report))
    return 0 if report.verdict is GateVerdict.GO else 1


def _give_smoke(report: SmokeReport, options: argparse.Namespace) -> int:
    from omniplan.bench.text import smoke_markdown, smoke_text

    show(report.to_json() if options.json else smoke_text(report))
    if options.output:
        write_whole(Path(options.output), smoke_markdown(report))
    return 0 if report.passed else 1


def _target(options: argparse.Namespace) -> str | ServerStart:
    from omniplan.bench.protocol import ServerStart

    if options.url:
        return str(options.url)
    return ServerStart(
        plan=_plan(options.launch), server=options.server, gguf=options.gguf, log=options.log, wait=options.wait
    )


def _plan(path: str) -> Plan:
    from omniplan.api.documents import load_plan

    return load_plan(path)


def _protocol(options: argparse.Namespace) -> BenchProtocol:
    from omniplan.bench.protocol import BenchProtocol

    return BenchProtocol(
        lengths=tuple(options.lengths),
        n_gen=options.n_gen,
        runs=options.runs,
        warmups=options.warmup,
        timeout=options.timeout,
        retries=options.retries,
    )


def _sections(path: str) -> tuple[str, ...]:
    """Ids of a models.conf, each once."""
    from omniplan.documents.text_file import read_utf8
    from omniplan.formats.models_conf import parse

    found = tuple(dict.fromkeys(section.id for section in parse(read_utf8(path)).sections))
    if not found:
        raise InputError(f"{path}: has no sections; a model's section begins with a line [id]")
    return found


def _api_key(options: argparse.Namespace) -> str:
    if options.api_key_env and options.api_key_env not in os.environ:
        raise InputError(f"--api-key-env: there is no environment variable {options.api_key_env}; export it first")
    return os.environ[options.api_key_env] if options.api_key_env else ""


def _say(text: str) -> None:
    print(text, file=sys.stderr)


VERBS: Final = (
    Verb(name="bench", help="measure a running server, against gates and a plan", declare=_declare, run=_run),
)

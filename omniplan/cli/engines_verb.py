"""The verb that weighs inference engines for a model and a machine."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan import api
from omniplan.cli.output import present, show
from omniplan.cli.request import add_context, request_of
from omniplan.cli.verbs import Verb, add_build, add_json, add_machine, add_model, read_model
from omniplan.errors import InputError


def _declare(command: argparse.ArgumentParser) -> None:
    add_model(command)
    add_machine(command)
    command.add_argument(
        "--site",
        action="append",
        default=[],
        metavar="S",
        help="facts of the host: a shipped name, a .toml file, or key=value such as cuda=12.8; may be repeated",
    )
    command.add_argument("--as-of", metavar="DAY", help="only facts recorded by that day, such as 2026-01-23")
    command.add_argument(
        "--engine-version", action="append", default=[], metavar="E=V", help="weigh this version, such as vllm=0.13.0"
    )
    add_context(command)
    add_build(command)
    add_json(command)


def _run(options: argparse.Namespace) -> int:
    from omniplan.engines.text import engines_screen
    from omniplan.engines.values import Viability

    found = api.weigh_engines(
        read_model(options.model),
        options.machine,
        request_of(options),
        site=options.site,
        as_of=options.as_of,
        versions=dict(_version(text) for text in options.engine_version),
    )
    show(found.to_json()) if options.json else present(engines_screen(found), options)
    return 0 if any(item.verdict is not Viability.BLOCKED for item in found.engines) else 1


def _version(text: str) -> tuple[str, str]:
    engine, sign, version = text.partition("=")
    if not sign:
        raise InputError(f"--engine-version {text}: expected ENGINE=VERSION, such as vllm=0.13.0")
    return engine, version


VERBS: Final = (
    Verb(name="engines", help="weigh other inference engines from dated facts", declare=_declare, run=_run),
)

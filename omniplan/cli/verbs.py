"""The verbs: what each takes, and the call it makes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from omniplan import api
from omniplan.api.command import given
from omniplan.api.source import machine_of
from omniplan.cli.output import present, show
from omniplan.cli.progress import watched
from omniplan.domain.defaults import DEFAULT_BUILD, THIS_HOST
from omniplan.errors import ExitCode

if TYPE_CHECKING:
    from omniplan.api.source import ModelSource

_MODEL_HELP: Final = (
    "a GGUF file, any shard of a set, a header-only file, an https:// address, hf:OWNER/REPO:QUANT, or ollama:NAME:TAG"
)
_MACHINE_HELP: Final = (
    "a profile (see `omniplan machines`), a machine file, or words: '2x RTX 3090, 64 GB'; this host where left out"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb of the command.

    ``takes_server_args`` says that llama-server's arguments may follow ``--``, ``takes_groups``
    that further sets may follow further ones.
    """

    name: str
    help: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    takes_server_args: bool = False
    takes_groups: bool = False


def version() -> str:
    """Our own version."""
    import omniplan

    return omniplan.__version__


def add_model(command: argparse.ArgumentParser) -> None:
    """The model to read."""
    command.add_argument("model", metavar="MODEL", help=_MODEL_HELP)


def read_model(place: str) -> ModelSource:
    """The model to read; one that lies elsewhere is read here, where a person sees how far that is."""
    from omniplan.gguf.place import is_path

    if is_path(place):
        return place
    with watched() as progress:
        return api.load_model(place, progress=progress)


def read_pasted_model(options: argparse.Namespace) -> ModelSource | None:
    """The model to read: MODEL, else the one that the command behind ``--`` names, if it does."""
    place = options.model or given(options.server_args).model
    return read_model(place) if place else None


def add_pasted_model(command: argparse.ArgumentParser) -> None:
    """The model to read, where the command behind ``--`` does not name it."""
    command.add_argument(
        "model", metavar="MODEL", nargs="?", help=f"{_MODEL_HELP}; left out where the command after -- names it"
    )


def add_machine(command: argparse.ArgumentParser) -> None:
    """The machine to plan for."""
    command.add_argument("--machine", metavar="M", default=THIS_HOST, help=_MACHINE_HELP)


def add_build(command: argparse.ArgumentParser, *, default: int | None = DEFAULT_BUILD, usual: str = "") -> None:
    """The llama.cpp that is meant; ``usual`` says which one where ``default`` is None."""
    command.add_argument(
        "--llama-cpp",
        default=default,
        metavar="BUILD",
        help="the llama.cpp that is meant: a release such as b10505, an image's tag that ends with one, "
        f"auto (the llama-server here) or 'latest known'; default {usual or f'b{default}'}",
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """The choice between text and JSON."""
    command.add_argument("--json", action="store_true", help="print JSON; its schema: `omniplan schema`")


def add_report(command: argparse.ArgumentParser) -> None:
    """The file that shows the answer."""
    command.add_argument(
        "--report",
        metavar="FILE",
        help="also write FILE.html, one page to look at: bars, layers, times, curves; it needs no network",
    )


def add_look(command: argparse.ArgumentParser) -> None:
    """How much is shown, and whether in colours."""
    command.add_argument("-v", "--verbose", action="count", default=0, help="show tables too; -vv everything")
    command.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colours; auto on a terminal alone"
    )


def _declare_inspect(command: argparse.ArgumentParser) -> None:
    add_model(command)
    add_json(command)


def _inspect(options: argparse.Namespace) -> int:
    from omniplan.text.inspection import inspection_screen

    facts = api.inspect(read_model(options.model))
    return show(facts.to_json()) if options.json else present(inspection_screen(facts), options)


def _declare_footprint(command: argparse.ArgumentParser) -> None:
    add_pasted_model(command)
    add_machine(command)
    add_build(command)
    add_json(command)
    command.usage = "omniplan footprint [MODEL] [--machine M] [--llama-cpp BUILD] [--json] -- <command or arguments>"


def _footprint(options: argparse.Namespace) -> int:
    from omniplan.machines.probe.advice import spill_advice
    from omniplan.text.footprint import footprint_screen

    machine = machine_of(options.machine)
    priced = api.footprint(read_pasted_model(options), machine, options.server_args, build=options.llama_cpp)
    told = [item.statement for item in spill_advice(machine, priced.shortfall)]
    show(priced.to_json()) if options.json else present(footprint_screen(priced, told=told), options)
    return ExitCode.of(priced.fits)


def _declare_fit(command: argparse.ArgumentParser) -> None:
    add_pasted_model(command)
    add_machine(command)
    add_build(command)
    add_json(command)
    command.usage = "omniplan fit [MODEL] [--machine M] [--llama-cpp BUILD] [--json] [-- <command or arguments>]"


def _fit(options: argparse.Namespace) -> int:
    from omniplan.text.footprint import fit_screen

    machine = machine_of(options.machine)
    build = options.llama_cpp
    model = read_pasted_model(options)
    chosen = api.fit(model, machine, options.server_args, build=build)
    if options.json:
        show(chosen.to_json())
    else:
        asked = given(options.server_args)
        args = [*asked.args, *chosen.args]
        priced = api.footprint(model or asked.model, asked.seen(machine), args, env=asked.env, build=build)
        present(fit_screen(chosen, priced), options)
    return ExitCode.of(chosen.fits)


def _declare_explain(command: argparse.ArgumentParser) -> None:
    command.add_argument("plan", metavar="PLAN.json", help="a plan written by `omniplan plan --json`")
    add_json(command)


def _explain(options: argparse.Namespace) -> int:
    from omniplan.api.documents import load_plan
    from omniplan.planning.text_plan import plan_screen

    plan = load_plan(options.plan)
    show(plan.to_json()) if options.json else present(plan_screen(plan), options)
    return ExitCode.of(plan.footprint.fits)


def _machines(options: argparse.Namespace) -> int:
    import json

    from omniplan.machines.files import load_machine, profiles, shipped
    from omniplan.text.inspection import machines_screen

    machines = {name: load_machine(name) for name in profiles()}
    if options.json:
        return show(json.dumps([machine.to_dict() for machine in machines.values()], indent=2, ensure_ascii=False))
    own = [f"{name}: {path}" for name, path in profiles().items() if shipped().get(name) != path]
    return present(machines_screen(machines, own), options)


def _declare_schema(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name", metavar="NAME", help="plan, footprint, verification, machine, ...; a wrong one lists them"
    )
    command.add_argument("--json", action="store_true", help="a schema is JSON already")


def _schema(options: argparse.Namespace) -> int:
    import json

    from omniplan.api.documents import schema

    return show(json.dumps(schema(options.name), indent=2))


VERBS: Final = (
    Verb(name="inspect", help="say what a model file holds", declare=_declare_inspect, run=_inspect),
    Verb(
        name="footprint",
        help="price given llama-server arguments",
        declare=_declare_footprint,
        run=_footprint,
        takes_server_args=True,
    ),
    Verb(
        name="fit",
        help="say what llama.cpp's --fit would choose by itself",
        declare=_declare_fit,
        run=_fit,
        takes_server_args=True,
    ),
    Verb(name="explain", help="give the reasons of a saved plan again", declare=_declare_explain, run=_explain),
    Verb(name="machines", help="list the machine profiles, shipped and your own", declare=add_json, run=_machines),
    Verb(name="schema", help="print the JSON Schema of a document", declare=_declare_schema, run=_schema),
)

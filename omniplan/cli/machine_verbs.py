"""The verbs that make machine files: probe this host, read what others saved, describe one in words, measure."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Final

from omniplan.cli.files import add_output, deliver
from omniplan.cli.progress import watched
from omniplan.cli.verbs import Verb
from omniplan.errors import InputError

if TYPE_CHECKING:
    from omniplan.domain.machine import Machine

_SOURCES: Final = (
    "instead of this host: what lstopo, nvidia-smi, rocm-smi, amd-smi, vulkaninfo, system_profiler, sysctl or "
    "PowerShell's CIM printed there (- is standard input), a machine file, or a synthetic topology such as "
    '"pack:1 numa:4 core:8 pu:2"; repeat to join several'
)


def _output(command: argparse.ArgumentParser) -> None:
    add_output(command, "write the machine file here instead of printing it")
    command.add_argument("--name", default="", help="what to call the machine")
    command.add_argument("--json", action="store_true", help="print JSON; its schema: `omniplan schema machine`")


def _declare_probe(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        metavar="SOURCE",
        help=_SOURCES,
    )
    _output(command)


def _probe(options: argparse.Namespace) -> int:
    from omniplan import api

    return _give(api.probe(*options.sources, name=options.name), options)


def _declare_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("words", metavar="WORDS", help='such as "RTX 4090 + RTX 5070 Ti, Ryzen 7 5800X3D, 64 GB"')
    _output(command)


def _machine(options: argparse.Namespace) -> int:
    from omniplan.machines.probe.words import machine_from_words

    return _give(machine_from_words(options.words, name=options.name), options)


def _declare_calibrate(command: argparse.ArgumentParser) -> None:
    command.add_argument("machine", nargs="?", metavar="FILE", help="a machine file of this host; default: probe it")
    command.add_argument(
        "--llama-bench", metavar="JSON", help="instead of measuring: constants from what `llama-bench -o json` printed"
    )
    command.add_argument(
        "--log", nargs="+", action="extend", metavar="LOG", help="instead of measuring: learn from logs of llama-server"
    )
    command.add_argument(
        "--records", metavar="PATH", help="instead of measuring: constants from measurements, a file or a folder"
    )
    command.add_argument("--nvidia-smi", metavar="CSV", help="memory in use during the one run of --log")
    command.add_argument("--model", metavar="MODEL", help="the model that ran, with --llama-bench, --records or --log")
    _output(command)


def _calibrate(options: argparse.Namespace) -> int:
    if options.llama_bench or options.records or options.log:
        return _from_runs(options)
    if options.server_args:
        raise InputError(
            f"{options.server_args[0]}: llama-server's arguments belong to --log; add that, or leave them out"
        )
    from omniplan.api.source import machine_of
    from omniplan.machines.probe.bandwidth import calibrate
    from omniplan.machines.probe.gpu_bandwidth import calibrate_gpus, installed_torch
    from omniplan.machines.probe.systems import this_host

    machine = machine_of(options.machine) if options.machine else this_host(options.name)
    with watched() as progress:
        measured = calibrate(machine, progress=progress)
    rates = measured.memory
    print(f"memory: {rates.value / 1e9:.1f} GB/s, middle runs within {rates.spread:.0%}", file=sys.stderr)
    for index, node in measured.nodes.items():
        print(f"node {index}: {node.value / 1e9:.1f} GB/s, middle runs within {node.spread:.0%}", file=sys.stderr)
    machine = measured.applied_to(machine)
    torch = installed_torch() if machine.gpus else None
    return _give(machine if torch is None else calibrate_gpus(machine, torch), options)


def _from_runs(options: argparse.Namespace) -> int:
    """What runs teach, as a file that ``omniplan plan`` takes."""
    from omniplan import api

    learned = api.calibrate(
        options.log or (),
        llama_bench=options.llama_bench,
        records=options.records,
        model=options.model,
        machine=options.machine,
        args=options.server_args,
        nvidia_smi=options.nvidia_smi,
    )
    return deliver(learned.to_toml(), options.output)


def _give(machine: Machine, options: argparse.Namespace) -> int:
    from omniplan.machines.files import machine_toml

    for note in machine.notes:
        print(f"note: {note}", file=sys.stderr)
    as_json = options.json and not options.output
    text = json.dumps(machine.to_dict(), indent=2, ensure_ascii=False) if as_json else machine_toml(machine)
    return deliver(text, options.output)


VERBS: Final = (
    Verb(name="probe", help="describe this host, or one that others saved", declare=_declare_probe, run=_probe),
    Verb(name="machine", help="make a machine file from words", declare=_declare_machine, run=_machine),
    Verb(
        name="calibrate",
        help="measure this host's bandwidths, or learn from its runs",
        declare=_declare_calibrate,
        run=_calibrate,
        takes_server_args=True,
    ),
)

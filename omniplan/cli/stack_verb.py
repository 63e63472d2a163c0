"""The verb that places several models on one machine, and writes what runs them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omniplan import api
from omniplan.cli.files import add_output
from omniplan.cli.output import present, show
from omniplan.cli.progress import watched
from omniplan.cli.request import add_context
from omniplan.cli.said import said
from omniplan.cli.verbs import Verb, add_build, add_json, add_machine, add_report
from omniplan.errors import ExitCode

if TYPE_CHECKING:
    from omniplan.stack.values import Stack

# What -o writes, by format; that one of them cannot hold the stack is an error only where it was asked for.
_FILES: Final = {
    "table": "stack.txt",
    "models.conf": "models.conf",
    "preset": "preset.ini",
    "llama-swap": "llama-swap.yaml",
    "compose": "compose.yaml",
}


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "stack",
        metavar="STACK.toml",
        nargs="+",
        help="a stack file: models, groups and a budget; or models that take turns, each with the machine to itself",
    )
    add_machine(command)
    add_context(command)
    add_build(command, default=None, usual="the stack file's, else b11434")
    command.add_argument(
        "--as", dest="as_", metavar="FORMAT", help="table (default), models.conf, preset, llama-swap or compose"
    )
    add_output(command, "write every format, or the one of --as, and every plan into this folder", metavar="DIR")
    command.add_argument("--models-dir", metavar="DIR", help="the folder that a container sees as /models")
    command.add_argument("--ttl", type=int, default=0, metavar="S", help="llama-swap: unload after S idle seconds")
    add_report(command)
    add_json(command)


def _run(options: argparse.Namespace) -> int:
    from omniplan.stack.text import stack_screen

    with watched() as progress:
        found = api.stack(
            _source(options.stack),
            options.machine,
            n_ctx=getattr(options, "n_ctx", None),
            build=options.llama_cpp,
            progress=progress,
        )
    if options.report:
        api.write_report(api.report(found), options.report)
    if options.output:
        _write(found, options)
    if options.json:
        show(found.to_json())
    elif not options.output and options.as_ in (None, "table"):
        present(stack_screen(found), options)
    elif not options.output:
        show(_text(found, options.as_, options))
    return ExitCode.of(found.fits)


def _source(places: list[str]) -> str | list[str]:
    """The stack file, or models."""
    from omniplan.errors import InputError

    is_file = [place == "-" or place.endswith(".toml") for place in places]
    if any(is_file) and len(places) > 1:
        raise InputError("one stack file, or models: not both and not several; name the models in the file")
    return places[0] if any(is_file) else places


def _text(found: Stack, name: str, options: argparse.Namespace) -> str:
    return api.emit_stack(found, format=name, models_dir=options.models_dir, ttl=options.ttl)


def _write(found: Stack, options: argparse.Namespace) -> None:
    """Every file is made before the first is written, and replaced as a whole."""
    from omniplan.documents.whole_file import write_whole
    from omniplan.errors import InputError

    texts = dict(_texts(found, options))
    texts |= {f"{member.name}.json": member.plan.to_json() + "\n" for member in found.members}
    folder = Path(options.output)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"-o {folder}: cannot be made: {error.strerror}") from error
    there = [name for name in texts if (folder / name).exists()]
    if there and not options.force:
        raise InputError(f"-o {folder}: has {', '.join(there)} already; add --force to write over them")
    for name, text in texts.items():
        write_whole(folder / name, text)


def _texts(found: Stack, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Files by name: the format of --as, or every one that can hold the stack."""
    from omniplan.errors import InputError

    if options.as_:
        yield _FILES.get(options.as_, options.as_), _text(found, options.as_, options)
        return
    for name in _FILES if found.members else ["table"]:
        try:
            yield _FILES[name], _text(found, name, options)
        except InputError as error:
            print(f"note: {_FILES[name]} is left out: {said(error)}", file=sys.stderr)


VERBS: Final = (Verb(name="stack", help="place several models on one machine together", declare=_declare, run=_run),)

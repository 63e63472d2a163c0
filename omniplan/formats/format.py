"""What a file format is: how launches are written, and how its own reader reads them back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from omniplan.errors import InputError
from omniplan.formats.command import Command
from omniplan.formats.launch import Launch, printable
from omniplan.llamacpp.flags.args import Flag, read_flags

# Where containers see the folder that holds the models.
MODELS: Final = "/models"


# What a section may be called where its format says nothing of its own.
PLAIN_IDS: Final = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a file needs to know beside the plan.

    ``models_dir`` is the host's folder that containers see as ``/models``; None is the nearest folder named ``models``
    above the model, else the model's own. ``ttl`` is seconds of idling after which llama-swap unloads, 0 for never.
    """

    models_dir: str | None = None
    ttl: int = 0

    def __post_init__(self) -> None:
        if self.ttl < 0:
            raise InputError("expected seconds of idling, 0 for never", field="ttl", value=self.ttl)


def _as_it_is(item: Launch, options: Options) -> Launch:  # noqa: ARG001 - the shape of every format's prepare
    return item


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format.

    ``ids`` is what a section of it may be called. ``write`` makes a whole file of launches that ``prepare`` adapted;
    ``put`` places one in the text of a file, where the format has several in one. ``read`` is its reader. ``is_exact``
    says that the arguments come back as they are, not merely with the same effect; ``carries_environment`` that
    variables come back too. ``files`` is found in the names of its files, in small letters; a format
    without it has files that ``check`` knows by more than their names.
    """

    name: str
    ids: re.Pattern[str] = PLAIN_IDS
    write: Callable[[Sequence[Launch], Options], str]
    read: Callable[[str], Sequence[Command]]
    prepare: Callable[[Launch, Options], Launch] = _as_it_is
    put: Callable[[str, Launch, Options], str] | None = None
    files: re.Pattern[str] | None = None
    is_exact: bool = True
    carries_environment: bool = True


def only(items: Sequence[Launch], what: str) -> Launch:
    """The one launch of a file that holds no second; raises InputError for more or none."""
    if len(items) != 1:
        raise InputError(f"{what} holds one model, not {len(items)}; write one file each")
    return items[0]


def _folder(files: Sequence[str], options: Options) -> PurePosixPath:
    """The host's folder of models."""
    if options.models_dir is not None:
        return PurePosixPath(options.models_dir)
    holders = [folder for folder in PurePosixPath(files[0]).parents if _holds(folder, files)]
    named = (folder for folder in holders if folder.name == "models")
    return next(named, holders[0] if holders else PurePosixPath(files[0]).parent)


def _holds(folder: PurePosixPath, files: Sequence[str]) -> bool:
    return all(folder in PurePosixPath(file).parents for file in files)


def _mounted(file: str, folder: PurePosixPath) -> str:
    """Where a container sees ``file``."""
    path = PurePosixPath(file)
    if folder not in path.parents:
        raise InputError(
            f"model {printable(file)}: not below the models folder {printable(str(folder))}; "
            f"name another with --models-dir"
        )
    inside = path.relative_to(folder)
    if ".." in inside.parts:
        raise InputError(f"model {printable(file)}: its path leaves the models folder; give it without ..")
    return f"{MODELS}/{inside}"


def _files(flag: Flag) -> Sequence[str]:
    """Files that a flag names."""
    return [file for value in flag.values for file in value.split(",")] if flag.row.is_file else []


def in_container(item: Launch, options: Options) -> Launch:
    """The launch with the model, and what stands beside it, where a container sees them.

    Raises InputError when no folder holds them.
    """
    flags = list(read_flags(item.args))
    folder = _folder([item.model, *(file for flag in flags for file in _files(flag))], options)
    args: list[str] = []
    for flag in flags:
        inside = ",".join(_mounted(file, folder) for file in _files(flag))
        args += [flag.name, inside] if inside else flag.args
    return replace(item.with_args(*args), folder=str(folder), inside=_mounted(item.model, folder))

"""What a reader finds in a file: commands, and texts that are files of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from omniplan.formats.command import Command
from omniplan.formats.traced import Traced


@dataclass(frozen=True, slots=True)
class Written:
    """A text that stands in a file and is the file ``name``."""

    name: str
    text: Traced


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a file starts and holds."""

    commands: tuple[Command, ...] = ()
    files: tuple[Written, ...] = ()


def together(parts: Iterable[Contents]) -> Contents:
    """What several parts hold."""
    found = list(parts)
    return Contents(
        tuple(command for part in found for command in part.commands),
        tuple(file for part in found for file in part.files),
    )

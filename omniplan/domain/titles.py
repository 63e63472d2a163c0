"""What people call a machine: its name, or the words it was made from."""

from __future__ import annotations

import re
from typing import Final

from omniplan.domain.machine import Machine

# A name is a file's name too.
_LONGEST: Final = 60


def name_of(words: str) -> str:
    """The name of a machine in words: letters and digits with hyphens between."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:_LONGEST]


def title_of(machine: Machine) -> str:
    """Its name; the words themselves where the name was only made from them."""
    return machine.description if machine.name == name_of(machine.description) else machine.name

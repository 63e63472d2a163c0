"""docs/architecture.md shows the rooms as they are."""

from __future__ import annotations

import re

from tests.contracts.architecture_page import PAGE, page
from tests.contracts.sources import ROOT
from tests.contracts.test_layers import LAYERS

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_picture_is_current() -> None:
    """The picture is the layer list's; renew it with `python -m tests.contracts.architecture_page --write`."""
    assert page(TEXT) == TEXT


def test_every_room_has_its_paragraph() -> None:
    """A room of the layer list is a bold word that begins a paragraph, in the list's own order."""
    rooms = [name for layer in LAYERS for name in layer if name != "__main__"]
    told = re.findall(r"^\*\*`(\w+)`\*\*", TEXT, re.MULTILINE)

    assert sorted(rooms) == sorted(told)


def test_named_files_exist() -> None:
    """Every path of the package that the page names is there."""
    paths = re.findall(r"`((?:omniplan|data|tests|docs)/[\w./]+)`", TEXT)

    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []

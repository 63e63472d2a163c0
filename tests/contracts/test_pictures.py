"""Pictures of the documents show what the commands answer today."""

from __future__ import annotations

import os
from xml.etree import ElementTree as ET

import pytest

from docs.making.pictures import FOLDER, PICTURES, Picture

if os.name != "posix":
    pytest.skip("pictures are of a POSIX terminal", allow_module_level=True)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_of_today(picture: Picture) -> None:
    """Renew the documents with ``python -m tests.contracts.transcripts --write``, and look at the pictures."""
    assert picture.is_of_today()


def test_pictures_are_svg_that_loads_nothing() -> None:
    """Each is well-formed, and names no address but of a namespace: a page that shows it asks no other host."""
    for picture in PICTURES:
        tree = ET.parse(picture.path)  # noqa: S314 - our own file
        text = picture.path.read_text(encoding="utf-8")

        assert tree.getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert ("url(http" in text, "@font-face" in text, "@import" in text) == (False, False, False)


def test_every_picture_has_its_command() -> None:
    """Nothing lies in the folder that no command draws."""
    assert {path.stem for path in FOLDER.glob("*.svg")} == {picture.name for picture in PICTURES}

"""Site facts: files, names and key=value texts, later ones first; unknown stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniplan.engines.site import Site, load_site
from omniplan.errors import InputError


def test_nothing_said_is_nothing_known() -> None:
    """But for the sandbox: there is one only where it is named."""
    assert Site() == load_site([])
    assert {"sandbox": "none"} == Site().shown


def test_later_ones_win(tmp_path: Path) -> None:
    """A shipped site, a file over it, a text over that."""
    path = tmp_path / "mine.toml"
    path.write_text('kernel = "6.14.0"\ndisk_free_gb = 900\n')
    site = load_site(["omni", str(path), "weights=gguf,fp8", "sched_ext=true"])

    assert ("13.0", "6.14.0") == (site.cuda, site.kernel)
    assert 900 * 10**9 == site.disk_free
    assert (("gguf", "fp8"), True) == (site.weights, site.sched_ext)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("cuda=twelve", 'site.cuda: expected a form like "12.8"'),
        ("weights=int3", r"site.weights\[0\]: expected one of"),
        ("disk_free_gb=lots", "site.disk_free_gb: expected a number"),
        ("sched_ext=maybe", "site.sched_ext: expected true or false"),
        ("colour=red", "site.colour: unknown key; known are cuda, disk_free_gb, driver, kernel"),
        ("sandbox=", "site.sandbox: expected a value"),
        ("nowhere", "no shipped site of that name"),
        ("nowhere.toml", "cannot be read"),
    ],
)
def test_bad_input_names_the_key(given: str, says: str) -> None:
    """One line with the way out."""
    with pytest.raises(InputError, match=says):
        load_site([given])

"""Tensor tables of other quants: those of the whole header, wherever they lie nearby, or one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniplan.errors import HeaderError
from omniplan.gguf.location import Located
from omniplan.gguf.reader import Shard, read_shard
from omniplan.gguf.sibling import read_sibling
from tests.file_server import Site, serving_files
from tests.headers import make_header

TYPES = ("f32", "f16", "q8_0", "q4_K", "iq2_xs")


def table(kinds: list[str]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(f"blk.{il}.attn_k.weight", kind, (256, 1 + il)) for il, kind in enumerate(kinds)]


def served(site: Site, kinds: list[str], words: int) -> str:
    """A file of zeros behind the header of these tensors, with so many bytes more metadata."""
    header = make_header({"general.name": "m", "note": "x" * words}, table(kinds))
    size = sum({"f32": 1024, "f16": 512, "q8_0": 272, "q4_K": 144, "iq2_xs": 74}[kind] * (1 + il)
               for il, kind in enumerate(kinds[-1:], len(kinds) - 1))  # fmt: skip
    path = f"/{len(site.files)}.gguf"
    site.files[path], site.sizes[path] = header, len(header) + offset_of_last(kinds) + size
    return f"{site.url}{path}"


def offset_of_last(kinds: list[str]) -> int:
    sizes = {"f32": 1024, "f16": 512, "q8_0": 272, "q4_K": 144, "iq2_xs": 74}
    return sum(-(-sizes[kind] * (1 + il) // 32) * 32 for il, kind in enumerate(kinds[:-1]))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIPLAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def site() -> Iterator[Site]:
    with serving_files(Site(files={}, tag="")) as running:
        yield running


@settings(max_examples=15, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(TYPES), min_size=1, max_size=40),
    other=st.lists(st.sampled_from(TYPES), min_size=1, max_size=40),
    words=st.tuples(st.integers(0, 60_000), st.integers(0, 60_000)),
)
def test_it_is_the_header_that_is_there(kinds: list[str], other: list[str], words: tuple[int, int]) -> None:
    """Whatever types it has, however many tensors, and up to 60 KB more or less before them."""
    with serving_files(Site(files={}, tag="")) as site:
        known = read_shard(served(site, kinds, words[0]))
        url = served(site, other, words[1])
        whole = read_shard(url)

        assert read_sibling(url, known, where=Located(place=url)) == replace(whole, metadata=known.metadata)


def pair(site: Site) -> tuple[str, Shard]:
    known = read_shard(served(site, ["f16", "q8_0", "f32"], 100))
    return served(site, ["q8_0", "q4_K", "q8_0"], 200), known


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("has_ranges", False, "the server knows no ranges"),
        ("content_range", "bytes 5-9/100", "contradict each other"),
        ("content_range", "nonsense", "HTTP 206"),
        ("cut", 10, "ends after 10 of 24 bytes"),
        ("status", 404, "no such file there"),
        ("status", 429, "asked too often"),
        ("tags", ["", '"two"'], "contradict each other"),
    ],
)
def test_a_bad_server_is_one_line(site: Site, name: str, value: object, line: str) -> None:
    """None, lying, cut, gone, and a file that changes between the two requests."""
    url, known = pair(site)
    setattr(site, name, value)
    with pytest.raises(HeaderError, match=line) as caught:
        read_sibling(url, known, where=Located(place=url))
    assert "\n" not in str(caught.value)


def test_another_model_is_not_taken_for_it(site: Site) -> None:
    """Where names are others, where the size tells of other tensors, and where it is no GGUF file."""
    url, known = pair(site)
    path = url.removeprefix(site.url)
    whole = site.files[path]
    for data, size, line in (
        (whole.replace(b"attn_k", b"attn_v"), site.sizes[path], "not where that of the other quant is"),
        (whole, site.sizes[path] + 64, "its tensors end at byte"),
        (b"PK" + whole[2:], site.sizes[path], "of another kind"),
        (whole[:8] + b"\xff" * 8 + whole[16:], site.sizes[path], "which nobody expects"),
        (whole[:8] + bytes(8) + whole[16:], site.sizes[path], "which nobody expects"),
        (whole[:24], 24, "which nobody expects"),
    ):
        site.files[path], site.sizes[path] = data, size
        with pytest.raises(HeaderError, match=line):
            read_sibling(url, known, where=Located(place=url))

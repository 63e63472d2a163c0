"""Amounts as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.headroom import Headroom
from omniplan.units import GIB, MIB, size, tokens


@pytest.mark.parametrize(
    ("text", "count"),
    [("32768", 32768), ("32k", 32768), ("128K", 131072), ("1m", 1048576), ("1.5k", 1536), ("-5", -5), ("0", 0)],
)
def test_tokens(text: str, count: int) -> None:
    assert tokens(text) == count


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("1024", GIB), ("2g", 2 * GIB), ("2G", 2 * GIB), ("512 MiB", 512 * MIB), ("1.5GB", 3 * GIB // 2), ("64k", 65536)],
)
def test_sizes(text: str, nbytes: int) -> None:
    """Of memory, so in powers of two whichever way they are spelt."""
    assert size(text, MIB) == nbytes


@pytest.mark.parametrize("text", ["", "k", "32 thousand", "1.5", "32kb", "2g", "0x10", "1e3", "٣"])
def test_no_tokens(text: str) -> None:
    with pytest.raises(ValueError):
        tokens(text)


@pytest.mark.parametrize("text", ["", "g", "-2g", "2 bytes", "2b", "lots", "1e3"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        size(text, MIB)


@given(st.integers(0, 1 << 44))
def test_any_headroom_is_written_so_that_it_is_read(nbytes: int) -> None:
    """Whole MiB or not."""
    policy = Headroom(growth_fraction=0.0, growth_least=nbytes, growth_display=0)

    assert Headroom.parse(policy.text) == policy

"""The beginning of a file is as good as the file, once it holds the header; damaged ones end in a HeaderError."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniplan.errors import HeaderError
from omniplan.gguf.beginning import HeaderExtent, header_extent
from tests.headers import make_header
from tests.property.test_header_hostile import BIG_ENDIAN, HEADERS, ROWS, SMALL

# A vocabulary longer than the windows that are read at once.
LONG = make_header({"general.architecture": "llama", "tokenizer.ggml.tokens": ["token" * 8] * 30_000}, ROWS)
DATA = 400_000_000_000


@given(header=st.sampled_from([SMALL, BIG_ENDIAN, LONG]), part=st.floats(0, 1))
@settings(deadline=None)
def test_more_is_wanted_until_the_header_is_whole(header: bytes, part: float) -> None:
    """Bytes short of the header's end are not enough, those up to it are, and none behind it are looked at."""
    end = header_extent("model.gguf", len(header), header)
    assert end is not None
    cut = int(part * len(header))
    found = header_extent("model.gguf", DATA, header[:cut])

    assert found == (HeaderExtent(end=end.end, header_only=False) if cut >= end.end else None)


@given(
    header=st.sampled_from(HEADERS),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    part=st.floats(0, 1),
    size=st.integers(0, 1 << 60),
)
@settings(deadline=None)
def test_damage_is_refused_or_wants_more(header: bytes, flips: list[tuple[float, int]], part: float, size: int) -> None:
    """Any bytes of any file: an end, a wish for more, or a HeaderError that names the file."""
    damaged = bytearray(header)
    for at, byte in flips:
        damaged[int(at * len(header))] = byte
    try:
        found = header_extent("model.gguf", size, bytes(damaged[: int(part * len(header))]))
    except HeaderError as error:
        found = None
        named = str(error).startswith("model.gguf")
    else:
        named = True

    assert named
    assert found is None or found.end <= len(header)


def test_a_whole_file_is_never_wanting() -> None:
    """Where all of a file is known there is no more to ask for: what is cut is refused."""
    for cut in range(0, len(SMALL) - 32, 97):
        with pytest.raises(HeaderError):
            header_extent("model.gguf", cut, SMALL[:cut])

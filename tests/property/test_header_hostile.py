"""Damaged headers give a HeaderError or a Header, soon and in little memory, and nothing else."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniplan.domain.header import Header
from omniplan.errors import HeaderError
from omniplan.gguf import read_header
from tests.headers import Item, TensorRow, Typed, make_header

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "tests" / "data" / "models"
ROWS: list[TensorRow] = [("token_embd.weight", "q4_K", (256, 300)), ("blk.0.attn_q.weight", "f16", (64, 64))]
SMALL = make_header(
    {
        "general.architecture": "llama",
        "general.alignment": 32,
        "llama.block_count": 2,
        "llama.rope.freq_base": 1e4,
        "llama.heads": [8, 8],
        "tokenizer.ggml.tokens": [f"t{index}" for index in range(1_100)],
        "tokenizer.ggml.types": Typed("i32", [1] * 40),
        "few": ["a", "b"],
        "flag": True,
    },
    ROWS,
)
BIG_ENDIAN = make_header({"general.architecture": "llama", "heads": [8, 8]}, ROWS, version=2, endian=">")
REAL = (MODELS / "llama-moe.gguf").read_bytes()
HEADERS = (SMALL, BIG_ENDIAN, REAL)
SECONDS = 1.0
# Each example is timed by itself; a busy machine may take longer to write the file.
UNHURRIED = settings(deadline=None)
EXTREMES = (0, 1, 1 << 16, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "model.gguf"


def read(path: Path, data: bytes) -> Header | HeaderError:
    """What reading ``data`` gives; anything else escapes, and it may not take long."""
    path.write_bytes(data)
    begin = time.perf_counter()
    result = attempt(path)
    assert time.perf_counter() - begin < SECONDS
    assert isinstance(result, Header) or str(result).startswith(str(path))
    return result


def attempt(path: Path) -> Header | HeaderError:
    try:
        return read_header(path)
    except HeaderError as error:
        return error


@given(header=st.sampled_from(HEADERS), part=st.floats(0, 1, exclude_max=True))
@UNHURRIED
def test_a_truncated_header_is_refused(path: Path, header: bytes, part: float) -> None:
    """A header cut anywhere before its padding is a HeaderError."""
    size = int(part * (len(header) - 31))

    assert isinstance(read(path, header[:size]), HeaderError)


@given(header=st.sampled_from(HEADERS), flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7))))
@UNHURRIED
def test_flipped_bits(path: Path, header: bytes, flips: list[tuple[float, int]]) -> None:
    """Any flipped bits give a Header or a HeaderError."""
    damaged = bytearray(header)
    for part, bit in flips:
        damaged[int(part * len(header))] ^= 1 << bit

    read(path, bytes(damaged))


@given(
    header=st.sampled_from(HEADERS),
    part=st.floats(0, 1, exclude_max=True),
    number=st.sampled_from(EXTREMES) | st.integers(0, (1 << 64) - 1),
    layout=st.sampled_from(["<Q", ">Q", "<I", ">I"]),
)
@UNHURRIED
def test_extreme_numbers(path: Path, header: bytes, part: float, number: int, layout: str) -> None:
    """Any number over any bytes gives a Header or a HeaderError."""
    width = struct.calcsize(layout)
    start = int(part * (len(header) - width))
    number %= 1 << (8 * width)

    read(path, header[:start] + struct.pack(layout, number) + header[start + width :])


@given(body=st.binary(max_size=300), version=st.sampled_from([b"\2\0\0\0", b"\3\0\0\0", b"\0\0\0\3"]))
@UNHURRIED
def test_noise_behind_the_magic(path: Path, body: bytes, version: bytes) -> None:
    """A magic proves nothing."""
    read(path, b"GGUF" + version + body)


@given(metadata=st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=8))
@UNHURRIED
def test_text_round_trips(path: Path, metadata: dict[str, str]) -> None:
    """Whatever the writer puts in as text, the reader gives back."""
    strings = {key: value for key, value in metadata.items() if key.isascii()}
    header = read(path, make_header({f"t.{key}": value for key, value in strings.items()}, ROWS))

    assert isinstance(header, Header)
    assert header.metadata == {f"t.{key}": value for key, value in strings.items()}


CHILD = """
import resource, struct, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
from omniplan.errors import HeaderError
from omniplan.gguf import read_header
path, seen = Path(sys.argv[1]), 0
header = path.read_bytes()
for start in range(4, len(header) - 8):
    for number in (1 << 20, 1 << 31, 1 << 40, 1 << 62, (1 << 64) - 1):
        with path.open("r+b") as file:
            file.write(header[:start] + struct.pack(sys.argv[2], number) + header[start + 8:])
            file.truncate(4 << 30)
        try:
            read_header(path)
        except HeaderError:
            seen += 1
print(seen, "numpy" in sys.modules)
"""


@pytest.mark.parametrize("endian", ["<", ">"])
def test_memory_stays_small(path: Path, endian: str) -> None:
    """200 MB of address space suffice for every position of an extreme number, with 4 GB of file behind it."""
    metadata: dict[str, Item] = {"a": "text", "b": [1, 2], "c": ["x", "y"], "general.alignment": 32}
    path.write_bytes(make_header(metadata, [("t", "q8_0", (32, 2))], endian=endian))

    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), f"{endian}Q"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    refused, numpy_loaded = done.stdout.split()
    assert int(refused) > 500
    assert numpy_loaded == "False"

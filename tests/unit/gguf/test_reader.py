"""One file: what is read, and what is refused in which words."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from omniplan.domain.header import ArrayInfo
from omniplan.domain.tensor_type import REMOVED_TYPES, TENSOR_TYPES
from omniplan.errors import HeaderError
from omniplan.gguf import read_header
from omniplan.gguf import values as limits
from omniplan.gguf.cursor import WINDOW
from tests.headers import KINDS, Item, Row, TensorRow, Typed, make_header, write_gguf

MODELS = Path(__file__).parents[2] / "data" / "models"
META: dict[str, Item] = {"general.architecture": "llama", "llama.block_count": 2}
TENSORS: list[TensorRow] = [("token_embd.weight", "q8_0", (64, 100)), ("output_norm.weight", "f32", (65,))]


def refusal(path: Path | str) -> HeaderError:
    with pytest.raises(HeaderError) as caught:
        read_header(path)
    return caught.value


def refused(tmp_path: Path, data: bytes) -> HeaderError:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return refusal(path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("endian", "order"), [("<", "little"), (">", "big")])
@pytest.mark.parametrize("alignment", [32, 8, 4096])
def test_reads_versions_orders_and_alignments(
    tmp_path: Path, version: int, endian: str, order: str, alignment: int
) -> None:
    """Version, byte order and alignment are found in the file, and offsets follow the alignment."""
    path = write_gguf(tmp_path / "m.gguf", META, TENSORS, version=version, endian=endian, alignment=alignment)

    header = read_header(path)

    assert (header.version, header.byte_order, header.alignment) == (version, order, alignment)
    assert header.paths == (str(path),)
    assert header.architecture == "llama"
    assert header.metadata["llama.block_count"] == 2
    assert [tensor.shape for tensor in header.tensors] == [(64, 100), (65,)]
    assert header.by_name["output_norm.weight"].offset == -(-6800 // alignment) * alignment


VALUES: dict[str, bool | float | str] = {
    "u8": 255, "i8": -128, "u16": 65535, "i16": -5, "u32": 1 << 31, "i32": -7, "f32": 0.5,
    "bool": True, "str": "naïve ☃", "u64": (1 << 64) - 1, "i64": -(1 << 63), "f64": 1e-300,
}  # fmt: skip


@pytest.mark.parametrize("endian", ["<", ">"])
def test_reads_every_value_type(tmp_path: Path, endian: str) -> None:
    """Each scalar type and each array of it comes back as the Python value."""
    pairs: dict[str, Item] = {}
    for kind, value in VALUES.items():
        pairs |= {kind: Typed(kind, value), f"{kind}s": Typed(kind, [value] * 3), f"no {kind}": Typed(kind, [])}

    metadata = read_header(write_gguf(tmp_path / "m.gguf", pairs, [], endian=endian)).metadata

    assert set(VALUES) == set(KINDS) - {"arr"}
    assert {kind: metadata[kind] for kind in VALUES} == VALUES
    assert {kind: type(metadata[kind]) for kind in VALUES} == {kind: type(value) for kind, value in VALUES.items()}
    assert [metadata[f"{kind}s"] for kind in VALUES] == [(value,) * 3 for value in VALUES.values()]
    assert {metadata[f"no {kind}"] for kind in VALUES} == {()}


def test_reads_every_tensor_type(tmp_path: Path) -> None:
    """Rows of each storage type have the bytes the table says."""
    kinds = tuple(TENSOR_TYPES.values())
    rows: list[TensorRow] = [(kind.name, kind.name, (2 * kind.block, 3)) for kind in kinds]
    header = read_header(write_gguf(tmp_path / "m.gguf", META, rows))

    assert [tensor.type for tensor in header.tensors] == list(kinds)
    assert [tensor.nbytes for tensor in header.tensors] == [6 * kind.size for kind in kinds]


def test_long_arrays_are_counted_not_decoded(tmp_path: Path) -> None:
    """A vocabulary becomes its type and length; the keys behind it are still found."""
    words = [f"token{index}" * (index % 7) for index in range(50_000)]
    assert sum(map(len, words)) > 3 * WINDOW
    numbers = limits.MAX_NUMBERS
    pairs: dict[str, Item] = {
        "words": words,
        "few": words[: limits.MAX_STRINGS],
        "scores": Typed("f32", [0.5] * (numbers + 1)),
        "layers": [3] * numbers,
        "last": "here",
    }

    metadata = read_header(write_gguf(tmp_path / "m.gguf", pairs, TENSORS)).metadata

    assert metadata["words"] == ArrayInfo("str", 50_000)
    assert metadata["few"] == tuple(words[: limits.MAX_STRINGS])
    assert metadata["scores"] == ArrayInfo("f32", numbers + 1)
    assert metadata["layers"] == (3,) * numbers
    assert metadata["last"] == "here"


def test_a_string_longer_than_the_window_is_stepped_over(tmp_path: Path) -> None:
    """One huge token among many does not disturb the walk."""
    words = ["a"] * 600 + ["b" * (3 * WINDOW)] + ["c"] * 600

    header = read_header(write_gguf(tmp_path / "m.gguf", {"words": words, "last": 9}, TENSORS))

    assert header.metadata == {"words": ArrayInfo("str", 1_201), "last": 9}


def test_value_bytes_that_are_not_utf8_are_replaced(tmp_path: Path) -> None:
    """Only keys and names must be UTF-8; llama.cpp takes any bytes in values."""
    header = read_header(write_gguf(tmp_path / "m.gguf", {"v": Typed("str", b"a\xffb")}, []))

    assert header.metadata["v"] == "a\ufffdb"


def test_a_tensor_without_dimensions_is_one_element(tmp_path: Path) -> None:
    """As ggml reads it."""
    header = read_header(write_gguf(tmp_path / "m.gguf", META, [Row("scale", "f32", ())]))

    assert header.tensors[0].shape == (1,)
    assert header.tensors[0].nbytes == 4


def test_complete_and_header_only_files_are_told_apart(tmp_path: Path) -> None:
    """Header-only files end at the aligned or unaligned end of the header; both state the complete size."""
    whole = write_gguf(tmp_path / "whole.gguf", META, TENSORS, header_only=False)
    aligned = write_gguf(tmp_path / "aligned.gguf", META, TENSORS)
    unaligned = tmp_path / "unaligned.gguf"
    unaligned.write_bytes(aligned.read_bytes().rstrip(b"\0") + (6816).to_bytes(8, "little")[2:])
    assert unaligned.stat().st_size < aligned.stat().st_size

    headers = [read_header(path) for path in (whole, aligned, unaligned)]

    assert [header.header_only for header in headers] == [False, True, True]
    assert {header.file_bytes for header in headers} == {whole.stat().st_size}
    assert headers[0].tensors == headers[1].tensors == headers[2].tensors


def test_the_last_padding_may_be_missing(tmp_path: Path) -> None:
    """llama.cpp needs the last tensor's bytes, not the padding behind them."""
    whole = write_gguf(tmp_path / "m.gguf", META, TENSORS, header_only=False)
    os.truncate(whole, whole.stat().st_size - 28)

    assert not read_header(whole).header_only


@pytest.mark.parametrize("cut", [29, 1_000, 6_800])
def test_truncated_data_is_refused(tmp_path: Path, cut: int) -> None:
    """A download that stopped inside the tensor data is neither complete nor header-only."""
    whole = write_gguf(tmp_path / "m.gguf", META, TENSORS, header_only=False)
    os.truncate(whole, whole.stat().st_size - cut)

    error = refusal(whole)

    assert "the header is whole but the file has" in error.problem
    assert "download it again" in error.remedy


@pytest.mark.parametrize("size", [2, 5, 12, 30, 60, 120])
def test_a_file_that_ends_inside_its_header_is_refused(tmp_path: Path, size: int) -> None:
    """The message says so and where."""
    error = refused(tmp_path, make_header(META, TENSORS)[:size])

    assert "the file ends inside its header" in error.problem
    assert error.offset is not None
    assert error.offset <= size
    assert "download it again" in error.remedy


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"", "is empty"),
        (b"\x40\x9c\0\0\0\0\0\0" + b'{"__metadata__":{}}', "safetensors"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\n <html>", "HTML"),
        (b'{"error":"Repository not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        (b"PK\x03\x04rest", "PyTorch"),
        (b"tjgg\x03\0\0\0", "GGJT"),
        (bytes(4096), "zeros"),
        (b"Invalid username or password.", "starts with b'Inva'"),
    ],
)  # fmt: skip
def test_other_files_are_named(tmp_path: Path, start: bytes, words: str) -> None:
    """A file that is no GGUF is called what it most likely is."""
    assert words in str(refused(tmp_path, start))


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    """No OSError and no ValueError escapes, whatever the path."""
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")

    assert "no such file" in str(refusal(tmp_path / "none.gguf"))
    assert "is a directory" in str(refusal(tmp_path))
    assert "not a regular file" in str(refusal(tmp_path / "pipe.gguf"))
    assert "cannot be read" in str(refusal(tmp_path / "loop.gguf"))
    assert "cannot be read" in str(refusal(tmp_path / ("x" * 300)))
    assert "cannot be a path" in str(refusal("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A permission error becomes a HeaderError."""
    path = write_gguf(tmp_path / "m.gguf", META, TENSORS)
    path.chmod(0)

    assert "cannot be read" in str(refusal(path))


@pytest.mark.parametrize(
    ("version", "words"), [(0, "version 0"), (1, "no longer read"), (4, "version 4"), (256, "version 256")]
)
@pytest.mark.parametrize("endian", ["<", ">"])
def test_other_versions_are_refused(tmp_path: Path, version: int, words: str, endian: str) -> None:
    """Version 1 had other field sizes; later ones are not known."""
    assert words in str(refused(tmp_path, make_header(META, TENSORS, version=version, endian=endian)))


def keys(*pairs: tuple[str | bytes, Item]) -> bytes:
    return make_header(pairs)


def raw(kind: int, body: bytes) -> bytes:
    """A header with the one key ``k`` of a type id and raw bytes."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind) + body


ARRAY = KINDS["arr"][0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(keys(("a", 1), ("a", 2)), "metadata key 'a' appears twice", id="duplicate"),
        pytest.param(keys(("", 1)), "metadata key 0 is empty", id="empty"),
        pytest.param(keys((b"\xff\xfe", 1)), "metadata key 0 is not UTF-8", id="not UTF-8"),
        pytest.param(keys(("k" * 65_536, 1)), "string of 65,536 bytes", id="long key"),
        pytest.param(raw(13, bytes(64)), "unknown value type 13", id="type"),
        pytest.param(raw(ARRAY, struct.pack("<IQ", 13, 1)), "unknown value type 13", id="element type"),
        pytest.param(raw(ARRAY, struct.pack("<IQ", ARRAY, 1) + bytes(64)), "array of arrays", id="nested array"),
        pytest.param(raw(ARRAY, struct.pack("<IQ", 0, 1 << 40)), "1,099,511,627,776 elements", id="array length"),
        pytest.param(raw(ARRAY, struct.pack("<IQ", 4, 1 << 29)), "ends inside its header", id="array size"),
        pytest.param(raw(ARRAY, struct.pack("<IQ", 8, 1 << 29)), "strings in arrays", id="array of strings"),
        pytest.param(raw(ARRAY, struct.pack("<IQ", 8, 1 << 20)), "ends inside its header", id="fewer strings"),
        pytest.param(
            raw(ARRAY, struct.pack("<IQQ", 8, 1 << 11, (1 << 64) - 1) + bytes(1 << 15)),
            "ends inside its header",
            id="string in a skipped array",
        ),
        pytest.param(raw(8, struct.pack("<Q", 1 << 62)), "string of 4,611,686,018,427,387,904 bytes", id="string"),
        pytest.param(raw(8, struct.pack("<Q", 1 << 23)), "ends inside its header", id="shorter string"),
        pytest.param(make_header(META, n_keys=1 << 62), "number of metadata keys is", id="keys"),
        pytest.param(make_header(META, n_tensors=1 << 63), "number of tensors is", id="tensors"),
        pytest.param(keys(("general.alignment", 48)), "not a power of two", id="alignment 48"),
        pytest.param(keys(("general.alignment", 0)), "not a power of two", id="alignment 0"),
        pytest.param(keys(("general.alignment", 1 << 31)), "not a power of two up to", id="alignment 2 GiB"),
        pytest.param(keys(("general.alignment", Typed("u64", 32))), "must be u32, not u64", id="alignment type"),
    ],
)
def test_bad_metadata_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    """Each mistake is named before anything of the claimed size is allocated."""
    assert words in str(refused(tmp_path, data))


BIG = 1 << 62


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param([("t", "f32", (8,))] * 2, "tensor 't' appears twice", id="duplicate"),
        pytest.param([Row(b"\xff", "f32", (8,))], "name of tensor 0 is not UTF-8", id="not UTF-8"),
        pytest.param([("t" * 64, "f32", (8,))], "more than the 63 allowed", id="long name"),
        pytest.param([("t", "f32", (1, 1, 1, 1, 1))], "tensor 't' has 5 dimensions", id="five dimensions"),
        pytest.param([("t", "f32", (4, 0))], "shape (4, 0) is empty", id="no elements"),
        pytest.param([("t", "f32", (BIG, BIG))], "more elements than 64 bits", id="elements"),
        pytest.param([("t", "f32", ((1 << 64) - 1,))], "more elements than 64 bits", id="negative"),
        pytest.param([("t", "f32", (BIG,))], "largest size", id="bytes"),
        pytest.param([("t", "q4_K", (128, 2))], "128 elements, not a whole number of q4_K blocks of 256", id="block"),
        pytest.param([Row("t", 4, (32,))], "tensor 't' has type q4_2, which ggml removed", id="removed"),
        pytest.param([Row("t", 999, (32,))], "tensor 't' has the unknown type 999", id="unknown type"),
        pytest.param([Row("t", "f32", (8,), 32)], "data offset 32, expected 0", id="first offset"),
        pytest.param([("t", "f32", (8,)), Row("u", "f32", (8,), 33)], "offset 33, expected 32", id="misaligned"),
        pytest.param([("t", "f32", (9,)), Row("u", "f32", (8,), 32)], "offset 32, expected 64", id="overlap"),
        pytest.param([("t", "f32", (8,)), Row("u", "f32", (8,), 64)], "offset 64, expected 32", id="gap"),
    ],
)
def test_bad_tensors_are_refused(tmp_path: Path, rows: Sequence[TensorRow], words: str) -> None:
    """llama.cpp refuses these tables too; the tensor is named."""
    assert words in str(refused(tmp_path, make_header(META, rows)))


@pytest.mark.parametrize("number", sorted(REMOVED_TYPES))
def test_removed_types_are_named(tmp_path: Path, number: int) -> None:
    """Ids that ggml no longer stores get the name they had."""
    assert REMOVED_TYPES[number] in str(refused(tmp_path, make_header(META, [Row("t", number, (256,))])))


def test_budgets_hold_over_the_whole_header(tmp_path: Path) -> None:
    """Many arrays below the limit of one still cannot fill the memory."""
    many: dict[str, Item] = {f"k{index}": Typed("u8", [0] * limits.MAX_NUMBERS) for index in range(17)}

    error = refused(tmp_path, make_header(many))

    assert "more than 1,048,576 numbers" in error.problem


def test_a_real_header() -> None:
    """GLM-4.7-Flash q8_0, header-only."""
    header = read_header(str(MODELS / "GLM-4.7-Flash-Q8_0.gguf"))

    assert header.architecture == "deepseek2"
    assert header.header_only
    assert len(header.by_name) == len(header.tensors)
    assert header.file_bytes > sum(tensor.nbytes for tensor in header.tensors)

"""Models split over several files: found from any part, merged, or refused with the part's name."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from omniplan.errors import HeaderError
from omniplan.gguf import read_header
from tests.headers import Item, TensorRow, write_gguf

MODELS = Path(__file__).parents[2] / "data" / "models"
QWEN = "Qwen3-Next-80B-A3B-Q5_K_M-{:05d}-of-00002.gguf"


def name(part: int, count: int = 3, prefix: str = "model") -> str:
    return f"{prefix}-{part:05d}-of-{count:05d}.gguf"


def write_part(
    folder: Path,
    part: int,
    *,
    lies: Mapping[str, Item] = {},
    tensor: str = "",
    endian: str = "<",
    header_only: bool = True,
) -> Path:
    """Part ``part`` of 3 with one tensor; ``lies`` replace metadata."""
    metadata: dict[str, Item] = {"split.no": part - 1, "split.count": 3, "split.tensors.count": 3}
    metadata |= {"general.name": f"part {part}", **lies}
    rows: list[TensorRow] = [(tensor or f"blk.{part}.weight", "f32", (8 * part,))]
    return write_gguf(folder / name(part), metadata, rows, endian=endian, header_only=header_only)


def refusal(path: Path) -> str:
    with pytest.raises(HeaderError) as caught:
        read_header(path)
    return str(caught.value)


@pytest.mark.parametrize("part", [1, 2, 3])
@pytest.mark.parametrize("header_only", [True, False])
def test_any_part_finds_the_others(tmp_path: Path, part: int, *, header_only: bool) -> None:
    """Metadata is the first part's, tensors are all parts' in order, each with its part's number."""
    for number in (1, 2, 3):
        write_part(tmp_path, number, header_only=header_only)

    header = read_header(tmp_path / name(part))

    assert [Path(path).name for path in header.paths] == [name(number) for number in (1, 2, 3)]
    assert header.metadata["general.name"] == "part 1"
    assert [(tensor.name, tensor.shard, tensor.offset) for tensor in header.tensors] == [
        ("blk.1.weight", 0, 0),
        ("blk.2.weight", 1, 0),
        ("blk.3.weight", 2, 0),
    ]
    assert header.header_only == header_only


def test_the_size_is_that_of_all_complete_files(tmp_path: Path) -> None:
    """Header-only parts count with the tensor data they lack."""
    sizes = [write_part(tmp_path, number, header_only=False).stat().st_size for number in (1, 2, 3)]
    complete = read_header(tmp_path / name(1)).file_bytes
    for number in (1, 2, 3):
        write_part(tmp_path, number)

    assert complete == sum(sizes)
    assert read_header(tmp_path / name(1)).file_bytes == sum(sizes)


def test_a_first_part_without_tensors(tmp_path: Path) -> None:
    """llama-gguf-split --no-tensor-first-split writes one; it fits header-only and complete sets alike."""
    first: dict[str, Item] = {"split.no": 0, "split.count": 2, "split.tensors.count": 1, "general.name": "first"}
    second: dict[str, Item] = {"split.no": 1, "split.count": 2, "split.tensors.count": 1}
    write_gguf(tmp_path / name(1, 2), first, [])
    write_gguf(tmp_path / name(2, 2), second, [("t", "f32", (8,))], header_only=False)

    header = read_header(tmp_path / name(2, 2))

    assert not header.header_only
    assert [tensor.shard for tensor in header.tensors] == [1]


def test_one_part_of_one_is_a_single_file(tmp_path: Path) -> None:
    """A split.count of 1 needs no pattern in the name."""
    path = write_gguf(tmp_path / "any.gguf", {"split.no": 0, "split.count": 1}, [("t", "f32", (8,))])

    assert read_header(path).paths == (str(path),)


def test_links_to_content_named_files(tmp_path: Path) -> None:
    """In a Hugging Face cache the names are links into a folder of hashes; the links' names count."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    for number in (1, 2, 3):
        write_part(tmp_path, number).rename(tmp_path / "blobs" / f"{number}abc")
        (tmp_path / "snapshot" / name(number)).symlink_to(tmp_path / "blobs" / f"{number}abc")

    assert len(read_header(tmp_path / "snapshot" / name(2)).tensors) == 3


def test_missing_parts_are_named(tmp_path: Path) -> None:
    """All missing files are listed at once, with what to do."""
    write_part(tmp_path, 2)

    message = refusal(tmp_path / name(2))

    assert "2 of the model's 3 files are missing" in message
    assert name(1) in message
    assert name(3) in message
    assert "download them next to it" in message


def test_many_missing_parts_are_counted(tmp_path: Path) -> None:
    """A set of thousands does not fill the screen."""
    path = write_gguf(tmp_path / name(1, 5_000), {"split.no": 0, "split.count": 5_000}, [])

    assert "and 4996 more" in refusal(path)


def test_a_renamed_part_is_refused(tmp_path: Path) -> None:
    """Without the pattern the other files cannot be found."""
    path = write_part(tmp_path, 1).rename(tmp_path / "renamed.gguf")

    assert "its name does not end in -00001-of-00003.gguf" in refusal(path)


@pytest.mark.parametrize(
    ("lies", "endian", "words"),
    [
        ({"split.no": 0}, "<", "is part 1 of 3, little-endian, where part 2 of 3"),
        ({"split.count": 4}, "<", "is part 2 of 4"),
        ({}, ">", "big-endian"),
    ],
)
def test_foreign_parts_are_named(tmp_path: Path, lies: Mapping[str, Item], endian: str, words: str) -> None:
    """A file of another set under the right name is found out."""
    for number in (1, 3):
        write_part(tmp_path, number)
    write_part(tmp_path, 2, lies=lies, endian=endian)

    message = refusal(tmp_path / name(1))

    assert words in message
    assert name(2) in message


def test_a_part_without_split_keys_is_foreign(tmp_path: Path) -> None:
    """A whole model saved under a part's name is no part."""
    for number in (1, 3):
        write_part(tmp_path, number)
    write_gguf(tmp_path / name(2), {"general.architecture": "llama"}, [("t", "f32", (8,))])

    assert "is no part of a split model" in refusal(tmp_path / name(1))


def test_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    """Both files are named."""
    for number in (1, 2, 3):
        write_part(tmp_path, number, tensor="same" if number > 1 else "other")

    message = refusal(tmp_path / name(1))

    assert f"{name(3)}: tensor 'same' is also in {name(2)}" in message


def test_the_tensor_count_must_agree(tmp_path: Path) -> None:
    """Parts of two quantizations under one name differ in number."""
    for number in (1, 2, 3):
        write_part(tmp_path, number, lies={"split.tensors.count": 5})

    assert "split.tensors.count is 5 but the files hold 3 tensors" in refusal(tmp_path / name(1))


def test_one_part_without_its_data_is_refused(tmp_path: Path) -> None:
    """Among complete files, one that ends after its header is a broken download."""
    for number in (1, 2, 3):
        write_part(tmp_path, number, header_only=number == 2)

    message = refusal(tmp_path / name(1))

    assert f"{name(2)}: ends after its header" in message
    assert "download it again" in message


@pytest.mark.parametrize("part", [1, 2])
def test_a_real_split_model(part: int) -> None:
    """Qwen3-Next 80B q5_K_M in two files."""
    header = read_header(MODELS / QWEN.format(part))

    assert header.architecture == "qwen3next"
    assert len(header.paths) == 2
    assert len(header.tensors) == header.metadata["split.tensors.count"]
    assert {tensor.shard for tensor in header.tensors} == {0, 1}


def test_half_of_a_real_split_model(tmp_path: Path) -> None:
    """The second file alone names the first."""
    shutil.copy(MODELS / QWEN.format(2), tmp_path)

    assert QWEN.format(1) in refusal(tmp_path / QWEN.format(2))

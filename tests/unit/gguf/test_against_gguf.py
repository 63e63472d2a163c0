"""The gguf package reads the same values, names, shapes, types and offsets out of the same files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from omniplan.domain.header import ArrayInfo, Header
from omniplan.gguf import read_header
from tests.headers import Item, TensorRow, write_gguf

gguf = pytest.importorskip("gguf")

MODELS = Path(__file__).parents[2] / "data" / "models"
ALONE = ("llama-moe.gguf", "GLM-4.7-Flash-Q8_0.gguf")


def whole(model: str, folder: Path) -> Path:
    """A copy grown to its full size with a hole, because GGUFReader maps the tensor data."""
    path = Path(shutil.copy(MODELS / model, folder))
    os.truncate(path, read_header(path).file_bytes)
    return path


def compare(ours: Header, theirs: Any) -> None:
    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert list(ours.metadata) == list(fields)
    for key, field in fields.items():
        value = field.contents()
        mine = ours.metadata[key]
        if isinstance(mine, ArrayInfo):
            assert mine.length == len(value)
        else:
            assert (list(mine) if isinstance(mine, tuple) else mine) == value
    assert [tensor.name for tensor in ours.tensors] == [tensor.name for tensor in theirs.tensors]
    for tensor, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert tensor.shape == tuple(map(int, other.shape))
        assert tensor.type.id == other.tensor_type
        assert tensor.type.name.lower() == other.tensor_type.name.lower()
        assert tensor.nbytes == other.n_bytes
        assert tensor.offset + theirs.data_offset == other.data_offset


@pytest.mark.parametrize("model", ALONE)
def test_real_headers(tmp_path: Path, model: str) -> None:
    """Also with the file at its full size, which is then no longer header-only."""
    path = whole(model, tmp_path)
    header = read_header(path)

    assert not header.header_only
    assert header.tensors == read_header(MODELS / model).tensors
    compare(header, gguf.GGUFReader(path))


def test_big_endian(tmp_path: Path) -> None:
    """Both find the byte order in the version field."""
    metadata: dict[str, Item] = {"general.architecture": "llama", "a": [1, 2, 3], "b": 0.5, "c": True, "d": -3}
    rows: list[TensorRow] = [("x", "f32", (8, 3)), ("y", "f16", (16,))]
    path = write_gguf(tmp_path / "m.gguf", metadata, rows, endian=">", header_only=False)

    compare(read_header(path), gguf.GGUFReader(path))


def test_what_its_writer_writes(tmp_path: Path) -> None:
    """A file by GGUFWriter with its alignment, arrays and padding reads back."""
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    writer.add_array("some.array", [1.5, 2.5])
    writer.add_tensor("a.weight", numpy.zeros((3, 5), numpy.float32))
    writer.add_tensor("b.weight", numpy.zeros((2, 7), numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    header = read_header(path)

    assert header.alignment == 64
    assert header.file_bytes == path.stat().st_size
    assert [tensor.shape for tensor in header.tensors] == [(5, 3), (7, 2)]
    compare(header, gguf.GGUFReader(path))

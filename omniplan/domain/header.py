"""What a GGUF header says: metadata and the tensor table, never tensor data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from omniplan.domain.tensor_type import TensorType


class ByteOrder(StrEnum):
    """Which end of a number comes first in a file."""

    LITTLE = "little"
    BIG = "big"


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array value that was skipped, not decoded: its element type name and its length."""

    element: str
    length: int


Value = int | float | bool | str | tuple[int, ...] | tuple[float, ...] | tuple[bool, ...] | tuple[str, ...] | ArrayInfo


@dataclass(frozen=True, slots=True)
class Tensor:
    """One row of the tensor table; ``shape`` is ggml's ``ne``, fastest first, ``offset`` lies in its shard's data."""

    name: str
    type: TensorType
    shape: tuple[int, ...]
    offset: int
    shard: int = 0

    @property
    def n_elements(self) -> int:
        """Number of weights."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        """Bytes of the data, without padding (``ggml_nbytes`` of a contiguous tensor)."""
        return self.nbytes_as(self.type)

    def nbytes_as(self, kind: TensorType) -> int:
        """The same if it were of another type."""
        size = kind.row_size(self.shape[0])
        for rows in self.shape[1:]:
            size *= rows
        return size


@dataclass(frozen=True)
class Header:
    """Metadata and merged tensor table of a model file or of all its shards.

    ``metadata`` is the first shard's. Arrays longer than the reader's limit are ``ArrayInfo``.
    ``header_only`` is true when every file ends where its tensor data would begin.
    ``file_bytes`` is what the complete files hold, also when they are header-only.
    """

    paths: tuple[str, ...]
    version: int
    byte_order: ByteOrder
    alignment: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    header_only: bool
    file_bytes: int

    @cached_property
    def by_name(self) -> Mapping[str, Tensor]:
        """Tensors by their full name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, without the padding between them."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def architecture(self) -> str:
        """``general.architecture``."""
        return str(self.metadata.get("general.architecture", ""))

"""Buffer types: their names, and how the memory behind one is cut up (ggml_backend_buffer_type_i)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.domain.tensor_type import TensorType
from omniplan.units import pad

CPU: Final = "CPU"
# RAM that only the CPU can read, since weights are laid out anew in it.
OPAQUE: Final = ("CPU_REPACK", "AMX")
# The row of everything in RAM in llama.cpp's breakdown of memory.
HOST: Final = "Host"
# ggml-alloc.c: SIZE_MAX / 2, the room of a buffer without a limit.
ENDLESS: Final = 1 << 62


def is_host(buffer: str) -> bool:
    """Whether a buffer type is RAM: ordinary, pinned, or with weights laid out anew."""
    return buffer == CPU or buffer in OPAQUE or buffer.endswith("_Host")


def is_readable(buffer: str) -> bool:
    """Whether a buffer type is RAM that devices can copy from."""
    return is_host(buffer) and buffer not in OPAQUE


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferType:
    """One kind of memory.

    ``name`` is empty for a device's own, which has the device's name. Tensors begin at multiples of ``alignment``
    bytes; the last row of a quantised one is filled up to a multiple of ``row_padding`` elements. ``max_size`` are the
    bytes of the largest single buffer.
    """

    name: str = ""
    alignment: int
    row_padding: int = 1
    max_size: int = ENDLESS

    def alloc_size(self, kind: TensorType, ne0: int, nbytes: int) -> int:
        """Bytes of a tensor of ``nbytes`` with rows of ``ne0`` elements, the filled up row included."""
        if kind.is_quantized and ne0 % self.row_padding:
            return nbytes + kind.row_size(self.row_padding - ne0 % self.row_padding)
        return nbytes

    def size(self, kind: TensorType, ne0: int, nbytes: int) -> int:
        """The same with the bytes to where the next tensor may begin."""
        return pad(self.alloc_size(kind, ne0, nbytes), self.alignment)

"""Buffer types: their names, alignment and padding, and which weights CUDA can use."""

from __future__ import annotations

from typing import Final

from omniplan.domain.tensor_type import TensorType
from omniplan.units import pad

CPU: Final = "CPU"
CUDA_HOST: Final = "CUDA_Host"

# llama.cpp b11434: ggml-cuda.cu (buffer type alignment) and ggml-impl.h (TENSOR_ALIGNMENT). Pinned memory comes out
# of the oracle with 64.
CUDA_ALIGNMENT: Final = 128
CUDA_HOST_ALIGNMENT: Final = 64
CPU_ALIGNMENT: Final = 32
# ggml-cuda.cu MATRIX_ROW_PADDING: the last row of a quantised tensor is padded to this many elements.
MATRIX_ROW_PADDING: Final = 512

# ggml-cuda.cu:ggml_backend_cuda_device_supports_op, MUL_MAT and MUL_MAT_ID.
CUDA_MATRIX_TYPES: Final = frozenset(
    """f32 f16 bf16 q1_0 q2_0 q4_0 q4_1 q5_0 q5_1 q8_0 mxfp4 nvfp4 q2_K q3_K q4_K q5_K q6_K q8_K
    iq1_m iq1_s iq2_s iq2_xs iq2_xxs iq3_s iq3_xxs iq4_nl iq4_xs""".split()
)
# The same function, GET_ROWS; the last two only when rows are a whole number of 256.
_CUDA_ROW_TYPES: Final = (CUDA_MATRIX_TYPES | {"i32"}) - {"q8_K", "mxfp4", "nvfp4", "iq4_nl"}
_CUDA_ROW_TYPES_256: Final = frozenset(("iq4_nl", "mxfp4"))

_ALIGNMENT: Final = {CPU: CPU_ALIGNMENT, CUDA_HOST: CUDA_HOST_ALIGNMENT}


def is_host(buffer: str) -> bool:
    """Whether a buffer type is ordinary or pinned RAM."""
    return buffer == CPU or buffer.endswith("_Host")


def alignment(buffer: str) -> int:
    """Bytes that allocations in ``buffer`` are aligned to."""
    return _ALIGNMENT.get(buffer, CUDA_ALIGNMENT)


def padded_size(buffer: str, kind: TensorType, ne0: int, nbytes: int) -> int:
    """Bytes a tensor of ``nbytes`` with rows of ``ne0`` takes in ``buffer``, alignment included."""
    size = nbytes
    if kind.is_quantized and ne0 % MATRIX_ROW_PADDING and not is_host(buffer):
        size += kind.row_size(MATRIX_ROW_PADDING - ne0 % MATRIX_ROW_PADDING)
    return pad(size, alignment(buffer))


def cuda_get_rows(kind: TensorType, ne0: int) -> bool:
    """Whether CUDA can look rows up in a tensor of this type; decides if an embedding may be pinned."""
    return kind.name in _CUDA_ROW_TYPES or (kind.name in _CUDA_ROW_TYPES_256 and ne0 % 256 == 0)

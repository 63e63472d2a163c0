"""The ggml tensor types: id, name, elements per block and bytes per block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from omniplan.documents.column import Column
from omniplan.errors import InputError


@dataclass(frozen=True, slots=True)
class TensorType:
    """One ggml storage type; ``block`` elements take ``size`` bytes."""

    id: int
    name: str
    block: int
    size: int

    @property
    def is_quantized(self) -> bool:
        """Whether elements share a block (``ggml_is_quantized``)."""
        return self.block > 1

    @property
    def bits_per_weight(self) -> float:
        """Average bits one element takes, scales included."""
        return 8 * self.size / self.block

    def __str__(self) -> str:
        return self.name

    def row_size(self, n: int) -> int:
        """Bytes of one row of ``n`` elements; ``n`` must be a whole number of blocks."""
        return n // self.block * self.size


# llama.cpp b11434 ggml/include/ggml.h (enum ggml_type) and ggml/src/ggml-common.h (block structs).
_ROWS: Final = (
    (0, "f32", 1, 4), (1, "f16", 1, 2), (2, "q4_0", 32, 18), (3, "q4_1", 32, 20), (6, "q5_0", 32, 22),
    (7, "q5_1", 32, 24), (8, "q8_0", 32, 34), (9, "q8_1", 32, 36), (10, "q2_K", 256, 84), (11, "q3_K", 256, 110),
    (12, "q4_K", 256, 144), (13, "q5_K", 256, 176), (14, "q6_K", 256, 210), (15, "q8_K", 256, 292),
    (16, "iq2_xxs", 256, 66), (17, "iq2_xs", 256, 74), (18, "iq3_xxs", 256, 98), (19, "iq1_s", 256, 50),
    (20, "iq4_nl", 32, 18), (21, "iq3_s", 256, 110), (22, "iq2_s", 256, 82), (23, "iq4_xs", 256, 136),
    (24, "i8", 1, 1), (25, "i16", 1, 2), (26, "i32", 1, 4), (27, "i64", 1, 8), (28, "f64", 1, 8),
    (29, "iq1_m", 256, 56), (30, "bf16", 1, 2), (34, "tq1_0", 256, 54), (35, "tq2_0", 256, 66),
    (39, "mxfp4", 32, 17), (40, "nvfp4", 64, 36), (41, "q1_0", 128, 18), (42, "q2_0", 64, 18),
    (43, "f8_e4m3", 1, 1),
)  # fmt: skip
# Types that came after b11434 (ggml.h of b12211), and the last build known to lack each.
LATER_TYPES: Final = {"f8_e4m3": 11739}

TENSOR_TYPES: Final[dict[int, TensorType]] = {row[0]: TensorType(*row) for row in _ROWS}
TYPE_BY_NAME: Final[dict[str, TensorType]] = {kind.name: kind for kind in TENSOR_TYPES.values()}

# Ids that older ggml releases used and b11434 refuses to load.
REMOVED_TYPES: Final[dict[int, str]] = {
    4: "q4_2", 5: "q4_3", 31: "q4_0_4_4", 32: "q4_0_4_8", 33: "q4_0_8_8",
    36: "iq4_nl_4_4", 37: "iq4_nl_4_8", 38: "iq4_nl_8_8",
}  # fmt: skip


def type_named(name: str) -> TensorType:
    """The type called ``name``; raises InputError with all there are."""
    if name not in TYPE_BY_NAME:
        raise InputError(f"expected one of {', '.join(TYPE_BY_NAME)}, got {name[:40]!r}")
    return TYPE_BY_NAME[name]


# A type as files have it.
TypeName = Annotated[TensorType, Column(parse=type_named)]

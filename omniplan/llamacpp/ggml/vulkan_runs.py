"""Nodes that one of Vulkan's shaders does together (ggml-vulkan-types.h and ggml_vk_graph_optimize of b11434)."""

from __future__ import annotations

from typing import Final

Run = tuple[str, ...]
_NORMALISED: Final = ("RESHAPE", "SUM_ROWS", "CLAMP", "DIV", "RESHAPE")
# ggml-vulkan-types.h: choosing experts, whose inputs stay alive until it is done (topk_moe_*).
ROUTING: Final[tuple[Run, ...]] = (
    ("SOFT_MAX", "RESHAPE", "ARGSORT", "VIEW", "GET_ROWS", *_NORMALISED),
    ("UNARY", "RESHAPE", "ADD", "ARGSORT", "VIEW", "GET_ROWS", *_NORMALISED),
    ("UNARY", "SQRT", "RESHAPE", "ADD", "ARGSORT", "VIEW", "GET_ROWS", *_NORMALISED),
    ("SOFT_MAX", "RESHAPE", "ARGSORT", "VIEW", "GET_ROWS"),
    ("ARGSORT", "VIEW", "GET_ROWS", "RESHAPE", "SOFT_MAX", "RESHAPE"),
)
GATED: Final[Run] = ("SCALE", "UNARY", "SCALE", "DSV4_HC_POST")
INDEXED: Final[Run] = ("GET_ROWS", "PERMUTE", "CONT", "CPY", "RESHAPE", "ADD", "TOP_K")
# In the order they are looked for.
RUNS: Final[tuple[Run, ...]] = (
    *ROUTING,
    ("MUL", "SIN", "SQR", "MUL", "ADD"),
    INDEXED,
    ("RMS_NORM", "MUL", "ADD", "MUL"),
    ("RMS_NORM", "MUL", "ADD"),
    ("RMS_NORM", "MUL", "ROPE", "VIEW", "SET_ROWS"),
    ("RMS_NORM", "VIEW", "SET_ROWS"),
    ("ROPE", "VIEW", "SET_ROWS"),
    GATED,
)
# Those that earlier builds keep together.
EARLIER: Final = RUNS[: len(ROUTING) + 2]
# A node may follow the one it reads at once where one shader does both: right behind it,
ADJACENT: Final = frozenset(
    (("MUL_MAT", "ADD"), ("MUL_MAT_ID", "ADD_ID"), ("MUL_MAT_ID", "MUL"), ("ADD", "ADD"), ("SSM_CONV", "ADD"),
     ("SSM_CONV", "UNARY"))
)  # fmt: skip
# or with nothing but views between.
NEAR: Final = frozenset((("RMS_NORM", "MUL"), ("UNARY", "MUL")))
GATES: Final = frozenset(("UNARY:GELU", "UNARY:SIGMOID", "UNARY:SILU", "UNARY:SOFTPLUS"))

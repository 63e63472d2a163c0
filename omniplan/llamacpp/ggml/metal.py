"""The Metal back end of llama.cpp b11434 on Apple silicon: which nodes have a kernel, and what they keep.

ggml-metal-device.m: ggml_metal_device_supports_op; ggml-metal.cpp: ggml_backend_metal_buffer_type_get_alloc_size. Every
M1 and later has SIMD-group reductions and matrices, and bfloat16; other GPUs of Macs are not known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.llamacpp.ggml.backend import Backend
from omniplan.llamacpp.ggml.metal_order import Chained, Reorderer, Untied
from omniplan.llamacpp.ggml.table import backend, rows
from omniplan.llamacpp.graph.node import Node, has_contiguous_rows, is_contiguous
from omniplan.units import pad


def _types(names: str) -> frozenset[TensorType]:
    return frozenset(TYPE_BY_NAME[name] for name in names.split())


_F32, _F16, _BF16, _I32 = (TYPE_BY_NAME[name] for name in ("f32", "f16", "bf16", "i32"))
_HALVES: Final = _types("f32 f16")
_QUANTIZED: Final = _types("q4_0 q4_1 q5_0 q5_1 q8_0")
_JOINED: Final = _QUANTIZED | _types("f32 f16 bf16 i8 i16 i32 i64")
_KV: Final = _QUANTIZED | _types("f32 f16 bf16")
_NO_PRODUCT: Final = _types("nvfp4 tq1_0")
_FROM_F32: Final = _QUANTIZED | _types("f32 f16 bf16 q1_0 q2_0 iq4_nl tq2_0 i32")
_COPIES: Final = {
    _F32: _FROM_F32,
    _F16: _HALVES,
    _BF16: _types("f32 bf16"),
    _I32: _types("f32 i32"),
    **dict.fromkeys(_QUANTIZED | _types("q1_0 q2_0 tq2_0"), _HALVES),
}
_SET_ROWS: Final = _FROM_F32 - _types("q1_0 q2_0 i32")
_HEADS: Final = frozenset((32, 40, 48, 64, 72, 80, 96, 112, 128, 192, 256, 320, 512, 576))
_HADAMARD: Final = frozenset(64 << i for i in range(8))
_UNARY: Final = frozenset(
    "TANH RELU SIGMOID GELU GELU_ERF GELU_QUICK SILU ELU NEG ABS SGN STEP HARDSWISH HARDSIGMOID EXP SOFTPLUS EXPM1 "
    "FLOOR CEIL ROUND TRUNC XIELU".split()
)
_GLU: Final = frozenset("REGLU GEGLU SWIGLU SWIGLU_OAI GEGLU_ERF GEGLU_QUICK SWIGLU_CLAMP".split())
# ggml-metal-impl.h: queries and columns that a SIMD group handles, in the vector kernel too.
_QUERIES, _COLUMNS = 8, 64
_VECTOR_QUERIES, _VECTOR_COLUMNS = 1, 32
_GROUPS: Final = 32
_SUMS: Final = 8 + 256 * 4  # two factors and N_MM_NPART_AMAX sums


def _elementwise(node: Node) -> bool:
    return has_contiguous_rows(node.src[0]) and node.src[0].type in _HALVES


def _arithmetic(node: Node) -> bool:
    a, b = node.src[:2]
    return a.type in _HALVES and a.type is b.type and has_contiguous_rows(a) and has_contiguous_rows(b)


def _rows(node: Node) -> bool:
    return has_contiguous_rows(node.src[0])


def _mul_mat(node: Node) -> bool:
    a, b = node.src[:2]
    if a.type in _NO_PRODUCT:
        return False
    if b.type is not _F16 or a.type is _F16:
        return True
    if a.type is _F32 and b.ne == node.ne and b.ne[0] in _HADAMARD and is_contiguous(b):
        return True
    return a.type is not _BF16 and a.ne[0] >= 64 and b.ne[1] > 8 and b.nb[0] <= b.nb[1]


def _mul_mat_id(node: Node) -> bool:
    a, b, ids = node.src[:3]
    if a.type in _NO_PRODUCT:
        return False
    return b.type is not _F16 or (a.type is not _BF16 and a.ne[0] >= 64 and ids.ne[1] >= 32)


def _copy(node: Node) -> bool:
    return node.type in _COPIES.get(node.src[0].type, ())


def _set_rows(node: Node) -> bool:
    kind = node.src[0].type
    return node.type is _F16 if kind is _F16 else kind is _F32 and node.type in _SET_ROWS


def _concat(node: Node) -> bool:
    kind = node.src[0].type
    return kind is node.src[1].type and kind is node.type and kind in _JOINED


def _attention(node: Node) -> bool:
    q, k, v = node.src[:3]
    if q.ne[0] not in _HEADS or k.ne[0] < v.ne[0] or (k.ne[0] == 72 and v.ne[0] != 72):
        return False
    return k.type is v.type and k.type in _KV


def _indexer(node: Node) -> bool:
    q, k, weights, mask = node.src[:4]
    given = q.type is _F32 and weights.type is _F32 and mask.type is _F16
    return given and q.ne[0] == 128 and k.type in _KV and all(map(has_contiguous_rows, node.src[:4]))


def _all_f32(node: Node) -> bool:
    return all(source.type is _F32 and has_contiguous_rows(source) for source in node.src)


def _rule(check: Callable[[Node], bool], ops: str) -> dict[str, Callable[[Node], bool]]:
    return dict.fromkeys(ops.split(), check)


_RULES: Final[dict[str, Callable[[Node], bool]]] = {
    **_rule(lambda _: True, "NONE RESHAPE VIEW TRANSPOSE PERMUTE REPEAT CONV_TRANSPOSE_1D ROPE ROPE_BACK ARGMAX"),
    **_rule(lambda _: True, "ARGSORT TOP_K ARANGE SSM_SCAN SSM_CONV RWKV_WKV6 RWKV_WKV7 DIAG"),
    **_rule(_elementwise, "SCALE FILL CLAMP SQR SQRT SIN COS LOG UNARY"),
    **_rule(_arithmetic, "ADD SUB MUL DIV ADD_ID"),
    **_rule(_rows, "TRI SUM_ROWS CUMSUM MEAN SOFT_MAX GROUP_NORM L2_NORM NORM RMS_NORM"),
    **_rule(lambda node: is_contiguous(node.src[0], free=1) and node.src[0].type in _HALVES, "GLU"),
    **_rule(lambda node: is_contiguous(node.src[0]), "SUM ROLL"),
    **_rule(lambda node: node.src[0].type is _F32 and all(map(has_contiguous_rows, node.src[:2])), "ACC"),
    **_rule(lambda node: node.src[0].type is _F32, "UPSCALE POOL_2D PAD PAD_REFLECT_1D TIMESTEP_EMBEDDING SOLVE_TRI"),
    **_rule(lambda node: node.src[0].type is _F32 and is_contiguous(node.src[0]), "POOL_1D"),
    **_rule(lambda node: node.src[0].type in _HALVES, "LEAKY_RELU"),
    **_rule(lambda node: node.src[1].type is _F32 and is_contiguous(node.src[1]) and node.type in _HALVES, "IM2COL"),
    **_rule(lambda node: is_contiguous(node.src[0]) and node.src[0].type in _HALVES, "CONV_2D CONV_TRANSPOSE_2D"),
    **_rule(lambda node: node.src[0].type in _HALVES and node.src[1].type is node.type is _F32, "CONV_2D_DW"),
    **_rule(_all_f32, "DSV4_HC_COMB DSV4_HC_PRE DSV4_HC_POST"),
    **_rule(lambda node: node.src[2].ne[0] % 32 == 0, "GATED_DELTA_NET"),
    **_rule(_copy, "SET CPY DUP CONT"),
    **_rule(lambda node: node.src[0].type not in _NO_PRODUCT, "GET_ROWS"),
    "SET_ROWS": _set_rows,
    "MUL_MAT": _mul_mat,
    "MUL_MAT_ID": _mul_mat_id,
    "CONCAT": _concat,
    "FLASH_ATTN_EXT": _attention,
    "LIGHTNING_INDEXER": _indexer,
}


def _supports(node: Node, *, number: int) -> bool:
    """Whether build ``number`` has a kernel for ``node``."""
    op, _, variant = node.op.partition(":")
    if (op == "UNARY" and variant not in _UNARY) or (op == "GLU" and variant not in _GLU):
        return False
    rule = _RULES.get(op)
    return rule is not None and rule(node) and number >= rows()["metal"].since.get(_since(node), 0)


def _since(node: Node) -> str:
    """What a build must know to run ``node``, empty where all that are priced do."""
    op, source = node.op, node.src[0] if node.src else node
    if op.startswith(("DSV4_", "LIGHTNING_")):
        return "indexed"
    if op == "GLU:SWIGLU_CLAMP" or (op == "CONCAT" and source.type.is_quantized):
        return "joined"
    is_rotated = op == "MUL_MAT" and source.type is _F32 and node.src[1].type is _F16
    return "hadamard" if is_rotated else ""


def _scratch(node: Node, capability: int, *, number: int) -> int:
    """Bytes that a node of build ``number`` keeps behind its result."""
    del capability
    match node.op.partition(":")[0]:
        case "MUL_MAT_ID":
            experts, tokens = node.src[0].ne[2], node.src[2].ne[1]
            return 4 * experts * (1 + tokens) + (_SUMS if number >= rows()["metal"].since["sums"] else 0)
        case "FLASH_ATTN_EXT":
            return _beside_attention(node) + (_halves(node) if number >= rows()["metal"].since["halves"] else 0)
        case "CUMSUM" | "ARGSORT":
            return node.nbytes
        case "TOP_K":
            a, b, c, d = node.src[0].ne
            return 8 * a * b * c * d - node.nbytes
    return 0


def _beside_attention(node: Node) -> int:
    """The last columns of K, V and mask, which blocks of the mask are empty, and results of the work groups."""
    q, k, v = node.src[:3]
    mask = node.src[3].ne if len(node.src) > 3 else (0, 0, 0, 0)
    strides = k.nb[1], v.nb[1]
    if k.type in _QUANTIZED and q.ne[1] >= 32:
        strides = 2 * k.ne[0], 2 * (k if _is_view_of(v, k) else v).ne[0]
    last = strides[0] * k.ne[2] * k.ne[3] + strides[1] * v.ne[2] * v.ne[3] + 2 * mask[1] * mask[2] * mask[3]
    is_vector = q.ne[1] < 20 and q.ne[0] % 32 == 0
    queries, columns = (_VECTOR_QUERIES, _VECTOR_COLUMNS) if is_vector else (_QUERIES, _COLUMNS)
    blocks = pad(-(-q.ne[1] // queries) * -(-mask[0] // columns) * mask[2] * mask[3], 32)
    results = 4 * min(q.ne[1], 32) * q.ne[2] * q.ne[3] * _GROUPS * (v.ne[0] + 2)
    return _COLUMNS * last + blocks + results


def _halves(node: Node) -> int:
    """K and V in f16, kept for unquantised caches too; a V that is a view of K has no copy of its own."""
    k, v = node.src[1:3]
    return sum(pad(2 * a * b * c * d, 16) for a, b, c, d in ((k.ne,) if _is_view_of(v, k) else (k.ne, v.ne)))


def _is_view_of(v: Node, k: Node) -> bool:
    return v.view_src is not None and (v.view_src is k or (v.view_src is k.view_src and v.offset == k.offset))


def metal(number: int) -> Backend:
    """The back end of build ``number``."""
    since = rows()["metal"].since
    # One object for all builds that are alike.
    return _of(max((first for first in since.values() if first <= number), default=0))


@cache
def _of(number: int) -> Backend:
    since = rows()["metal"].since
    optimizer = Reorderer if number >= since["kept"] else Untied if number >= since["patterns"] else Chained
    return backend(
        "metal",
        supports=partial(_supports, number=number),
        scratch=partial(_scratch, number=number),
        optimizer=optimizer,
    )

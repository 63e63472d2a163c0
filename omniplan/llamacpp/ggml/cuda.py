"""The CUDA back end of llama.cpp b11434: which nodes have a kernel (ggml-cuda.cu)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.llamacpp.ggml import cuda_fattn
from omniplan.llamacpp.ggml.cuda_fusion import Fuser
from omniplan.llamacpp.ggml.table import backend
from omniplan.llamacpp.graph.node import Node, has_contiguous_rows, is_contiguous


def _types(names: str) -> frozenset[TensorType]:
    return frozenset(TYPE_BY_NAME[name] for name in names.split())


_F32, _F16, _BF16, _I32, _I64 = (TYPE_BY_NAME[name] for name in ("f32", "f16", "bf16", "i32", "i64"))
_FLOATS = _types("f32 f16 bf16")
_HALVES = _types("f32 f16")
_MUL_MAT = _types(
    "f32 f16 bf16 q1_0 q2_0 q4_0 q4_1 q5_0 q5_1 q8_0 mxfp4 nvfp4 q2_K q3_K q4_K q5_K q6_K q8_K "
    "iq1_m iq1_s iq2_s iq2_xs iq2_xxs iq3_s iq3_xxs iq4_nl iq4_xs"
)
_GET_ROWS = _types(
    "f32 f16 bf16 i32 q1_0 q2_0 q4_0 q4_1 q5_0 q5_1 q8_0 q2_K q3_K q4_K q5_K q6_K "
    "iq2_xxs iq2_xs iq2_s iq3_xxs iq3_s iq1_s iq1_m iq4_xs"
)
_GET_ROWS_BY_256 = _types("iq4_nl mxfp4")
_SET_ROWS = _types("f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0 iq4_nl")
_CPY_FROM_F32 = _types("f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl i32")
_CPY_TO_F32 = _types("q8_0 q4_0 q4_1 q5_0 q5_1 i32")

_UNARY: Final = frozenset(
    "ABS SGN NEG STEP GELU SILU RELU SIGMOID HARDSIGMOID HARDSWISH GELU_ERF GELU_QUICK TANH EXP EXPM1 SOFTPLUS ELU "
    "XIELU FLOOR CEIL ROUND TRUNC".split()
)
_GLU: Final = frozenset("REGLU GEGLU SWIGLU SWIGLU_OAI GEGLU_ERF GEGLU_QUICK SWIGLU_CLAMP".split())


def _mul_mat(node: Node) -> bool:
    a, b = node.src[0], node.src[1]
    if a.nb[0] != a.type.size or b.nb[0] != b.type.size:
        return False
    if b.type is _F16 and a.type is not _F16:
        # The Hadamard product of a rotated cache is the only such product that has a kernel.
        return node.op == "MUL_MAT" and a.type is _F32 and b.ne == node.ne and is_contiguous(b)
    return a.type in _MUL_MAT


def _get_rows(node: Node) -> bool:
    kind = node.src[0].type
    return kind in _GET_ROWS or (kind in _GET_ROWS_BY_256 and node.src[0].ne[0] % 256 == 0)


def _set_rows(node: Node) -> bool:
    source = node.src[0].type
    known = (node.type in _SET_ROWS and source is _F32) or (node.type is _F16 and source is _F16)
    return known and node.src[1].type in (_I64, _I32)


def _cpy(node: Node) -> bool:
    source, target = node.src[0].type, node.src[1].type
    if source in _FLOATS and target in _FLOATS:
        return True
    if (source is _F32 and target in _CPY_FROM_F32) or (target is _F32 and source in _CPY_TO_F32):
        return True
    if source is _I32 and target is _I32:
        return True
    return source is target and is_contiguous(node.src[0]) and is_contiguous(node.src[1])


def _arithmetic(node: Node) -> bool:
    a, b, out = node.src[0].type, node.src[1].type, node.type
    if _BF16 in (a, b, out):
        return a is _BF16 and out is _BF16 and b in (_BF16, _F32)
    return a in _HALVES and b in _HALVES and out in _HALVES


def _concat(node: Node) -> bool:
    a, b = node.src[0], node.src[1]
    if a.type is not b.type or a.type is not node.type:
        return False
    if not a.type.is_quantized:
        return True
    return is_contiguous(a) and is_contiguous(b)


def _ssm_scan(node: Node) -> bool:
    state, decay = node.src[0], node.src[3]
    if decay.ne[0] == 1:
        return state.ne[0] in (96, 128, 256) and state.ne[1] % 16 == 0
    return state.ne[0] == 16 and state.ne[1] == 1 and state.ne[2] % 128 == 0 and node.src[4].ne[1] == 1


def _rope(node: Node) -> bool:
    return node.src[0].nb[0] == node.src[0].type.size and is_contiguous(node.src[0], free=2)


def _all_f32(node: Node) -> bool:
    return node.type is _F32 and all(src.type is _F32 for src in node.src)


def _row_sums(node: Node) -> bool:
    return node.type is _F32 and node.src[0].type is _F32 and has_contiguous_rows(node.src[0])


def _lightning_indexer(node: Node) -> bool:
    # lightning-indexer.cu:ggml_cuda_lightning_indexer_supported
    q, k = node.src[0], node.src[1]
    if q.ne[0] != 128 or q.ne[1] not in (64, 32, 4):
        return False
    if any(not t.type.is_quantized and any(stride % 16 for stride in t.nb[1:]) for t in (q, k)):
        return False
    return k.type in cuda_fattn.KV_TYPES


def _always(_: Node) -> bool:
    return True


def _rule(check: Callable[[Node], bool], ops: str) -> dict[str, Callable[[Node], bool]]:
    return dict.fromkeys(ops.split(), check)


# ggml-cuda.cu:ggml_backend_cuda_device_supports_op; an op that is not listed runs on the CPU.
_RULES: Final[dict[str, Callable[[Node], bool]]] = {
    **_rule(_always, "NONE RESHAPE VIEW PERMUTE TRANSPOSE ADD_ID ADD1 SQR SQRT SIN COS CLAMP LOG DUP ARGMAX CONT"),
    **_rule(_always, "COUNT_EQUAL DIAG_MASK_INF SOFT_MAX CONV_TRANSPOSE_2D POOL_1D POOL_2D TOP_K ARGSORT PAD UPSCALE"),
    **_rule(_always, "PAD_REFLECT_1D ARANGE TIMESTEP_EMBEDDING LEAKY_RELU RWKV_WKV6 GATED_LINEAR_ATTN RWKV_WKV7"),
    **_rule(_always, "GATED_DELTA_NET FILL CUMSUM TRI DIAG SOLVE_TRI"),
    **_rule(_mul_mat, "MUL_MAT MUL_MAT_ID"),
    **_rule(_arithmetic, "ADD SUB MUL DIV"),
    **_rule(_rope, "ROPE ROPE_BACK"),
    **_rule(lambda node: has_contiguous_rows(node.src[0]), "NORM RMS_NORM L2_NORM SUM"),
    **_rule(lambda node: is_contiguous(node.src[0]), "UNARY GROUP_NORM"),
    **_rule(lambda node: is_contiguous(node.src[0]) and is_contiguous(node.src[1]), "IM2COL CONV_2D ACC"),
    **_rule(lambda node: node.src[0].type in _HALVES and node.src[1].type is node.type is _F32, "CONV_2D_DW"),
    **_rule(lambda node: is_contiguous(node.src[0], free=1), "GLU"),
    **_rule(lambda node: node.src[0].type in _HALVES, "REPEAT"),
    **_rule(lambda node: node.src[0].type in (_F32, _BF16) and node.type is node.src[0].type, "SCALE"),
    **_rule(lambda node: node.type in (_F32, _I32) and all(s.type is node.type for s in node.src[:2]), "SET"),
    **_rule(lambda node: node.src[0].ne[1] % 128 == 0, "SSM_CONV"),
    **_rule(lambda node: node.src[0].type is _F32 and is_contiguous(node.src[0]), "ROLL"),
    **_rule(_all_f32, "OUT_PROD DSV4_HC_COMB DSV4_HC_PRE DSV4_HC_POST"),
    **_rule(_row_sums, "SUM_ROWS MEAN"),
    "GET_ROWS": _get_rows,
    "SET_ROWS": _set_rows,
    "CPY": _cpy,
    "CONCAT": _concat,
    "SSM_SCAN": _ssm_scan,
    "LIGHTNING_INDEXER": _lightning_indexer,
    "FLASH_ATTN_EXT": cuda_fattn.is_supported,
}


def supports(node: Node) -> bool:
    """Whether a CUDA device has a kernel for ``node``, wherever its sources are."""
    op, _, variant = node.op.partition(":")
    if op == "UNARY" and (variant not in _UNARY or (variant == "XIELU" and node.src[0].type is _BF16)):
        return False
    if op == "GLU" and (variant not in _GLU or (variant[6:] in ("_OAI", "_CLAMP") and node.src[0].type is _BF16)):
        return False
    if op == "MUL_MAT_ID" and variant == "F32":
        return False
    rule = _RULES.get(op)
    return rule is not None and rule(node)


CUDA: Final = backend("cuda", supports=supports, scratch=cuda_fattn.scratch, optimizer=Fuser)
assert CUDA.host is not None
HOST: Final = CUDA.host

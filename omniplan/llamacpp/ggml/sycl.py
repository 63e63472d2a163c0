"""The SYCL back end of llama.cpp b11434: its kernels, and what attention stores (ggml-sycl.cpp, fattn.cpp).

A build with oneDNN on a GPU with matrix engines stores more behind the result of attention than one without; the more
is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.llamacpp.ggml.table import backend
from omniplan.llamacpp.graph.node import Node, is_contiguous
from omniplan.units import pad


def _types(names: str) -> frozenset[TensorType]:
    return frozenset(TYPE_BY_NAME[name] for name in names.split())


_F32, _F16 = TYPE_BY_NAME["f32"], TYPE_BY_NAME["f16"]
_GET_ROWS = _types(
    "i32 f16 bf16 f32 q1_0 mxfp4 nvfp4 iq2_xxs iq2_xs iq2_s iq3_xxs iq1_s iq1_m iq3_s iq4_nl iq4_xs q2_K q3_K q4_0 "
    "q4_1 q4_K q5_0 q5_1 q5_K q6_K q8_0"
)
_SET_ROWS_FROM = _types("f32 f16 bf16")
_TERNARY = _types("tq1_0 tq2_0")
_HIGH = "q2_K q3_K q4_K q5_K q6_K iq2_xxs iq2_xs iq2_s iq3_xxs iq1_s iq1_m iq3_s iq4_xs"
_NOT_FROM = {
    _F32: _types(_HIGH),
    _F16: _types(_HIGH),
    TYPE_BY_NAME["bf16"]: _types(f"{_HIGH} q4_0 q4_1 q8_0"),
}
_NOT_TO_F32 = _types(f"{_HIGH} q1_0 nvfp4 iq4_nl")
_NOT_TO_ITSELF = _types("iq2_xxs iq2_xs iq2_s iq3_xxs iq3_s iq1_s iq1_m")
# Of K; common.hpp defines GGML_SYCL_FA_ALL_QUANTS, and nobody asks about V.
_ATTENTION = _types("f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0")
_ONEDNN = _types("f32 f16 q4_0 q4_1 q5_0 q5_1 q8_0")
_INDEXED = _types("f16 f32 bf16 q8_0 q5_1 q5_0 q4_1 q4_0 iq4_nl")
_BUFFER_ALIGNMENT: Final = 128  # common.hpp:SYCL_BUFFER_BUFFER_ALIGNMENT
_MASK_STRIDE: Final = 256  # fattn-common.hpp:FATTN_MASK_STRIDE
_WARP: Final = 16  # presets.hpp:WARP_SIZE of Intel's GPUs
_SOLVED: Final = 64  # solve_tri.hpp:SYCL_SOLVE_TRI_MAX_N

_UNARY: Final = frozenset(
    "SGN ABS NEG STEP RELU HARDSIGMOID TANH GELU SILU SIGMOID HARDSWISH GELU_QUICK GELU_ERF EXP EXPM1 SOFTPLUS ELU "
    "XIELU CEIL FLOOR ROUND TRUNC".split()
)
_GLU: Final = frozenset("REGLU GEGLU SWIGLU SWIGLU_OAI GEGLU_ERF GEGLU_QUICK SWIGLU_CLAMP".split())


def _is_permuted(node: Node) -> bool:
    return any(node.nb[i] > node.nb[i + 1] for i in range(3))


def _mul_mat(node: Node) -> bool:
    a, b = node.src[0], node.src[1]
    if a.ne[3] != b.ne[3] or a.type in _TERNARY:
        return False
    if a.type is not _F16:
        return True
    if _is_permuted(a) and not is_contiguous(a) and a.ne[2] > 1 and a.ne[3] > 1:
        return False
    return _is_permuted(a) or not (_is_permuted(b) and b.ne[2] > 1 and b.ne[3] > 1 and a.ne[0] > 128 and a.ne[2] == 1)


def _attention(node: Node) -> bool:
    """ggml_sycl_get_best_fattn_kernel."""
    q, k, v = node.src[:3]
    has_mask, ratio = len(node.src) > 3, q.ne[2] // k.ne[2]
    if _multiplies(node):
        return True
    match k.ne[0]:
        case 40 | 64 | 72 | 80 | 96 | 112 | 128 | 256 | 512:
            shape = v.ne[0] == k.ne[0]
        case 576:
            odd = any(stride % 16 for t in node.src[:4] if not t.type.is_quantized for stride in t.nb[1:])
            shape = v.ne[0] == 512 and ratio >= 2 and has_mask and not k.ne[1] % _MASK_STRIDE and not odd
        case _:
            shape = False
    one_mask = not has_mask or node.src[3].ne[2] == 1
    return shape and k.type in _ATTENTION and one_mask


def _multiplies(node: Node) -> bool:
    """Whether prompts are attended by plain products of MKL, which take caches of any type."""
    q, k, v = node.src[:3]
    if len(node.src) != 4 or q.ne[2] // k.ne[2] < 2 or q.ne[1] < 32 or k.ne[1] < 1024:
        return False
    shape = 64 <= q.ne[0] <= 512 and q.ne[0] % 64 == 0 and q.ne[0] == v.ne[0] and k.ne[3] in (1, q.ne[3])
    return shape and not any(t.type is _F16 and t.nb[1] % (2 * t.ne[0]) for t in (k, v))


def _cpy(node: Node) -> bool:
    source, target = node.src[0].type, node.src[1].type
    if target in _NOT_FROM.get(source, ()) or source in _TERNARY or target in _TERNARY:
        return False
    if target is _F32 and source in _NOT_TO_F32:
        return False
    return source is not target or source not in _NOT_TO_ITSELF


def _ssm_scan(node: Node) -> bool:
    state, decay = node.src[0], node.src[3]
    return decay.ne[0] == 1 and state.ne[0] in (128, 256) and state.ne[1] % _WARP == 0


def _lightning_indexer(node: Node) -> bool:
    q, k, weights, mask = node.src[:4]
    kinds = q.type is weights.type is node.type is _F32 and mask.type is _F16
    return kinds and k.type in _INDEXED and q.ne[0] == 8 * _WARP


def _all_f32(node: Node) -> bool:
    return node.type is _F32 and all(src.type is _F32 for src in node.src)


def _dense(node: Node) -> bool:
    return is_contiguous(node.src[0])


def _always(_: Node) -> bool:
    return True


def _rule(check: Callable[[Node], bool], ops: str) -> dict[str, Callable[[Node], bool]]:
    return dict.fromkeys(ops.split(), check)


# ggml-sycl.cpp:do_ggml_backend_sycl_device_supports_op; an op that is not listed runs on the CPU.
_RULES: Final[dict[str, Callable[[Node], bool]]] = {
    **_rule(_always, "NONE RESHAPE VIEW PERMUTE TRANSPOSE CONCAT DUP ARGMAX ADD ADD1 ADD_ID SUB COUNT_EQUAL MUL DIV"),
    **_rule(_always, "REPEAT SQR SQRT SIN COS CLAMP LOG NORM L2_NORM GROUP_NORM RMS_NORM SCALE CONT DIAG_MASK_INF PAD"),
    **_rule(_always, "SOFT_MAX ROPE ROPE_BACK IM2COL IM2COL_3D UPSCALE ARGSORT POOL_1D POOL_2D ACC LEAKY_RELU CONV_2D"),
    **_rule(_always, "TIMESTEP_EMBEDDING RWKV_WKV6 RWKV_WKV7 GATED_LINEAR_ATTN GATED_DELTA_NET FILL CUMSUM DIAG"),
    **_rule(_always, "CONV_2D_DW CONV_TRANSPOSE_2D"),
    **_rule(_mul_mat, "MUL_MAT MUL_MAT_ID"),
    **_rule(
        _all_f32, "OUT_PROD SET DSV4_HC_PRE DSV4_HC_COMB DSV4_HC_POST SSM_CONV CONV_TRANSPOSE_1D PAD_REFLECT_1D TRI"
    ),
    **_rule(_dense, "SUM SUM_ROWS MEAN TOP_K"),
    **_rule(lambda node: node.type is _F32, "ROLL ARANGE"),
    "GET_ROWS": lambda node: node.src[0].type in _GET_ROWS,
    "SET_ROWS": lambda node: node.type not in _TERNARY and node.src[0].type in _SET_ROWS_FROM,
    "SOLVE_TRI": lambda node: node.src[0].ne[0] <= _SOLVED and node.src[1].ne[0] <= _SOLVED,
    "CPY": _cpy,
    "SSM_SCAN": _ssm_scan,
    "LIGHTNING_INDEXER": _lightning_indexer,
    "FLASH_ATTN_EXT": _attention,
}


def _supports(node: Node) -> bool:
    """Whether a SYCL device has a kernel for ``node``, wherever its sources are."""
    op, _, variant = node.op.partition(":")
    if op == "UNARY":
        return variant in _UNARY
    if op == "GLU":
        return variant in _GLU and is_contiguous(node.src[0], free=1)
    rule = _RULES.get(op)
    return rule is not None and rule(node)


def _fused(node: Node) -> bool:
    """ggml_sycl_flash_attn_ext_onednn_supported, whatever the number of tokens."""
    q, k, v = node.src[:3]
    if len(node.src) != 4 or not {k.type, v.type} <= _ONEDNN or v.ne[0] != k.ne[0] or q.ne[3] != 1:
        return False
    mask = node.src[3]
    return mask.type is _F16 and mask.ne[2:] == (1, 1)


def _stored(node: Node, *, has_onednn: bool) -> int:
    """Bytes behind the result of attention: Q, K, V and the result in f16 (``ggml_sycl_fattn_get_extra``)."""
    if node.op != "FLASH_ATTN_EXT":
        return 0
    q, k, v = node.src[:3]
    fused = has_onednn and _fused(node)
    queries = q.ne[2] * q.ne[1] * k.ne[0] if fused else 0
    keys, values = (0 if t.type is _F16 else t.ne[0] * t.ne[1] * t.ne[2] * t.ne[3] for t in (k, v))
    if (
        v.view_src is not None
        and (v.view_src is k or (v.view_src is k.view_src and v.offset == k.offset))
        and not fused
    ):
        values = 0
    end = node.nbytes
    for halves in (queries, keys, values, 1 if fused else 0, queries):
        end = pad(end, _BUFFER_ALIGNMENT) + 2 * halves if halves else end
    return end - node.nbytes


SYCL: Final = backend("sycl", supports=_supports, scratch=lambda node, _: _stored(node, has_onednn=True))
# As a build without oneDNN has it.
PLAIN: Final = replace(SYCL, scratch=lambda node, _: _stored(node, has_onednn=False))

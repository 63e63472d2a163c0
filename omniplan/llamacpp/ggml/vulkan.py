"""The Vulkan back end of llama.cpp b11434: which nodes have a shader (ggml-vulkan.cpp).

A device is taken to have what a desktop driver has: shaders that share values in a subgroup, 16 bit floats, and the
memory model that sorts long rows. The facts that are numbers are rows of ``data/backends.toml``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Final

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.llamacpp.ggml.backend import Backend
from omniplan.llamacpp.ggml.table import backend, rows
from omniplan.llamacpp.ggml.vulkan_order import Reorder, Unjoined, Unkept, Unseen
from omniplan.llamacpp.graph.node import Node, has_contiguous_rows, is_contiguous


def _types(names: str) -> frozenset[TensorType]:
    return frozenset(TYPE_BY_NAME[name] for name in names.split())


_F32, _F16, _BF16, _IQ4_NL, _I32 = (TYPE_BY_NAME[name] for name in ("f32", "f16", "bf16", "iq4_nl", "i32"))
_FLOATS = _types("f32 f16")
_ROW_TYPES = _types(
    "f32 f16 bf16 q1_0 q2_0 q4_0 q4_1 q5_0 q5_1 q8_0 q2_K q3_K q4_K q5_K q6_K iq1_s iq1_m iq2_xxs iq2_xs iq2_s iq3_xxs "
    "iq3_s iq4_xs iq4_nl mxfp4 nvfp4 tq1_0 tq2_0"
)
_SET_ROWS = _types("f32 f16 bf16 q1_0 q2_0 q4_0 q4_1 q5_0 q5_1 q8_0 iq4_nl")
_CPY_FROM_F32 = _SET_ROWS | {_I32}
_CPY_TO_F32 = (_SET_ROWS - {_F32}) | {_I32}
_ATTENTION = _types("f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_0 iq4_nl")

# vk::PhysicalDeviceLimits::maxStorageBufferRange of every desktop driver; where shaders index with 64 bits, only
# the driver's maxBufferSize counts, which RADV and ANV set to about the same.
LARGEST_TENSOR: Final = (1 << 32) - 1

_UNARY: Final = frozenset(
    "EXP EXPM1 ELU GELU GELU_ERF GELU_QUICK SILU RELU XIELU NEG TANH SIGMOID HARDSIGMOID HARDSWISH ABS SOFTPLUS STEP "
    "ROUND CEIL FLOOR TRUNC SGN".split()
)
_GLU: Final = frozenset("GEGLU REGLU SWIGLU SWIGLU_OAI GEGLU_ERF GEGLU_QUICK SWIGLU_CLAMP".split())


def _mul_mat(node: Node) -> bool:
    a, b = node.src[0], node.src[1]
    if a.type not in _ROW_TYPES or (node.src[-1].ne[3] if node.op == "MUL_MAT_ID" else a.ne[3]) != b.ne[3]:
        return False
    if not (_is_dense(a) or a.type in (*_FLOATS, _BF16)) or not (_is_dense(b) or b.type in _FLOATS):
        return False
    if a.type is _BF16 and b.type is _F16:
        return False
    return b.type is not _BF16 or a.type is _BF16


def _is_dense(node: Node) -> bool:
    """Whether the matrices of a stack have no gaps within them (ggml_vk_dim01_contiguous)."""
    row = node.type.size * node.ne[0] // node.type.block
    return node.nb[:2] == (node.type.size, row) and (node.ne[3] == 1 or node.nb[3] == node.nb[2] * node.ne[2])


def _attention(node: Node) -> bool:
    q, k, v = node.src[:3]
    if k.ne[0] % 8 or v.ne[0] % 8 or q.type is not _F32 or node.type is not _F32:
        return False
    if len(node.src) > 3 and node.src[3].type is not _F16:
        return False
    return k.type in _ATTENTION and v.type in _ATTENTION and (k.type is _BF16) == (v.type is _BF16)


def _cpy(node: Node) -> bool:
    source = node.src[0].type
    target = node.src[1].type if len(node.src) > 1 else source
    if (source is _F32 and target in _CPY_FROM_F32) or (target is _F32 and source in _CPY_TO_F32):
        return True
    if source is not target or source.size % 2:
        return False
    return not source.is_quantized or (is_contiguous(node.src[0]) and is_contiguous(node))


def _set_rows(node: Node) -> bool:
    return node.src[0].type in _FLOATS and node.type in _SET_ROWS


def _same_float(node: Node) -> bool:
    return node.src[0].type in _FLOATS and node.type is node.src[0].type


def _concat(node: Node) -> bool:
    a, b = node.src[0], node.src[1]
    if a.type is not b.type or a.type is not node.type:
        return False
    return not a.type.is_quantized or all(has_contiguous_rows(t) for t in (a, b, node))


def _ssm_scan(node: Node) -> bool:
    state, decay = node.src[0], node.src[3]
    is_second = decay.nb[1] == _F32.size
    return is_second and state.type is node.type is _F32 and state.ne[0] in (128, 256) and state.ne[1] % 16 == 0


def _lightning_indexer(node: Node) -> bool:
    q, k = node.src[0], node.src[1]
    tensors = (*node.src[:4], node)
    if q.ne[0] != 128 or k.type not in _ATTENTION:
        return False
    return all(t.nb[0] == t.type.size and not any(stride % t.type.size for stride in t.nb[1:]) for t in tensors)


def _hyper(node: Node) -> bool:
    """Steps of hyper-connections, whose shaders have four streams."""
    streams = {"DSV4_HC_PRE": 0, "DSV4_HC_POST": 1}.get(node.op)
    return _all_f32(node) and (streams is None or node.src[streams].ne[1] == 4)


def _all_f32(node: Node) -> bool:
    return node.type is _F32 and all(src.type is _F32 for src in node.src)


def _is_f32(node: Node) -> bool:
    return node.src[0].type is _F32


def _dense_f32(node: Node) -> bool:
    return node.src[0].type is _F32 and is_contiguous(node.src[0])


def _always(_: Node) -> bool:
    return True


def _rule(check: Callable[[Node], bool], ops: str) -> dict[str, Callable[[Node], bool]]:
    return dict.fromkeys(ops.split(), check)


# ggml-vulkan.cpp:ggml_backend_vk_device_supports_op; an op that is not listed runs on the CPU.
_RULES: Final[dict[str, Callable[[Node], bool]]] = {
    **_rule(_always, "NONE RESHAPE VIEW PERMUTE TRANSPOSE RMS_NORM ROPE_BACK RWKV_WKV6 RWKV_WKV7"),
    **_rule(_mul_mat, "MUL_MAT MUL_MAT_ID"),
    **_rule(_cpy, "CONT CPY DUP"),
    **_rule(_same_float, "SQR SQRT SIN COS CLAMP LEAKY_RELU LOG TRI DIAG"),
    **_rule(_is_f32, "SSM_CONV PAD PAD_REFLECT_1D ROLL UPSCALE TIMESTEP_EMBEDDING IM2COL_3D SOLVE_TRI"),
    **_rule(_dense_f32, "SCALE DIAG_MASK_INF SOFT_MAX POOL_1D POOL_2D ARGMAX"),
    **_rule(_all_f32, "OUT_PROD NORM L2_NORM ACC ARANGE CONV_TRANSPOSE_1D GATED_DELTA_NET"),
    **_rule(_hyper, "DSV4_HC_COMB DSV4_HC_PRE DSV4_HC_POST"),
    **_rule(lambda node: all(t.type in _FLOATS for t in (node, *node.src[:2])), "ADD SUB MUL DIV"),
    **_rule(lambda node: all(src.type is _F32 for src in node.src[:2]), "ADD_ID"),
    **_rule(lambda node: all(t.type in _FLOATS for t in node.src[:2]), "ADD1"),
    **_rule(lambda node: is_contiguous(node.src[0]) and is_contiguous(node), "ARGSORT TOP_K"),
    **_rule(lambda node: node.src[0].type is _F32 and has_contiguous_rows(node.src[0]), "SUM SUM_ROWS MEAN CUMSUM"),
    **_rule(lambda node: has_contiguous_rows(node) and has_contiguous_rows(node.src[0]), "ROPE"),
    **_rule(lambda node: node.type in _FLOATS, "FILL"),
    **_rule(lambda node: node.type.size == node.src[0].type.size and node.type.size in (2, 4), "REPEAT"),
    **_rule(lambda node: node.type in (_F32, _I32) and all(s.type is node.type for s in node.src[:2]), "SET"),
    **_rule(lambda node: node.src[0].type in (*_ROW_TYPES, _I32), "GET_ROWS"),
    **_rule(lambda node: is_contiguous(node.src[0]), "GROUP_NORM"),
    **_rule(lambda node: node.src[1].type is _F32 and is_contiguous(node.src[1]) and node.type in _FLOATS, "IM2COL"),
    **_rule(lambda node: node.src[0].type in _FLOATS and node.src[1].type is _F32, "CONV_2D_DW CONV_2D"),
    **_rule(lambda node: _all_f32(node) and node.src[0].ne[0] == 64, "GATED_LINEAR_ATTN"),
    "FLASH_ATTN_EXT": _attention,
    "SET_ROWS": _set_rows,
    "CONCAT": _concat,
    "SSM_SCAN": _ssm_scan,
    "LIGHTNING_INDEXER": _lightning_indexer,
}


def _supports(node: Node) -> bool:
    """Whether a Vulkan device has a shader for ``node``, and can address every tensor of it."""
    op, _, variant = node.op.partition(":")
    if any(tensor.nbytes > LARGEST_TENSOR for tensor in (node, *node.src)):
        return False
    if op == "UNARY":
        return variant in _UNARY and _same_float(node)
    if op == "GLU":
        return variant in _GLU and _same_float(node) and all(src.type is node.type for src in node.src)
    if op == "MUL_MAT_ID" and variant == "F32":
        return False
    if op == "GATED_DELTA_NET" and node.src[2].ne[0] not in (16, 32, 64, 128):
        return False
    rule = _RULES.get(op)
    return rule is not None and rule(node)


def _supported_in(node: Node, *, number: int) -> bool:
    """The same of build ``number``, which may lack attention to caches of some types."""
    if node.op == "FLASH_ATTN_EXT":
        k, v = node.src[1].type, node.src[2].type
        asked = {"mixed": k is not v, "bf16": _BF16 in (k, v), "iq4_nl": _IQ4_NL in (k, v)}
        if any(is_asked and number < rows()["vulkan"].since[fact] for fact, is_asked in asked.items()):
            return False
    return _supports(node)


def vulkan(number: int) -> Backend:
    """The back end of build ``number``."""
    since = rows()["vulkan"].since
    # One object for all builds that are alike.
    return _of(max((first for first in since.values() if first <= number), default=0))


@cache
def _of(number: int) -> Backend:
    since = rows()["vulkan"].since
    makers = {"runs": Reorder, "storage": Unkept, "convolutions": Unseen}
    maker = next((make for fact, make in makers.items() if number >= since[fact]), Unjoined)
    return backend("vulkan", supports=partial(_supported_in, number=number), optimizer=maker)


VULKAN: Final = vulkan(DEFAULT_BUILD)

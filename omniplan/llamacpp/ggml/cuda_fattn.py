"""Flash attention on CUDA: which kernels exist, and what they store behind their result (fattn.cu of b11434)."""

from __future__ import annotations

from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.llamacpp.graph.node import Node
from omniplan.units import pad

VOLTA: Final = 700
TURING: Final = 750
AMPERE: Final = 800
ADA_LOVELACE: Final = 890
# common.cuh: GGML_CUDA_CC_OFFSET_AMD; a target's hexadecimal digits follow.
AMD: Final = 0x1000000
_CDNA: Final = AMD + 0x908
_RDNA: Final = AMD + 0x1010
_RDNA3: Final = AMD + 0x1100
# GGML_CUDA_CC_IS_GCN_APU
_GCN_LATE: Final = (AMD + 0x909, AMD + 0x90C)
_ALIGNMENT: Final = 128  # fattn-common.cuh:ggml_cuda_flash_attn_ext_get_f16_extra_data
_KQ_STRIDE: Final = 256  # fattn-common.cuh:FATTN_KQ_STRIDE

_F16: Final = TYPE_BY_NAME["f16"]
# fattn.cu:ggml_cuda_fattn_kv_type_supported
KV_TYPES: Final = frozenset(TYPE_BY_NAME[name] for name in "f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0".split())
# ggml/CMakeLists.txt:GGML_CUDA_FA_QUANTS, the vector kernels of a default build.
_VECTOR_PAIRS: Final = frozenset((TYPE_BY_NAME[name], TYPE_BY_NAME[name]) for name in ("f16", "bf16", "q4_0", "q8_0"))


def is_supported(node: Node) -> bool:
    """Whether a flash attention kernel exists for the head sizes and types of K and V.

    fattn.cu:ggml_cuda_get_best_fattn_kernel, the checks that do not depend on the device.
    """
    k, v = node.src[1], node.src[2]
    grouped, ratio = _grouped(node), node.src[0].ne[2] // k.ne[2]
    match k.ne[0]:
        case 40 | 64 | 72 | 80 | 96 | 112 | 128 | 256:
            shape = v.ne[0] == k.ne[0]
        case 192:
            shape = v.ne[0] == 128 and grouped and ratio % 8 == 0
        case 320:
            shape = v.ne[0] == 256 and grouped and ratio % 32 == 0
        case 512:
            shape = v.ne[0] == 512 and grouped
        case 576:
            shape = v.ne[0] == 512 and grouped
        case _:
            shape = False
    one_mask = len(node.src) < 4 or node.src[3].ne[2] == 1
    return shape and k.type in KV_TYPES and v.type in KV_TYPES and one_mask


def scratch(node: Node, capability: int) -> int:
    """Bytes after the result of attention that hold f16 copies of K and V.

    fattn.cu:ggml_cuda_flash_attn_ext_get_alloc_size; every kernel but the vector one wants f16. A V that is a view of
    K needs no copy of its own.
    """
    if node.op != "FLASH_ATTN_EXT":
        return 0
    k, v = node.src[1], node.src[2]
    if k.type is _F16 and v.type is _F16:
        return 0
    if _takes_vector_kernel(node, capability) and (k.type, v.type) in _VECTOR_PAIRS:
        return 0
    overlap = v.view_src is not None and (v.view_src is k or (v.view_src is k.view_src and v.offset == k.offset))
    size = end = node.nbytes
    if k.type is not _F16:
        end = pad(end, _ALIGNMENT) + 2 * _elements(k)
    if v.type is not _F16 and not overlap:
        end = pad(end, _ALIGNMENT) + 2 * _elements(v)
    return end - size


def _elements(node: Node) -> int:
    return node.ne[0] * node.ne[1] * node.ne[2] * node.ne[3]


def _grouped(node: Node) -> bool:
    """Whether heads that share K and V can run together; an ALiBi slope, which forbids it, is not seen here."""
    q, k = node.src[0], node.src[1]
    if q.ne[2] // k.ne[2] < 2 or len(node.src) < 4 or k.ne[1] % _KQ_STRIDE:
        return False
    return not any(stride % 16 for t in node.src[:4] if not t.type.is_quantized for stride in t.nb[1:])


def _takes_vector_kernel(node: Node, capability: int) -> bool:
    q, k, v = node.src[:3]
    if q.ne[0] > 256 or q.ne[0] % 64 or q.ne[0] == 192 or k.ne[1] % _KQ_STRIDE:
        return False
    quantized = k.type.is_quantized or v.type.is_quantized
    tokens, ratio, grouped = q.ne[1], q.ne[2] // k.ne[2], _grouped(node)
    columns = tokens * min(ratio & -ratio, 8)
    if VOLTA <= capability < TURING:
        return columns <= 2
    if capability >= AMD:
        if _has_matrix_cores(capability, q.ne[0], columns, grouped=grouped):
            return False
        return tokens <= 2 if quantized else tokens == 1 and not grouped
    if tokens == 1 and not grouped:
        return True
    if quantized:
        return tokens <= (1 if TURING <= capability < ADA_LOVELACE else 2)
    if capability < ADA_LOVELACE or tokens != 1 or q.ne[3] != 1:
        return False
    return not (ratio > 4 and (q.ne[0] >= 256 or k.ne[1] >= 8192))


def _has_matrix_cores(capability: int, head: int, columns: int, *, grouped: bool) -> bool:
    """Whether an AMD GPU has tensor cores that are faster for heads this long and so many columns of work."""
    if _CDNA <= capability < _RDNA and capability not in _GCN_LATE:
        return columns > (8 if head <= 64 else 16 if head <= 128 else 64)
    return capability >= _RDNA3 and grouped and columns > (8 if head <= 128 else 16)

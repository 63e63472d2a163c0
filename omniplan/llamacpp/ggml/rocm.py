"""The ROCm back end of llama.cpp b11434: CUDA's source compiled for HIP, and the little that differs there."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.ggml import cuda, cuda_fattn
from omniplan.llamacpp.ggml.cuda_fusion import Fuser
from omniplan.llamacpp.ggml.table import backend
from omniplan.llamacpp.graph.node import Node

# Bytes of shared memory of a block on every AMD GPU (hipDeviceProp_t.sharedMemPerBlock); indices have 4.
_SORTED_AT_ONCE: Final = (64 << 10) // 4


def _supports(node: Node) -> bool:
    """CUDA's rules, but rows are sorted in shared memory, padded to a power of two, for want of CUB."""
    if node.op == "ARGSORT":
        return node.src[0].ne[0] <= _SORTED_AT_ONCE
    return cuda.supports(node)


ROCM: Final = backend("rocm", supports=_supports, scratch=cuda_fattn.scratch, optimizer=Fuser)

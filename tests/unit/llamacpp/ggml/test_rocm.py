"""What ROCm does otherwise than CUDA."""

from __future__ import annotations

import pytest

from omniplan.domain.machine import Gpu
from omniplan.llamacpp.ggml import registry
from omniplan.llamacpp.ggml.cuda import CUDA
from omniplan.llamacpp.ggml.rocm import ROCM
from tests.unit.llamacpp.ggml.graphs import tensor
from tests.unit.llamacpp.ggml.test_cuda import attention

RDNA2, RDNA3, RDNA4, CDNA2, GCN = "gfx1030", "gfx1100", "gfx1201", "gfx90a", "gfx906"


def scratch(target: str, *, tokens: int, kind: str = "q8_0", heads: int = 32) -> int:
    """Bytes behind the result of attention of one head size on a GPU of ``target``."""
    device = registry.device(Gpu(name="ROCm0", total=1, free=1, compute_capability=target))
    return device.backend.scratch(attention(tokens=tokens, kind=kind, heads=heads), device.capability)


def test_rows_are_sorted_in_shared_memory() -> None:
    """Experts fit, a vocabulary does not; CUDA sorts both."""
    rows = {size: tensor("ARGSORT", (size, 4), tensor("NONE", (size, 4)), kind="i32") for size in (512, 16384, 16385)}

    assert [ROCM.supports(node) for node in rows.values()] == [True, True, False]
    assert all(CUDA.supports(node) for node in rows.values())


@pytest.mark.parametrize("target", [RDNA2, RDNA3, RDNA4, CDNA2, GCN, ""])
def test_a_prompt_has_a_quantised_cache_in_f16(target: str) -> None:
    """Only the vector kernel reads it as it is, and that is for a few tokens."""
    assert scratch(target, tokens=512) == scratch("8.9", tokens=512) == 2 * 2 * 4096 * 128 * 8
    assert scratch(target, tokens=512, kind="f16") == 0


@pytest.mark.parametrize(
    ("target", "tokens", "heads", "expected"),
    [
        (RDNA2, 1, 32, False),
        (RDNA2, 2, 32, False),
        (RDNA2, 3, 32, True),
        (RDNA3, 2, 32, False),
        (RDNA3, 2, 64, True),
        (RDNA4, 1, 32, False),
        (CDNA2, 2, 64, False),
        (CDNA2, 3, 64, True),
        (GCN, 2, 64, False),
    ],
)
def test_which_kernel_a_few_tokens_get(target: str, tokens: int, heads: int, expected: bool) -> None:
    """Columns of work are tokens times heads that share K, up to 8; matrix cores want more of them on CDNA."""
    assert bool(scratch(target, tokens=tokens, heads=heads)) == expected

"""What SYCL has kernels for, and what it stores, as far as the oracle's cases do not ask."""

from __future__ import annotations

import pytest

from omniplan.llamacpp.ggml.sycl import PLAIN, SYCL
from omniplan.llamacpp.graph.node import Node
from tests.unit.llamacpp.ggml.graphs import tensor, view, weight


def attention(*, tokens: int = 512, head: int = 128, kv_heads: int = 8, k: str = "f16", v: str = "f16") -> Node:
    q = tensor("ROPE", (head, tokens, 32))
    cache = [tensor("NONE", (head, 4096, kv_heads), kind=kind) for kind in (k, v)]
    return tensor("FLASH_ATTN_EXT", (head, 32, tokens), q, *cache, tensor("NONE", (4096, tokens), kind="f16"))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (attention(), True),
        (attention(head=104), False),
        (attention(k="q5_0", v="q4_0", tokens=1), True),
        (attention(k="iq4_nl", v="iq4_nl"), True),
        (attention(k="iq4_nl", v="iq4_nl", tokens=1), False),
        (attention(k="iq4_nl", v="iq4_nl", kv_heads=32), False),
        (tensor("MUL_MAT", (8, 4), weight("a", 256, 8, kind="tq1_0"), tensor("NONE", (256, 4))), False),
        (tensor("UNARY:NO_SUCH", (8, 4), tensor("NONE", (8, 4))), False),
        (tensor("NO_SUCH", (8, 4)), False),
    ],
    ids=lambda value: value.op if isinstance(value, Node) else str(value),
)
def test_supports(node: Node, expected: bool) -> None:
    """Prompts attend to caches of more types than single tokens do."""
    assert SYCL.supports(node) == expected


def test_onednn_stores_queries_and_results_and_copies_of_what_is_not_f16() -> None:
    """K and V once for either kernel; a V that is a view of K has no copy of its own without it."""
    halves = 2 * 32 * 512 * 128
    cache = 2 * 2 * 8 * 4096 * 128
    latent = attention(kv_heads=1, k="q8_0")
    latent.src = (*latent.src[:2], view(latent.src[1]), latent.src[3])

    assert SYCL.scratch(attention(), 0) == 2 * halves + 128
    assert PLAIN.scratch(attention(), 0) == 0
    assert SYCL.scratch(attention(k="q8_0", v="q8_0"), 0) == 2 * halves + cache + 128
    assert PLAIN.scratch(attention(k="q8_0", v="q8_0"), 0) == cache
    assert PLAIN.scratch(latent, 0) == 2 * 4096 * 128

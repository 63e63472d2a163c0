"""What Vulkan has shaders for, as far as the oracle's graphs do not ask."""

from __future__ import annotations

import pytest

from omniplan.llamacpp.ggml.vulkan import LARGEST_TENSOR, VULKAN, vulkan
from omniplan.llamacpp.graph.node import Node
from tests.unit.llamacpp.ggml.graphs import tensor, weight


def attention(*, head: int = 128, k: str = "f16", v: str = "f16", cells: int = 4096) -> Node:
    q = tensor("ROPE", (head, 512, 32))
    cache = [tensor("NONE", (head, cells, 8), kind=kind) for kind in (k, v)]
    return tensor("FLASH_ATTN_EXT", (head, 32, 512), q, *cache, tensor("NONE", (cells, 512), kind="f16"))


def product(kind: str, op: str = "MUL_MAT", rows: int = 8) -> Node:
    return tensor(op, (rows, 4), weight("a", 256, rows, kind=kind), tensor("NONE", (256, 4)))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (product("q4_K"), True),
        (product("tq1_0"), True),
        (product("q8_K"), False),
        (product("q4_K", "MUL_MAT_ID:F32"), False),
        (tensor("GET_ROWS", (64, 4), weight("a", 64, 8, kind="mxfp4"), tensor("NONE", (4,), kind="i32")), True),
        (tensor("ADD", (8, 4), tensor("NONE", (8, 4), kind="bf16"), tensor("NONE", (8, 4))), False),
        (tensor("UNARY:NO_SUCH", (8, 4), tensor("NONE", (8, 4))), False),
        (tensor("NO_SUCH", (8, 4)), False),
        (attention(), True),
        (attention(head=104), True),
        (attention(head=100), False),
        (attention(k="q8_0", v="q4_0"), True),
        (attention(k="iq4_nl", v="iq4_nl"), True),
        (attention(k="bf16", v="f16"), False),
        (attention(k="q6_K", v="q6_K"), False),
    ],
    ids=lambda value: value.op if isinstance(value, Node) else str(value),
)
def test_supports(node: Node, expected: bool) -> None:
    """Operations, types and head sizes with a shader; K and V may be of different types."""
    assert VULKAN.supports(node) == expected


def test_a_tensor_that_shaders_cannot_address_goes_to_the_cpu() -> None:
    """Of operands and results alike."""
    rows = LARGEST_TENSOR // (256 * 2) + 1

    assert VULKAN.supports(product("f16", rows=rows // 4))
    assert not VULKAN.supports(product("f16", rows=rows))
    assert not VULKAN.supports(attention(cells=1 << 21))


@pytest.mark.parametrize(
    ("k", "v", "since"),
    [("q8_0", "q4_0", 9113), ("bf16", "bf16", 9442), ("iq4_nl", "iq4_nl", 10178), ("f16", "f16", 1)],
)
def test_attention_came_to_more_types_from_build_to_build(k: str, v: str, since: int) -> None:
    """Before that it runs on the CPU, or not at all."""
    node = attention(k=k, v=v)

    assert vulkan(since).supports(node)
    assert not vulkan(since - 1).supports(node) or since == 1

"""What CUDA supports, offloads and pads."""

from __future__ import annotations

import pytest

from omniplan.llamacpp.ggml.backend import batch
from omniplan.llamacpp.ggml.cuda import CUDA
from omniplan.llamacpp.graph.node import Node
from tests.unit.llamacpp.ggml.graphs import GPU0, tensor, view, weight


def attention(*, tokens: int = 512, heads: int = 32, kv_heads: int = 8, head: int = 128, kind: str = "f16") -> Node:
    q = tensor("ROPE", (head, tokens, heads))
    k, v = (tensor("NONE", (head, 4096, kv_heads), kind=kind) for _ in range(2))
    mask = tensor("NONE", (4096, tokens), kind="f16")
    return tensor("FLASH_ATTN_EXT", (head, heads, tokens), q, k, v, mask)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (tensor("MUL_MAT", (8, 4), weight("a", 256, 8, kind="q4_K"), tensor("NONE", (256, 4))), True),
        (tensor("MUL_MAT", (8, 4), weight("a", 256, 8, kind="tq1_0"), tensor("NONE", (256, 4))), False),
        (tensor("GET_ROWS", (256, 4), weight("a", 256, 8, kind="mxfp4"), tensor("NONE", (4,), kind="i32")), True),
        (tensor("GET_ROWS", (64, 4), weight("a", 64, 8, kind="mxfp4"), tensor("NONE", (4,), kind="i32")), False),
        (tensor("UNARY:SILU", (8, 4), tensor("NONE", (8, 4))), True),
        (tensor("UNARY:NO_SUCH", (8, 4), tensor("NONE", (8, 4))), False),
        (tensor("GLU:SWIGLU", (8, 4), tensor("NONE", (8, 4)), tensor("NONE", (8, 4))), True),
        (tensor("ADD", (8, 4), tensor("NONE", (8, 4), kind="i32"), tensor("NONE", (8, 4))), False),
        (tensor("SSM_CONV", (100, 4), tensor("NONE", (7, 100)), weight("a", 4, 100)), False),
        (tensor("NO_SUCH", (8, 4)), False),
        (attention(), True),
        (attention(head=100), False),
        (attention(kind="iq4_nl"), False),
        (attention(head=576), False),
    ],
    ids=lambda value: value.op if isinstance(value, Node) else str(value),
)
def test_supports(node: Node, expected: bool) -> None:
    """Operations and types with a kernel."""
    assert CUDA.supports(node) == expected


def test_latent_attention_needs_grouped_heads() -> None:
    """K of 576 with V of 512 runs when several heads share it."""
    q, k = tensor("CONCAT", (576, 512, 16)), tensor("NONE", (576, 4096, 1), kind="f16")
    v = view(k, shape=(512, 4096, 1))

    def node(heads: int, cells: int = 4096) -> Node:
        key = tensor("NONE", (576, cells, 1), kind="f16")
        query = tensor("CONCAT", (576, 512, heads))
        return tensor("FLASH_ATTN_EXT", (512, heads, 512), query, key, v, tensor("NONE", (cells, 512), kind="f16"))

    assert q.ne[2] == 16
    assert CUDA.supports(node(16))
    assert not CUDA.supports(node(1))
    assert not CUDA.supports(node(16, cells=4000))


@pytest.mark.parametrize(
    ("op", "expected"), [("GET_ROWS", 0), ("MUL_MAT", 3), ("MUL_MAT_ID", 5), ("ROPE", 5), ("ADD", 15)]
)
def test_batch(op: str, expected: int) -> None:
    """The dimension that counts as batch differs by operation."""
    assert batch(tensor(op, (2, 3, 5))) == expected


def test_quantised_rows_are_padded_once() -> None:
    """The last row of a quantised tensor reaches to the next 512 elements; others only to the alignment."""
    assert GPU0.copy_size(weight("a", 256, 3, kind="q8_0")) == 1152
    assert GPU0.copy_size(weight("a", 512, 3, kind="q8_0")) == 1664
    assert GPU0.copy_size(weight("a", 33, kind="f32")) == 256


@pytest.mark.parametrize(
    ("node", "capability", "expected"),
    [
        (attention(), 890, 0),
        (attention(kind="q8_0"), 890, 2 * 2 * 128 * 4096 * 8),
        (attention(kind="q8_0", tokens=2), 890, 0),
        (attention(kind="q8_0", tokens=2), 860, 2 * 2 * 128 * 4096 * 8),
        (attention(kind="q8_0", tokens=1), 860, 0),
        (attention(kind="q5_1", tokens=1), 860, 2 * 2 * 128 * 4096 * 8),
        (attention(kind="bf16", tokens=1), 890, 0),
    ],
    ids=["f16", "prompt", "two-ada", "two-ampere", "one-ampere", "no-vector-kernel", "bf16"],
)
def test_attention_keeps_f16_copies(node: Node, capability: int, expected: int) -> None:
    """K and V that are not f16 are converted behind the result unless the vector kernel reads them."""
    assert CUDA.scratch(node, capability) == expected


def test_a_latent_value_shares_the_copy_of_its_key() -> None:
    """V that is a view of K is converted with it, unless both were copied from another device."""
    k = tensor("NONE", (576, 4096, 1), kind="q8_0")
    v = view(k, shape=(512, 4096, 1))
    node = tensor("FLASH_ATTN_EXT", (512, 16, 64), tensor("CONCAT", (576, 64, 16)), k, v)

    assert CUDA.scratch(node, 890) == 2 * 576 * 4096
    copied = tensor("FLASH_ATTN_EXT", (512, 16, 64), node.src[0], k, tensor("NONE", (512, 4096, 1), kind="q8_0"))
    assert CUDA.scratch(copied, 890) == 2 * (576 + 512) * 4096

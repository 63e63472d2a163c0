"""The ggml operations of a graph that produce data: result type, shape and sources.

Names are those of ``ggml_op_desc`` with the GLU or unary variant after a colon. Upstream: ggml/src/ggml.c, one
``ggml_*`` constructor per function. Operations that only reinterpret their source are in ``views``, the fused
recurrent and indexer kernels in ``kernels``.
"""

from __future__ import annotations

from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.llamacpp.graph.node import Dims, Node, strides

F32: Final = TYPE_BY_NAME["f32"]
F16: Final = TYPE_BY_NAME["f16"]
I32: Final = TYPE_BY_NAME["i32"]
I64: Final = TYPE_BY_NAME["i64"]


def f32(op: str, ne: Dims, src: tuple[Node, ...]) -> Node:
    """A contiguous f32 result of ``op``."""
    nb1 = 4 * ne[0]
    nb2 = nb1 * ne[1]
    return Node(op, F32, ne, (4, nb1, nb2, nb2 * ne[2]), src)


def fresh(op: str, kind: TensorType, ne: Dims, src: tuple[Node, ...]) -> Node:
    """A contiguous result of ``op`` with any type."""
    return Node(op, kind, ne, strides(kind, ne), src)


def like(op: str, a: Node, *more: Node) -> Node:
    """A contiguous result with the type and shape of ``a``, its first source (``ggml_dup_tensor``)."""
    return fresh(op, a.type, a.ne, (a, *more))


def optional(*nodes: Node | None) -> tuple[Node, ...]:
    """Sources that exist."""
    return tuple([node for node in nodes if node is not None])


def mul_mat(w: Node, x: Node) -> Node:
    """``w`` [k, n] times ``x`` [k, m]: f32 [n, m], batched over the outer dimensions of ``x``."""
    ne = x.ne
    return f32("MUL_MAT", (w.ne[1], ne[1], ne[2], ne[3]), (w, x))


def mul_mat_id(w: Node, x: Node, ids: Node) -> Node:
    """One matrix of ``w`` per selected expert: f32 [n, n_used, n_tokens]."""
    return f32("MUL_MAT_ID", (w.ne[1], ids.ne[0], x.ne[2], 1), (w, x, ids))


def add(a: Node, b: Node) -> Node:
    """``a + b``, ``b`` repeated over ``a``."""
    return fresh("ADD", a.type, a.ne, (a, b))


def add_inplace(a: Node, b: Node) -> Node:
    """``a + b`` written over ``a``: a view of ``a``."""
    return Node("ADD", a.type, a.ne, a.nb, (a, b), view_src=a.view_src or a, offset=a.offset)


def add_id(a: Node, b: Node, ids: Node) -> Node:
    """``a`` plus the row of ``b`` that ``ids`` selects."""
    return fresh("ADD_ID", a.type, a.ne, (a, b, ids))


def sub(a: Node, b: Node) -> Node:
    """``a - b``."""
    return fresh("SUB", a.type, a.ne, (a, b))


def mul(a: Node, b: Node) -> Node:
    """``a * b``, ``b`` repeated over ``a``."""
    return fresh("MUL", a.type, a.ne, (a, b))


def div(a: Node, b: Node) -> Node:
    """``a / b``, ``b`` repeated over ``a``."""
    return fresh("DIV", a.type, a.ne, (a, b))


def scale(a: Node) -> Node:
    """``a`` times a constant."""
    return fresh("SCALE", a.type, a.ne, (a,))


def clamp(a: Node) -> Node:
    """``a`` limited on both sides."""
    return fresh("CLAMP", a.type, a.ne, (a,))


def unary(kind: str, a: Node) -> Node:
    """An element-wise function: "SILU", "GELU", "RELU", "SIGMOID", "TANH", "SOFTPLUS", "EXP", "NEG" ..."""
    return fresh("UNARY:" + kind, a.type, a.ne, (a,))


def unary_inplace(kind: str, a: Node) -> Node:
    """The same written over ``a``: a view of ``a``."""
    return Node("UNARY:" + kind, a.type, a.ne, a.nb, (a,), view_src=a.view_src or a, offset=a.offset)


def sqr(a: Node) -> Node:
    """Squares."""
    return like("SQR", a)


def sqrt(a: Node) -> Node:
    """Square roots."""
    return like("SQRT", a)


def fill(a: Node) -> Node:
    """A tensor like ``a`` full of one constant."""
    return like("FILL", a)


def rms_norm(a: Node) -> Node:
    """Rows divided by their root mean square."""
    return fresh("RMS_NORM", a.type, a.ne, (a,))


def norm(a: Node) -> Node:
    """Rows with zero mean and unit variance."""
    return fresh("NORM", a.type, a.ne, (a,))


def l2_norm(a: Node) -> Node:
    """Rows divided by their Euclidean norm."""
    return like("L2_NORM", a)


def glu(kind: str, gate: Node, up: Node) -> Node:
    """``act(gate) * up`` with separate halves: "SWIGLU", "GEGLU", "REGLU", "SWIGLU_OAI", "SWIGLU_CLAMP"."""
    return fresh("GLU:" + kind, gate.type, gate.ne, (gate, up))


def glu_packed(kind: str, a: Node) -> Node:
    """``act(left half) * right half`` of every row of ``a``."""
    return fresh("GLU:" + kind, a.type, (a.ne[0] // 2, a.ne[1], a.ne[2], a.ne[3]), (a,))


def rope(a: Node, positions: Node, factors: Node | None = None) -> Node:
    """Rotary position embedding, ``factors`` being the optional frequency divisors."""
    return fresh("ROPE", a.type, a.ne, (a, positions) if factors is None else (a, positions, factors))


def rope_back(a: Node, positions: Node, factors: Node | None = None) -> Node:
    """The inverse rotation of ``rope``."""
    return fresh("ROPE_BACK", a.type, a.ne, (a, positions) if factors is None else (a, positions, factors))


def soft_max(a: Node, mask: Node | None = None, sinks: Node | None = None) -> Node:
    """Soft-max of rows, masked, with optional attention sinks."""
    return fresh("SOFT_MAX", a.type, a.ne, optional(a, mask, sinks))


def flash_attn_ext(q: Node, k: Node, v: Node, mask: Node | None, sinks: Node | None = None) -> Node:
    """Fused attention over permuted Q, K and V: f32 [head_v, n_head, n_tokens, n_stream]."""
    return f32("FLASH_ATTN_EXT", (v.ne[0], q.ne[2], q.ne[1], q.ne[3]), optional(q, k, v, mask, sinks))


def get_rows(a: Node, ids: Node) -> Node:
    """Rows of ``a`` that ``ids`` selects, as f32 (i32 stays)."""
    kind = I32 if a.type is I32 else F32
    return fresh("GET_ROWS", kind, (a.ne[0], ids.ne[0], ids.ne[1], ids.ne[2]), (a, ids))


def set_rows(a: Node, rows: Node, ids: Node) -> Node:
    """``a`` with ``rows`` written at ``ids``: a view of ``a``."""
    root = a.view_src or a
    return Node("SET_ROWS", a.type, a.ne, a.nb, (rows, ids, a), view_src=root, offset=a.offset)


def cpy(a: Node, target: Node) -> Node:
    """``a`` written into ``target``: a view of ``target``."""
    root = target.view_src or target
    return Node("CPY", target.type, target.ne, target.nb, (a, target), view_src=root, offset=target.offset)


def cast(a: Node, kind: TensorType) -> Node:
    """``a`` converted to another type; ggml makes the result its own second source."""
    result = fresh("CPY", kind, a.ne, ())
    result.src = (a, result)
    return result


def dup(a: Node) -> Node:
    """A copy of ``a``."""
    return like("DUP", a)


def cont(a: Node, ne: Dims | None = None) -> Node:
    """A contiguous copy of ``a``, optionally with another shape of as many elements."""
    return fresh("CONT", a.type, ne or a.ne, (a,))


def cont_2d(a: Node, ne0: int, ne1: int) -> Node:
    """A contiguous copy of ``a`` as a matrix."""
    return fresh("CONT", a.type, (ne0, ne1, 1, 1), (a,))


def concat(a: Node, b: Node, dim: int) -> Node:
    """``a`` followed by ``b`` along ``dim``."""
    ne = list(a.ne)
    ne[dim] += b.ne[dim]
    return fresh("CONCAT", a.type, (ne[0], ne[1], ne[2], ne[3]), (a, b))


def repeat(a: Node, ne: Dims) -> Node:
    """``a`` repeated to the shape ``ne``."""
    return fresh("REPEAT", a.type, ne, (a,))


def pad(a: Node, p0: int = 0, p1: int = 0, p2: int = 0, p3: int = 0) -> Node:
    """``a`` with zeros appended along each dimension."""
    ne = a.ne
    return fresh("PAD", a.type, (ne[0] + p0, ne[1] + p1, ne[2] + p2, ne[3] + p3), (a,))


def sum_rows(a: Node) -> Node:
    """The sum of every row."""
    return fresh("SUM_ROWS", a.type, (1, a.ne[1], a.ne[2], a.ne[3]), (a,))


def mean(a: Node) -> Node:
    """The mean of every row."""
    return f32("MEAN", (1, a.ne[1], a.ne[2], a.ne[3]), (a,))


def cumsum(a: Node) -> Node:
    """Running sums along rows."""
    return like("CUMSUM", a)


def argsort(a: Node) -> Node:
    """Indices that sort every row."""
    return fresh("ARGSORT", I32, a.ne, (a,))


def argmax(a: Node) -> Node:
    """The index of the largest element of every row."""
    return fresh("ARGMAX", I32, (a.ne[1], 1, 1, 1), (a,))


def top_k(a: Node, k: int) -> Node:
    """Indices of the ``k`` largest elements of every row, in no order."""
    return fresh("TOP_K", I32, (k, a.ne[1], a.ne[2], a.ne[3]), (a,))


def arange(n: int) -> Node:
    """``n`` evenly spaced f32 values."""
    return f32("ARANGE", (n, 1, 1, 1), ())


def pool_2d(a: Node, ne0: int, ne1: int) -> Node:
    """Pooled windows of ``a``; the caller gives the pooled width and height."""
    return f32("POOL_2D", (ne0, ne1, a.ne[2], a.ne[3]), (a,))

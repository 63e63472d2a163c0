"""The ggml operations that only reinterpret bytes: views, reshapes, permutations.

``view_src`` and ``offset`` always refer to the root tensor, as ggml keeps them. Upstream: ggml/src/ggml.c:ggml_view_*,
ggml_reshape_*, ggml_permute, ggml_transpose.
"""

from __future__ import annotations

from omniplan.llamacpp.graph.node import Dims, Node, strides
from omniplan.llamacpp.graph.ops import argsort


def _view(a: Node, ne: Dims, nb: Dims, offset: int) -> Node:
    return Node("VIEW", a.type, ne, nb, (a,), view_src=a.view_src or a, offset=a.offset + offset)


def view_1d(a: Node, ne0: int, offset: int = 0) -> Node:
    """``ne0`` consecutive elements."""
    ne = (ne0, 1, 1, 1)
    return _view(a, ne, strides(a.type, ne), offset)


def view_2d(a: Node, ne0: int, ne1: int, nb1: int, offset: int = 0) -> Node:
    """``ne1`` rows of ``ne0`` elements, ``nb1`` bytes apart."""
    nb2 = nb1 * ne1
    return _view(a, (ne0, ne1, 1, 1), (a.type.size, nb1, nb2, nb2), offset)


def view_3d(a: Node, ne0: int, ne1: int, ne2: int, nb1: int, nb2: int, offset: int = 0) -> Node:
    """A three-dimensional window with explicit strides."""
    return _view(a, (ne0, ne1, ne2, 1), (a.type.size, nb1, nb2, nb2 * ne2), offset)


def view_4d(a: Node, ne: Dims, nb1: int, nb2: int, nb3: int, offset: int = 0) -> Node:
    """A four-dimensional window with explicit strides."""
    return _view(a, ne, (a.type.size, nb1, nb2, nb3), offset)


def reshape(a: Node, ne0: int, ne1: int = 1, ne2: int = 1, ne3: int = 1) -> Node:
    """The same contiguous elements in another shape."""
    ne = (ne0, ne1, ne2, ne3)
    return Node("RESHAPE", a.type, ne, strides(a.type, ne), (a,), view_src=a.view_src or a, offset=a.offset)


def permute(a: Node, axis0: int, axis1: int, axis2: int, axis3: int) -> Node:
    """Dimension ``i`` of ``a`` becomes dimension ``axis_i``."""
    ne, nb = [0, 0, 0, 0], [0, 0, 0, 0]
    for axis, size, stride in zip((axis0, axis1, axis2, axis3), a.ne, a.nb, strict=True):
        ne[axis] = size
        nb[axis] = stride
    return Node("PERMUTE", a.type, (*ne,), (*nb,), (a,), view_src=a.view_src or a, offset=a.offset)  # type: ignore[arg-type]


def swap_middle(a: Node) -> Node:
    """Exchange dimensions 1 and 2: the permutation (0, 2, 1, 3) between heads and tokens."""
    ne, nb = a.ne, a.nb
    swapped = (ne[0], ne[2], ne[1], ne[3])
    return Node(
        "PERMUTE", a.type, swapped, (nb[0], nb[2], nb[1], nb[3]), (a,), view_src=a.view_src or a, offset=a.offset
    )


def transpose(a: Node) -> Node:
    """Exchange dimensions 0 and 1."""
    ne, nb = a.ne, a.nb
    swapped = (ne[1], ne[0], ne[2], ne[3])
    return Node(
        "TRANSPOSE", a.type, swapped, (nb[1], nb[0], nb[2], nb[3]), (a,), view_src=a.view_src or a, offset=a.offset
    )


def argsort_top_k(a: Node, k: int) -> Node:
    """The first ``k`` indices of a full sort (``ggml_argsort_top_k``)."""
    order = argsort(a)
    ne, nb = order.ne, order.nb
    return view_4d(order, (k, ne[1], ne[2], ne[3]), nb[1], nb[2], nb[3])


def is_contiguous(a: Node) -> bool:
    """Whether elements lie in order without gaps (``ggml_is_contiguous``)."""
    size = a.type.size
    if a.ne[0] != a.type.block and a.nb[0] != size:
        return False
    expected = size * a.ne[0] // a.type.block
    for n, stride in zip(a.ne[1:], a.nb[1:], strict=True):
        if n != 1:
            if stride != expected:
                return False
            expected *= n
    return True

"""K and V written into their caches: through indices of cells, or as earlier builds copied them into a view.

Upstream: src/llama-kv-cache.cpp:cpy_k, cpy_v; of builds before 2025's set_rows src/llama-graph.cpp:build_attn.
"""

from __future__ import annotations

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import cont_2d, cpy, pad, set_rows
from omniplan.llamacpp.graph.views import reshape, transpose, view_2d


def transposed(cache: Node, x: Node, ids: Node) -> Node:
    """V written element by element, transposed (``cpy_v``)."""
    width, n = x.ne[0] * x.ne[1], x.ne[2]
    rows = reshape(x, width, n) if x.type.row_size(width) == x.nb[2] else cont_2d(x, width, n)
    if width < cache.ne[0]:
        rows = pad(rows, cache.ne[0] - width)
    flat = reshape(cache, 1, cache.ne[0] * cache.ne[1] * cache.ne[2])
    return set_rows(flat, reshape(rows, 1, rows.ne[0] * n), ids)


def copy(b: Builder, il: int, k: Node | None, v: Node | None) -> None:
    """Both copied into the cells behind each other where the batch begins, V transposed where its cache is."""
    for name, x in (("k", k), ("v", v)):
        if x is None:
            continue
        cache, rows = b.cache(name, il), reshape(x, x.ne[0] * x.ne[1], x.ne[2])
        if name == "v" and b.context.v_transposed:
            rows = transpose(rows)
        b.graph.expand(cpy(rows, view_2d(cache, rows.ne[0], rows.ne[1], cache.nb[1])))

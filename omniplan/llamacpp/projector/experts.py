"""Routed experts of an encoder's layer (tools/mtmd/clip.cpp: ``clip_graph::build_moe_ffn``)."""

from __future__ import annotations

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.node import Node


def routed(x: Node, router: Node, bias: Node | None, experts: tuple[Node, Node, Node], n_used: int) -> Node:
    """Rows ``x`` through ``n_used`` of the experts' gate, up and down; a ``bias`` decides which, and not how much."""
    n, n_expert = x.ne[1], router.ne[1]
    gate_exps, up_exps, down_exps = experts
    chances = ops.unary("SIGMOID", ops.mul_mat(router, x))
    chosen = ops.top_k(chances if bias is None else ops.add(chances, bias), n_used)
    weights = views.reshape(ops.get_rows(views.reshape(chances, 1, n_expert, n), chosen), n_used, n)
    weights = views.reshape(ops.div(weights, ops.sum_rows(weights)), 1, n_used, n)
    x = views.reshape(x, x.ne[0], 1, n)
    gate, up = ops.mul_mat_id(gate_exps, x, chosen), ops.mul_mat_id(up_exps, x, chosen)
    y = ops.mul_mat_id(down_exps, ops.mul(ops.unary("SILU", gate), up), chosen)
    y = ops.mul(y, weights)
    parts = [views.view_2d(y, y.ne[0], n, y.nb[2], i * y.nb[1]) for i in range(n_used)]
    total = parts[0]
    for part in parts[1:]:
        total = ops.add(total, part)
    return ops.cont(total) if n_used == 1 else total

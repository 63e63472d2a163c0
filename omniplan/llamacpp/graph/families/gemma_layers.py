"""What Gemma 3n and Gemma 4 share: an input of its own for every layer, and layers without a cache of their own.

Upstream: src/models/gemma4.cpp:build_inp_per_layer, project_per_layer_inputs; src/llama-model.cpp:create_memory.
"""

from __future__ import annotations

from omniplan.domain.hparams import Hparams
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import normed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import I32, add, cont, get_rows, mul_mat, scale
from omniplan.llamacpp.graph.views import reshape, swap_middle, view_2d


def layer_inputs(b: Builder, x: Node, width: int) -> Node:
    """One row of ``width`` per token and layer, [width, n_tokens, n_layer]: a second embedding plus a projection."""
    n, n_layer = b.n_tokens, b.hparams.n_layer
    rows = get_rows(b.need_shared("per_layer_token_embd.weight"), b.input("inp_per_layer_tokens", I32, n))
    rows = scale(reshape(rows, width, n_layer, n))
    b.graph.expand(rows)
    projected = scale(mul_mat(b.need_shared("per_layer_model_proj.weight", 0), x))
    projected = reshape(projected, width, n_layer, n)
    projected = normed("rms", projected, b.shared("per_layer_proj_norm.weight", 0), None, -1)
    return cont(swap_middle(scale(add(projected, rows))))


def slice_of(x: Node, index: int) -> Node:
    """Matrix ``index`` of a three-dimensional tensor."""
    row = x.type.row_size(x.ne[0])
    return view_2d(x, x.ne[0], x.ne[1], row, index * row * x.ne[1])


def reused_layer(h: Hparams, il: int) -> int:
    """The layer whose cache ``il`` reads when it has none: the last of its kind among those that have one."""
    return sum(h.has_kv) - (2 if h.is_swa[il] else 1)

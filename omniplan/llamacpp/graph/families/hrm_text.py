"""HRM: two stacks of layers run in turns (src/models/hrm-text.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import project
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, rms_norm, rope
from omniplan.llamacpp.graph.recipe import Inputs, Recipe


def build(b: Builder) -> None:
    """A low and a high stack of layers run in turns; every turn has its own cache slots, weights are shared."""
    size, rounds, low_turns = (b.count(f"hrm.{key}") for key in ("layers_per_stack", "h_cycles", "l_cycles"))
    recipe = Recipe(output_bias=False)
    high = decoder.embed(b, recipe)
    low = b.need_shared("hrm.z_l_init", 0)
    inputs = decoder.shared_inputs(b, recipe)
    slot = 0
    for _ in range(rounds):
        for _ in range(low_turns):
            low = _turn(b, inputs, add(high, low), slot, 0, size)
            slot += size
        high = _turn(b, inputs, add(high, low), slot, size, size)
        slot += size
    decoder.unembed(b, recipe, get_rows(high, inputs.out_ids))


def _turn(b: Builder, inputs: Inputs, x: Node, slot: int, first: int, size: int) -> Node:
    """One pass through a stack: layers ``first`` onwards with the caches (and scales) of ``slot`` onwards."""
    assert inputs.attention is not None
    for i in range(size):
        il, cache_il = first + i, slot + i
        cur = rms_norm(x)
        q, k, v = attn.qkv_of(b, il, cur, scale_of=cache_il)
        q, k = rope(q, inputs.positions), rope(k, inputs.positions)
        attended = attn.gated(b, il, cur, attn.cached(b, inputs.attention, cache_il, q, k, v, out=""), "SIGMOID")
        x = add(project(b, il, "attn_output", attended, bias=False, scale_of=cache_il), x)
        x = add(ffn(b, il, rms_norm(x)), x)
    return rms_norm(x)

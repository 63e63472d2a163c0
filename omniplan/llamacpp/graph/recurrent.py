"""Recurrent state: rows of the state caches gathered before a mixer runs and written back after it.

Every layer that keeps a state has one row per sequence in the caches "r" (convolution or token shift) and "s" (the
state proper). Upstream: src/llama-graph.cpp:build_rs; the convolution window is src/models/mamba-base.cpp and
src/models/delta-net-base.cpp:build_conv_state. Buffers are reserved with all states in use and the batch's own first.
Where drafted tokens can be taken back, the states after each of the last few tokens are written as well: slot 0 is the
last one, slot k that of k tokens before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import concat, cont, cpy, get_rows
from omniplan.llamacpp.graph.views import reshape, view_1d, view_2d, view_3d

# Reads states by itself: all rows and the ids of the batch's own, to whatever the mixer makes of them.
Reader = Callable[[Node, Node], Node]


def states(b: Builder, inputs: RecurrentInput, part: str, il: int, read: Reader | None = None) -> Node:
    """The batch's rows [state, n_seqs] of layer ``il``'s cache ``part``, or what ``read`` makes of all rows.

    Clears one row for sequences that start, and moves the rows of sequences outside the batch behind the batch's.
    """
    cache = b.cache(part, il)
    size, n_rs, n_seqs = cache.ne[0], b.context.n_seq_max, b.batch.n_seqs
    rows = reshape(cache, size, cache.ne[1])
    b.graph.expand(_clear(view_1d(rows, size)))
    if b.context.build.rules.gathers_states_at_once:
        copied = get_rows(rows, inputs.copy if read is None else inputs.tail)
        result = view_2d(copied, size, n_seqs, copied.nb[1]) if read is None else read(rows, inputs.main)
        # A reader takes the batch's states from the cache, so the gather lacks the first row.
        first = n_seqs if read is None else n_seqs - 1
        others = view_2d(copied, size, n_rs - n_seqs, copied.nb[1], first * copied.nb[1])
    else:
        result, others = (read or get_rows)(rows, inputs.main), get_rows(rows, inputs.tail)
    b.graph.expand(result)
    target = view_2d(cache, size, n_rs - n_seqs, cache.nb[1], n_seqs * cache.nb[1])
    b.graph.expand(cpy(others, target))
    return result


def _clear(x: Node) -> Node:
    """``x`` scaled in place (``ggml_scale_inplace``)."""
    return Node("SCALE", x.type, x.ne, x.nb, (x,), view_src=x.view_src or x, offset=x.offset)


def written_slots(b: Builder) -> range:
    """Slots that a batch writes, which has a token for each."""
    return range(min(b.batch.n_seq_tokens, 1 + b.context.n_rs_seq))


def store(b: Builder, x: Node, part: str, il: int, *, flat: bool = False, slot: int = 0) -> None:
    """Write the batch's new states ``x``, a view, over its rows of ``slot``; ``flat`` sees them as one vector."""
    cache, n_seqs = b.cache(part, il), b.batch.n_seqs
    size, at = cache.ne[0], slot * b.context.n_seq_max * cache.nb[1]
    target = view_1d(cache, size * n_seqs, at) if flat else view_2d(cache, size, n_seqs, cache.nb[1], at)
    b.graph.expand(cpy(x, target))


def store_all(b: Builder, y: Node, il: int, offset: int) -> None:
    """Write the states of every written slot, which lie in ``y`` from byte ``offset`` on, slot by slot."""
    cache, n_seqs, n_slots = b.cache("s", il), b.batch.n_seqs, len(written_slots(b))
    size, row = cache.ne[0], cache.nb[1]
    new = view_3d(y, size, n_seqs, n_slots, row, row * n_seqs, offset)
    b.graph.expand(cpy(new, view_3d(cache, size, n_seqs, n_slots, row, row * b.context.n_seq_max)))


def conv_window(
    b: Builder,
    inputs: RecurrentInput,
    il: int,
    x: Node,
    *,
    flat: bool = False,
    part: str = "r",
    copied: bool = False,
    slots: Iterable[int] | None = None,
) -> Node:
    """``x`` [n_seq_tokens, channels, n_seqs] after the columns kept from earlier tokens, which it replaces.

    ``x`` is usually a transposed view; the cache ``part`` keeps as many columns as its row holds. ``copied``: the
    columns to keep are made contiguous before they are stored. ``slots`` are written in this order, by default those
    that the batch has a token for.
    """
    channels, n_seqs = x.ne[1], b.batch.n_seqs
    kept = states(b, inputs, part, il)
    kept = reshape(kept, kept.ne[0] // channels, channels, n_seqs)
    window = concat(kept, x, 0)
    n_kept = kept.ne[0]
    for slot in written_slots(b) if slots is None else slots:
        start = max(x.ne[0] - slot, 0) * window.nb[0]
        last = view_3d(window, n_kept, channels, n_seqs, window.nb[1], window.nb[2], start)
        store(b, cont(last) if copied else last, part, il, flat=flat, slot=slot)
    return window

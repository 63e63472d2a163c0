"""Projections and norms: a weight times the activations, with the optional scale and bias tensors next to it."""

from __future__ import annotations

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.node import AdaptedWeight, Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul, mul_mat, mul_mat_id, norm, repeat, rms_norm
from omniplan.llamacpp.graph.ops import scale as multiplied
from omniplan.llamacpp.graph.views import reshape


def product(w: Node, x: Node) -> Node:
    """``w x`` with what adapters of ``w`` add."""
    return scaled(w, x, None)


def scaled(w: Node, x: Node, w_scale: Node | None) -> Node:
    """``w x`` times the per-tensor scale, if any, and what adapters of ``w`` add (``build_lora_mm``)."""
    result = mul_mat(w, x)
    result = result if w_scale is None else mul(result, w_scale)
    for a, b in factors(w):
        result = add(result, multiplied(mul_mat(b, mul_mat(a, x))))
    return result


def scaled_id(w: Node, x: Node, ids: Node, w_scale: Node | None, *, slots: Node | None = None) -> Node:
    """``w x`` for the selected experts times their scales, if any, and what adapters add (``build_lora_mm_id``).

    ``slots`` is where ``w`` has the experts ``ids``, None for everything in its place.
    """
    result = mul_mat_id(w, x, ids if slots is None else slots)
    if w_scale is not None:
        n_expert, n_tokens = w_scale.ne[0], x.ne[2]
        scales = repeat(reshape(w_scale, 1, n_expert), (1, n_expert, n_tokens, 1))
        result = mul(result, get_rows(scales, ids))
    for a, b in factors(w):
        result = add(result, multiplied(mul_mat_id(b, mul_mat_id(a, x, ids), ids)))
    return result


def factors(w: Node) -> tuple[tuple[Node, Node], ...]:
    """The factors of every adapter that is applied to ``w``."""
    return w.factors if isinstance(w, AdaptedWeight) else ()


def project(
    b: Builder, il: int, stem: str, x: Node, *, scale: bool = True, bias: bool = True, scale_of: int | None = None
) -> Node:
    """``blk.<il>.<stem>.weight`` times ``x``, then ``.scale`` and ``.bias`` if wanted and present.

    ``scale_of`` is the layer whose scale is read when it is not ``il`` (layers that repeat another's weights).
    """
    factor = b.layer(il if scale_of is None else scale_of, stem + ".scale") if scale else None
    result = scaled(b.need(il, stem + ".weight"), x, factor)
    offset = b.layer(il, stem + ".bias") if bias else None
    return result if offset is None else add(result, offset)


def normed(kind: str, x: Node, weight: Node | None, bias: Node | None, il: int) -> Node:
    """Normalised rows times ``weight`` plus ``bias`` (``build_norm``); ``kind`` is "rms" or "layer".

    The bare norm carries the name "norm": the scheduler pins it to the device of layer ``il``.
    """
    result = rms_norm(x) if kind == "rms" else norm(x)
    if weight is not None or bias is not None:
        result.name, result.il = "norm", il
    if weight is not None:
        result = mul(result, weight)
    return result if bias is None else add(result, bias)


def layer_norm(b: Builder, il: int, stem: str, x: Node, kind: str = "rms", *, pin: int | None = None) -> Node:
    """The norm whose weight is ``blk.<il>.<stem>.weight``; ``pin`` is the layer to pin to when it is not ``il``.

    Some loaders leave ".weight" out of the name (falcon-h1, plamo2).
    """
    weight, bias = b.layer(il, stem + ".weight") or b.layer(il, stem), b.layer(il, stem + ".bias")
    return normed(kind, x, weight, bias, il if pin is None else pin)

"""Convolutions of a graph as products with unfolded windows, and what resizes images (ggml/src/ggml.c of b11434)."""

from __future__ import annotations

from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.llamacpp.graph.node import Dims, Node
from omniplan.llamacpp.graph.ops import F16, F32, cont, f32, fresh, mul_mat
from omniplan.llamacpp.graph.views import permute, reshape

_BF16: Final = TYPE_BY_NAME["bf16"]


def windows(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many positions a kernel has along one dimension (``ggml_calc_conv_output_size``, no dilation)."""
    return (size + 2 * padding - kernel) // stride + 1


def im2col(kernel: Node, x: Node, strides: tuple[int, int], paddings: tuple[int, int], kind: TensorType) -> Node:
    """Every window of images ``x`` [w, h, c, n] as a row (``ggml_im2col``, two dimensions)."""
    kw, kh, channels = kernel.ne[:3]
    columns = windows(x.ne[0], kw, strides[0], paddings[0])
    rows = windows(x.ne[1], kh, strides[1], paddings[1])
    return fresh("IM2COL", kind, (kw * kh * channels, columns, rows, x.ne[3]), (kernel, x))


def im2col_1d(kernel: Node, x: Node, stride: int, padding: int) -> Node:
    """Every window of sequences ``x`` [length, c, n] as a row (``ggml_im2col``, one dimension)."""
    length = windows(x.ne[0], kernel.ne[0], stride, padding)
    return fresh("IM2COL", _unfolded(kernel), (kernel.ne[0] * kernel.ne[1], length, x.ne[2], 1), (kernel, x))


def conv_2d(kernel: Node, x: Node, stride: int, padding: int = 0, *, keeps_f32: bool = False) -> Node:
    """Images ``x`` under ``kernel`` [w, h, c, c_out]: [w, h, c_out, n] (``ggml_conv_2d``).

    ``keeps_f32``: windows are f16 only under a kernel of f16.
    """
    kind = F32 if keeps_f32 and kernel.type is not F16 else _unfolded(kernel)
    unfolded = im2col(kernel, x, (stride, stride), (padding, padding), kind)
    size, columns, rows, n = unfolded.ne
    product = mul_mat(reshape(unfolded, size, n * rows * columns), reshape(kernel, size, kernel.ne[3]))
    return cont(permute(reshape(product, columns, rows, n, kernel.ne[3]), 0, 1, 3, 2))


def conv_2d_dw(kernel: Node, x: Node, stride: int, padding: int) -> Node:
    """Images under one kernel per channel (``ggml_conv_2d_dw``)."""
    kw, kh = kernel.ne[:2]
    own = reshape(kernel, kw, kh, 1, kernel.ne[2] * kernel.ne[3])
    alone = reshape(x, x.ne[0], x.ne[1], 1, x.ne[2] * x.ne[3])
    unfolded = im2col(own, alone, (stride, stride), (padding, padding), _unfolded(kernel))
    rows = reshape(unfolded, unfolded.ne[0], unfolded.ne[2] * unfolded.ne[1], x.ne[2], x.ne[3])
    product = mul_mat(reshape(own, kw * kh, own.ne[2], own.ne[3]), rows)
    return reshape(product, unfolded.ne[1], unfolded.ne[2], x.ne[2], x.ne[3])


def conv_2d_direct(kernel: Node, x: Node, stride: int, padding: int) -> Node:
    """Images under ``kernel`` by a kernel of its own (``ggml_conv_2d_direct``)."""
    columns, rows = (windows(x.ne[i], kernel.ne[i], stride, padding) for i in (0, 1))
    return fresh("CONV_2D", x.type, (columns, rows, kernel.ne[3], x.ne[3]), (kernel, x))


def conv_2d_dw_direct(kernel: Node, x: Node, stride: int, padding: int) -> Node:
    """The same with one kernel per channel (``ggml_conv_2d_dw_direct`` of contiguous images)."""
    columns, rows = (windows(x.ne[i], kernel.ne[i], stride, padding) for i in (0, 1))
    return fresh("CONV_2D_DW", x.type, (columns, rows, x.ne[2], x.ne[3]), (kernel, x))


def conv_1d(kernel: Node, x: Node, stride: int, padding: int) -> Node:
    """Sequences ``x`` under ``kernel`` [k, c, c_out]: [length, c_out, n] (``ggml_conv_1d``)."""
    unfolded = im2col_1d(kernel, x, stride, padding)
    size, length, n = unfolded.ne[:3]
    product = mul_mat(reshape(unfolded, size, n * length), reshape(kernel, size, kernel.ne[2]))
    return reshape(product, length, kernel.ne[2], n)


def pool_1d(a: Node, window: int, stride: int) -> Node:
    """Pooled windows of every row (``ggml_pool_1d``)."""
    return f32("POOL_1D", (windows(a.ne[0], window, stride, 0), a.ne[1], a.ne[2], a.ne[3]), (a,))


def interpolate(a: Node, ne: Dims) -> Node:
    """``a`` resized to ``ne`` (``ggml_interpolate``)."""
    return f32("UPSCALE", ne, (a,))


def _unfolded(kernel: Node) -> TensorType:
    return F32 if kernel.type is _BF16 else F16

"""What every encoder's graph is made of: ``clip_graph`` of b11434 (tools/mtmd/clip.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

from omniplan.llamacpp.graph import ops, views
from omniplan.llamacpp.graph.convolutions import conv_2d, interpolate, pool_1d
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import F16
from omniplan.llamacpp.projector.clip_leafs import ClipLeafs
from omniplan.llamacpp.projector.experts import routed
from omniplan.units import pad

Turn = Callable[[Node], Node]
Heads = Callable[[int, Node], tuple[Node, Node, Node]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vit:
    """One vision transformer: how many positions, what is added to the input, how Q and K are turned.

    ``mask`` is that of a layer; ``heads`` makes Q, K and V of a layer in another way than ``ClipGraph.heads``;
    ``post_norm`` is the norm at the end where that has another name.
    """

    n_pos: int
    learned: Node | None = None
    turn: Turn | None = None
    mask: Callable[[int], Node | None] | None = None
    heads: Heads | None = None
    post_norm: str = ""


class ClipGraph(ClipLeafs):
    """State of one encoder's graph under construction."""

    def patches(self, image: Node | None = None) -> Node:
        """The image cut into patches, one a row (``build_inp``)."""
        cut = conv_2d(self.need("v.patch_embd.weight"), image or self.image(), self.encoder.patch_size)
        x = ops.cont(views.transpose(views.reshape(cut, self.n_patches, self.n_embd)))
        return self.plus(x, "v.patch_embd.bias")

    def both_frames(self) -> Node:
        """The image under both kernels of a pair of frames (``build_inp_with_temporal_merge`` of a still image)."""
        image, patch = self.image(), self.encoder.patch_size
        first = conv_2d(self.need("v.patch_embd.weight"), image, patch)
        return ops.add(first, conv_2d(self.need("v.patch_embd.weight.1"), image, patch))

    def by_blocks(self, x: Node, n: int = 2) -> Node:
        """Rows of ``x`` [n_embd, columns, rows] so that each block of ``n`` by ``n`` lies together."""
        x = ops.cont(x, (self.n_embd * n, self.columns // n, self.rows, 1))
        x = views.reshape(x, self.n_embd * n, self.columns // n, n, self.rows // n)
        return ops.cont(views.swap_middle(x), (self.n_embd, self.n_patches, 1, 1))

    def plus(self, x: Node, name: str) -> Node:
        """``x`` plus the tensor called ``name`` if it is loaded."""
        bias = self.weight(name)
        return x if bias is None else ops.add(x, bias)

    def times(self, x: Node, name: str) -> Node:
        """``x`` times the tensor called ``name`` if it is loaded."""
        scale = self.weight(name)
        return x if scale is None else ops.mul(x, scale)

    def linear(self, x: Node, name: str) -> Node:
        """``x`` times the matrix ``name``.weight, plus its bias if there is one."""
        return self.plus(self.product(self.need(f"{name}.weight"), x), f"{name}.bias")

    def product(self, w: Node, x: Node) -> Node:
        """``w`` times ``x``, clamped on both sides where the kind says so (``build_mm``)."""
        if not self.kind.clamps or not w.name.endswith(".weight"):
            return ops.mul_mat(w, x)
        return ops.clamp(ops.mul_mat(w, ops.clamp(x)))

    def norm(self, x: Node, name: str = "", *, rms: bool | None = None) -> Node:
        """``x`` normalised as the kind or ``rms`` says, with the scale and shift of ``name`` (``build_norm``)."""
        x = ops.rms_norm(x) if (self.kind.rms_norm if rms is None else rms) else ops.norm(x)
        return self.plus(self.times(x, f"{name}.weight"), f"{name}.bias") if name else x

    def ffn(self, x: Node, up: str, down: str, *, gate: str = "", act: str = "GELU") -> Node:
        """A feed forward network (``build_ffn``); all activations take the same memory."""
        y = self.linear(x, up)
        if gate and self.weight(f"{gate}.weight") is not None:
            y = ops.glu("GEGLU", self.linear(x, gate), y)
        else:
            y = ops.unary(act, y)
        return self.linear(y, down)

    def layer_ffn(self, il: int, x: Node) -> Node:
        """That of a layer, or its experts; old files have the names of its ends swapped."""
        if self.weight(self.layer(il, "ffn_gate_exps.weight")) is not None:
            return self._routed(il, x)
        up, gate, down = (self.layer(il, f"ffn_{part}") for part in ("up", "gate", "down"))
        if self.kind.swaps_ffn and self.need(f"{down}.weight").ne[0] == self.n_embd:
            up, down = down, up
        return self.ffn(x, up, down, gate=gate)

    def _routed(self, il: int, x: Node) -> Node:
        names = (self.layer(il, f"ffn_{part}_exps.weight") for part in ("gate", "up", "down"))
        gate, up, down = (self.need(name) for name in names)
        n_used = max(1, min(self.encoder.number("expert_used_count"), gate.ne[2]))
        router = self.need(self.layer(il, "ffn_gate_inp.weight"))
        return routed(x, router, self.weight(self.layer(il, "exp_probs_b.weight")), (gate, up, down), n_used)

    def attention(
        self, q: Node, k: Node, v: Node, out: str, mask: Node | None = None, sinks: Node | None = None
    ) -> Node:
        """Attention of heads [d_head, n_head, n], and the product with ``out`` (``build_attn``)."""
        for part in (q, k, v):
            self.graph.expand(part)
        q, k = views.swap_middle(q), views.swap_middle(k)
        if self.flash_attn:
            k, v = ops.cast(k, F16), ops.cast(views.swap_middle(v), F16)
            mask = mask if mask is None or self.half_masks else ops.cast(mask, F16)
            x = ops.flash_attn_ext(q, k, v, mask, sinks)
            x = views.reshape(x, x.ne[0] * x.ne[1], x.ne[2] * x.ne[3])
        else:
            v = ops.cont(views.permute(v, 1, 2, 0, 3))
            x = views.swap_middle(ops.mul_mat(v, ops.soft_max(ops.mul_mat(k, q), mask, sinks)))
            x = ops.cont_2d(x, x.ne[0] * x.ne[1], x.ne[2] * x.ne[3])
        return self.linear(x, out) if self.weight(f"{out}.weight") is not None else x

    def heads(self, il: int, x: Node, n_pos: int) -> tuple[Node, Node, Node]:
        """Q, K and V of a layer as heads, normalised where it has such weights."""
        if self.weight(self.layer(il, "attn_qkv.weight")) is not None:
            x = self.linear(x, self.layer(il, "attn_qkv"))
            q, k, v = (self._part(x, i, n_pos) for i in range(3))
            return self._normed(q, il, "attn_q_norm"), self._normed(k, il, "attn_k_norm"), v
        q, k, v = (self.linear(x, self.layer(il, f"attn_{part}")) for part in "qkv")
        scale = self.weight(self.layer(il, "attn_q_norm.weight"))
        is_per_head = scale is not None and scale.ne[0] == self.d_head
        if not is_per_head:
            q, k = self._normed(q, il, "attn_q_norm"), self._normed(k, il, "attn_k_norm")
        q = views.reshape(q, self.d_head, self.n_head, n_pos)
        k, v = (views.reshape(part, self.d_head, self.n_head_kv, n_pos) for part in (k, v))
        if is_per_head:
            q, k = self._normed(q, il, "attn_q_norm"), self._normed(k, il, "attn_k_norm")
        return q, k, v

    def _part(self, x: Node, part: int, n_pos: int) -> Node:
        size, step = x.type.size, x.nb[1]
        ne = (self.d_head, self.n_head, n_pos, 1)
        return views.view_4d(x, ne, size * self.d_head, step, step * n_pos, size * part * self.n_head * self.d_head)

    def _normed(self, x: Node, il: int, name: str) -> Node:
        if self.weight(self.layer(il, f"{name}.weight")) is None:
            return x
        return ops.mul(
            ops.rms_norm(x) if self.kind.rms_norm else ops.norm(x), self.need(self.layer(il, f"{name}.weight"))
        )

    # Whole transformers

    def vit(self, x: Node, spec: Vit) -> Node:
        """A transformer over ``x`` [n_embd, n_pos] (``build_vit`` of one image)."""
        if spec.learned is not None:
            x = ops.add(x, spec.learned)
        x = self._pre_norm(views.reshape(x, self.n_embd, spec.n_pos))
        for il in range(self.encoder.n_layer):
            x = self.vit_layer(il, x, spec)
        if self.kind.pools_audio:
            x = ops.cont(views.transpose(pool_1d(ops.cont(views.transpose(x)), 2, 2)))
        after = spec.post_norm or self.own("post_ln")
        if self.weight(f"{after}.weight") is not None:
            x = self.norm(x, after)
        return views.reshape(x, self.n_embd, x.ne[1])

    def _pre_norm(self, x: Node) -> Node:
        name = self.own("pre_ln")
        return x if self.weight(f"{name}.weight") is None else self.norm(x, name)

    def vit_layer(self, il: int, x: Node, spec: Vit) -> Node:
        """One layer of it."""
        return self.fed(il, self.attended(il, x, spec))

    def attended(self, il: int, x: Node, spec: Vit) -> Node:
        """The first half of a layer."""
        y = self.norm(x, self.layer(il, "ln1"))
        q, k, v = spec.heads(il, y) if spec.heads else self.heads(il, y, spec.n_pos)
        if spec.turn is not None:
            q, k = spec.turn(q), spec.turn(k)
        if self.kind.normalises_v:
            v = ops.rms_norm(v)
        mask = spec.mask(il) if spec.mask else None
        y = self.attention(q, k, v, self.layer(il, "attn_out"), mask)
        return ops.add(self._scaled(y, il, "ls1", "attn_post_norm"), x)

    def fed(self, il: int, x: Node) -> Node:
        """The second half."""
        y = self.layer_ffn(il, self.norm(x, self.layer(il, "ln2")))
        if self.weight(self.layer(il, "ffn_post_norm.weight")) is not None:
            y = self.norm(y, self.layer(il, "ffn_post_norm"))
        x = ops.add(x, self.times(y, self.layer(il, "ls2.weight")))
        return self.times(x, self.layer(il, "out_scale.weight"))

    def _scaled(self, x: Node, il: int, scale: str, norm: str) -> Node:
        x = self.times(x, self.layer(il, f"{scale}.weight"))
        return self.norm(x, self.layer(il, norm)) if self.weight(self.layer(il, f"{norm}.weight")) is not None else x

    def resized_positions(self) -> Node:
        """Learned positions for the image's grid (``resize_position_embeddings``)."""
        learned = self.need(self.own("position_embd.weight"))
        side = isqrt(learned.ne[1])
        if (self.columns, self.rows) == (side, side):
            return learned
        grid = views.permute(views.reshape(learned, self.n_embd, side, side), 2, 0, 1, 3)
        grid = views.permute(interpolate(grid, (self.columns, self.rows, self.n_embd, 1)), 1, 2, 0, 3)
        return ops.cont_2d(grid, self.n_embd, self.n_patches)

    def merged(self, x: Node) -> Node:
        """Blocks of patches side by side in one row (``build_patch_merge_permute``)."""
        n, width = self.encoder.n_merge, x.ne[0]
        columns, rows = pad(self.columns, n), pad(self.rows, n)
        x = views.reshape(x, width, self.columns, self.rows)
        if (columns, rows) != (self.columns, self.rows):
            x = ops.pad(x, 0, columns - self.columns, rows - self.rows)
        x = views.swap_middle(views.reshape(x, width * n, columns // n, rows))
        x = views.swap_middle(ops.cont(x, (width * n * n, rows // n, columns // n, 1)))
        return ops.cont_2d(x, x.ne[0], x.ne[1] * x.ne[2])

    def stacked(self, x: Node, factor: int) -> Node:
        """Frames of sound side by side in one row (``build_stack``)."""
        if factor <= 1:
            return x
        size, step = x.ne[0] * x.ne[1] * x.ne[2] * x.ne[3], self.n_embd * factor
        whole = pad(size, step)
        if whole > size:
            x = ops.pad(views.view_1d(x, size), whole - size)
        return views.view_2d(x, step, whole // step, x.type.row_size(step))


def rope_2d(x: Node, first: Node, second: Node) -> Node:
    """Half of each head turned by one position, half by the other (``build_rope_2d``)."""
    return ops.rope(ops.rope(x, first), second)

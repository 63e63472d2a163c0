"""How ``--fit`` hands layers to devices: false position on measured memory, back to front, then front to back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Protocol

from omniplan.domain.params import Override
from omniplan.llamacpp.ggml import buffers


class Overflow(Enum):
    """Which tensors of a device's first partial layer go elsewhere; the values are fit's patterns."""

    ATTN = "ffn_(gate|up|gate_up|down).*"
    UP = "ffn_(gate|gate_up|down).*"
    GATE = "ffn_down.*"
    MOE = "ffn_(up|down|gate_up|gate)_(ch|)exps"


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """One device's share: layers in all, those without experts, and what overflows from the first of these."""

    n_layer: int = 0
    n_part: int = 0
    overflow: Overflow = Overflow.MOE
    spill: str = buffers.CPU

    @property
    def n_full(self) -> int:
        """Layers with everything on the device."""
        return self.n_layer - self.n_part


@dataclass(frozen=True, slots=True)
class Layout:
    """Shares of all devices of a model with ``n_layer`` layers and an output layer."""

    shares: tuple[DeviceShare, ...]
    n_layer: int

    @property
    def n_gpu_layers(self) -> int:
        """``-ngl``."""
        return sum(share.n_layer for share in self.shares)

    @property
    def tensor_split(self) -> tuple[int, ...]:
        """``-ts``; empty with one device."""
        return tuple(share.n_layer for share in self.shares) if len(self.shares) > 1 else ()

    @property
    def overrides(self) -> tuple[Override, ...]:
        """``-ot``, one pattern a partial layer."""
        found, il = [], self.n_layer + 1 - self.n_gpu_layers
        for share in self.shares:
            il += share.n_full
            for k in range(share.n_part):
                kind, buffer = (share.overflow, share.spill) if k == 0 else (Overflow.MOE, buffers.CPU)
                found.append(Override(rf"blk\.{il + k}\.{kind.value}", buffer))
            il += share.n_part
        return tuple(found)

    def give(self, index: int, **changes: object) -> Layout:
        """A copy in which one device's share differs."""
        share = replace(self.shares[index], **changes)  # type: ignore[arg-type]
        return replace(self, shares=(*self.shares[:index], share, *self.shares[index + 1 :]))


class WrappedAround(Exception):
    """llama.cpp's own counts of layers fall below zero, and its search ends among garbage."""


class LayoutBytes(Protocol):
    """Bytes that a layout takes on each device."""

    def __getitem__(self, index: int, /) -> int:
        """Those on one device."""

    def exceeds(self, index: int, size: int) -> bool:
        """Whether there are more than ``size``, which may be known sooner."""


Measure = Callable[[Layout], LayoutBytes]
_WRAP: Final = 1 << 32


@dataclass(slots=True, kw_only=True)
class Shares:
    """The search for shares that keep every target; ``targets`` are bytes a device may use."""

    names: tuple[str, ...]
    n_layer: int
    is_moe: bool
    targets: Sequence[int]

    def fill_back_to_front(self, measure: Measure) -> Layout:
        """Step 3: as many layers per device as fit, last device first; experts all in RAM."""
        layout = Layout((DeviceShare(),) * len(self.names), self.n_layer)
        used = measure(layout)
        for d in reversed(range(len(self.names))):
            layout, used = self._fill(layout, used, d, measure)
        return layout

    def _fill(self, low: Layout, used: LayoutBytes, d: int, measure: Measure) -> tuple[Layout, LayoutBytes]:
        left = self.n_layer + 1 - sum(share.n_layer for share in low.shares[d + 1 :])
        is_last = d == len(self.names) - 1
        if left == 0:
            return low, used

        # The output layer, on the last device, has no experts to leave behind.
        high = low.give(d, n_layer=left, n_part=left - is_last if self.is_moe else 0)
        used_high = measure(high)
        if not used_high.exceeds(d, self.targets[d]):
            return high, used_high
        n_high = left
        while (delta := n_high - low.shares[d].n_layer) > 1:
            share, step = low.shares[d], self._step(d, delta, used, used_high)
            # The quirk: after a first step of one layer the next takes one for the output layer again.
            more = step - (is_last and share.n_part == 0) if self.is_moe else 0
            tried = low.give(d, n_layer=share.n_layer + step, n_part=share.n_part + more)
            used_tried = measure(tried)
            if not used_tried.exceeds(d, self.targets[d]):
                low, used = tried, used_tried
            else:
                n_high, used_high = tried.shares[d].n_layer, used_tried
        return low, used

    def _step(self, d: int, delta: int, low: LayoutBytes, high: LayoutBytes) -> int:
        """False position in fit's integer arithmetic: a negative step wraps around and is cut to ``delta - 1``."""
        span = high[d] - low[d]
        step = int(delta * (self.targets[d] - low[d]) / span) if span else 1
        return min(max(step % _WRAP if step < 0 else step, 1), delta - 1)

    def fill_front_to_back(self, layout: Layout, measure: Measure) -> Layout:
        """Step 4: turn layers without experts into full ones, first device first, one partial layer at each border."""
        used = measure(layout)
        # The quirk: layers of devices before one that has none stay as they are.
        dense = len(self.names)
        while dense and layout.shares[dense - 1].n_layer:
            dense -= 1
        d = 0
        while d <= dense < len(self.names):
            layout, used, dense = self._convert(layout, used, dense, d, measure)
            layout, used, dense = self._one_more(layout, used, dense, d, measure)
            d += 1
        return layout

    def _convert(
        self, low: Layout, used: LayoutBytes, dense: int, d: int, measure: Measure
    ) -> tuple[Layout, LayoutBytes, int]:
        high, dense_high = self._take_all(low, dense, d), len(self.names) - 1
        used_high = measure(high)
        if not used_high.exceeds(d, self.targets[d]):
            return high, used_high, dense_high
        n_high = high.shares[d].n_full
        while (delta := n_high - low.shares[d].n_full) > 1:
            tried, dense_tried = self._take(low, dense, d, self._step(d, delta, used, used_high))
            used_tried = measure(tried)
            if not used_tried.exceeds(d, self.targets[d]):
                low, used, dense = tried, used_tried, dense_tried
            else:
                n_high, used_high = tried.shares[d].n_full, used_tried
        return low, used, dense

    def _take_all(self, layout: Layout, dense: int, d: int) -> Layout:
        for j in range(dense, len(self.names)):
            share = layout.shares[j]
            moved = share.n_layer - (j == len(self.names) - 1)
            if moved < 0 and j != d:
                raise WrappedAround
            layout = layout.give(d, n_layer=layout.shares[d].n_layer + moved)
            layout = layout.give(j, n_layer=layout.shares[j].n_layer - moved, n_part=0)
        return layout

    def _take(self, layout: Layout, dense: int, d: int, count: int) -> tuple[Layout, int]:
        """Move ``count`` layers without experts, from the first device that has them, to ``d`` as full ones."""
        while dense < len(self.names):
            share = layout.shares[dense]
            moved = min(count, share.n_part)
            layout = layout.give(dense, n_layer=share.n_layer - moved, n_part=share.n_part - moved)
            layout = layout.give(d, n_layer=layout.shares[d].n_layer + moved)
            count -= moved
            if layout.shares[dense].n_part > 0:
                break
            dense += 1
        return layout, dense

    def _one_more(
        self, layout: Layout, used: LayoutBytes, dense: int, d: int, measure: Measure
    ) -> tuple[Layout, LayoutBytes, int]:
        """Part of one more layer: up and what fits with it, else attention alone; the rest goes one device on."""
        is_last = d == len(self.names) - 1
        # With all of them taken llama.cpp reads past its last device here.
        if dense == len(self.names) or layout.shares[dense].n_layer <= is_last:
            return layout, used, dense
        source = layout.shares[dense]
        tried = layout.give(dense, n_layer=source.n_layer - 1, n_part=source.n_part - 1)
        mine = tried.shares[d]
        spill = buffers.CPU if is_last else self.names[d + 1]
        tried = tried.give(d, n_layer=mine.n_layer + 1, n_part=mine.n_part + 1, spill=spill)
        after = dense + (tried.shares[dense].n_part == 0)
        chosen = self._best_overflow(tried, d, measure)
        if chosen is None:
            return layout, used, dense
        return chosen, measure(chosen), after

    def _best_overflow(self, layout: Layout, d: int, measure: Measure) -> Layout | None:
        """The most of device ``d``'s first partial layer that fits; fit tries attention only when up does not fit."""
        best = None
        for kind in (Overflow.UP, Overflow.GATE):
            option = layout.give(d, overflow=kind)
            if not self._fits(option, d, measure):
                break
            best = option
        alone = layout.give(d, overflow=Overflow.ATTN)
        return best or (alone if self._fits(alone, d, measure) else None)

    def _fits(self, layout: Layout, d: int, measure: Measure) -> bool:
        used = measure(layout)
        return not any(used.exceeds(i, self.targets[i] - 1) for i in (d + 1, d) if i < len(self.names))

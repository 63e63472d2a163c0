"""What a compute buffer is made of when it is fullest: masks, activations, copies of weights, pipeline copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from omniplan.domain.footprint import ComputePart
from omniplan.llamacpp.ggml.allocate import Allocated, copied
from omniplan.llamacpp.ggml.splits import Schedule
from omniplan.llamacpp.graph.node import WEIGHT


def parts(plan: Schedule, allocated: Allocated) -> dict[str, Mapping[ComputePart, int]]:
    """Bytes of each part by buffer; they sum to the buffer's size."""
    found: dict[str, Mapping[ComputePart, int]] = {}
    for b, device in enumerate(plan.homes.devices):
        if allocated.nbytes[b]:
            found |= dict.fromkeys((part.buffer for part in device.parts), _parts_of(plan, allocated, b))
    return found


def _parts_of(plan: Schedule, allocated: Allocated, b: int) -> dict[ComputePart, int]:
    sizes: Counter[ComputePart] = Counter()
    for i in allocated.live[b]:
        part = _part(plan, i)
        extra = _kv_copies(plan, allocated, i)
        sizes[ComputePart.KV_COPIES] += extra
        sizes[part] += allocated.sizes[i] - extra
    sizes[ComputePart.PIPELINE] = _pipeline(plan, allocated, b)
    sizes[ComputePart.GAPS] = allocated.nbytes[b] - sum(sizes.values())
    return {part: sizes[part] for part in ComputePart if sizes[part]}


def _part(plan: Schedule, i: int) -> ComputePart:
    base = len(plan.graph.tensors)
    origin = plan.origin[i - base] if i >= base else i
    node = plan.graph.tensors[origin]
    if node.home == WEIGHT:
        return ComputePart.OFFLOAD
    if node.op != "NONE":
        return ComputePart.ACTIVATIONS
    return ComputePart.MASKS if "mask" in node.name else ComputePart.INPUTS


def _kv_copies(plan: Schedule, allocated: Allocated, i: int) -> int:
    """Bytes a flash attention reserves behind its result for K and V in f16 (ggml-cuda fattn.cu)."""
    if i >= plan.graph.n_nodes or plan.graph.op[i] != "FLASH_ATTN_EXT":
        return 0
    extra: int = allocated.sizes[i] - plan.graph.tensors[i].nbytes
    return max(0, extra)


def _pipeline(plan: Schedule, allocated: Allocated, b: int) -> int:
    """The second to last copy of every input and split input of device ``b``."""
    if plan.homes.n_copies == 1:
        return 0
    once: int = sum(allocated.sizes[i] for i in copied(plan) if plan.backend[i] == b)
    return (plan.homes.n_copies - 1) * once

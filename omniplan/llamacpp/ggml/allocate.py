"""How many bytes each compute buffer needs: ggml-alloc.c of b11434, run over a schedule without allocating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.llamacpp.ggml.arena import Arena, ChunkedArena
from omniplan.llamacpp.ggml.buffers import ENDLESS
from omniplan.llamacpp.ggml.prepared import reuses, same_layout
from omniplan.llamacpp.ggml.splits import Schedule, optimized
from omniplan.llamacpp.graph.node import Node

_NEVER: Final = 1 << 40  # Users an output has besides its real ones, so that it is never freed nor overwritten.


@dataclass(frozen=True, slots=True)
class Allocated:
    """Bytes of each device's compute buffer, in the order of ``plan.homes.devices``.

    ``live`` lists, per device, the tensors it held when its buffer grew for the last time; ``sizes`` are the bytes of
    every tensor by number.
    """

    nbytes: tuple[int, ...]
    live: tuple[tuple[int, ...], ...]
    sizes: Sequence[int]


def allocate(plan: Schedule) -> Allocated:
    """Run the allocator over ``plan``."""
    allocation = _Allocation(plan, _arenas(plan))
    allocation.run()
    live = tuple(
        tuple(sorted([i for i in snapshot if plan.backend[i] == b])) for b, snapshot in enumerate(allocation.at_peak)
    )
    return Allocated(tuple([arena.peak for arena in allocation.arenas]), live, allocation.sizes)


def peak(plan: Schedule, b: int) -> int:
    """``Allocated.nbytes`` of device ``b`` alone of a schedule that is cut: what is on others is passed over."""
    plan = optimized(plan, b)
    allocation = _Allocation(plan, _arenas(plan), only=b)
    allocation.run()
    return allocation.arenas[b].peak


def bounds(plan: Schedule) -> tuple[int, ...]:
    """No less than ``allocate`` finds, in a fifth of the time: what is held if nothing is ever freed."""
    held = [0] * len(plan.homes.devices)
    sizes, backend = sizes_of(plan), plan.backend
    for size, b in zip(sizes, backend, strict=True):
        if size > 0:
            held[b] += size
    for i in copied(plan) if plan.homes.n_copies > 1 else ():
        held[backend[i]] += (plan.homes.n_copies - 1) * max(0, sizes[i])
    return tuple(held)


def copied(plan: Schedule) -> Sequence[int]:
    """What is there once for every batch in flight: inputs of the graph and of its splits."""
    return (*_copied_inputs(plan), *range(len(plan.graph.tensors), len(plan.backend)))


def _copied_inputs(plan: Schedule) -> Sequence[int]:
    graph = plan.graph
    if plan.homes.build.rules.copies_unread_inputs:
        return graph.inputs
    read = {s for i in graph.work for s in graph.src[i]}
    return [i for i in graph.inputs if i in read]


def _arenas(plan: Schedule) -> list[Arena | ChunkedArena]:
    limits = [device.memory.max_size for device in plan.homes.devices]
    return [Arena() if limit >= ENDLESS else ChunkedArena(limit) for limit in limits]


class _Allocation:
    """State of one pass: ``users`` and ``views`` still to come, ``address`` of what is allocated and owned.

    ``at_peak`` is ``address`` as it was when each arena last grew. ``only`` is the one device that is looked at.
    """

    def __init__(self, plan: Schedule, arenas: Sequence[Arena | ChunkedArena], only: int | None = None) -> None:
        self.plan = plan
        self.arenas = arenas
        self.only = only
        copies = len(plan.origin)
        self.users = plan.graph.uses + [0] * copies
        self.views = plan.graph.views + [0] * copies
        self.address: dict[int, int] = {}
        self.at_peak: list[dict[int, int]] = [{} for _ in arenas]
        self.sizes = sizes_of(plan, only)
        self.root = plan.graph.root + [-1] * copies
        self.twins = list(plan.graph.twins) + [()] * copies
        self._retarget()

    def _retarget(self) -> None:
        """Count users of copies instead of originals, and let nodes overwrite the copies they read."""
        plan = self.plan
        for tensor, copy in plan.moved:
            self.users[tensor] -= 1
            self.users[copy] += 1
        for split in plan.splits:
            for tensor in split.inputs:
                self.users[tensor] += 1
        for kept in plan.keep.values():
            for tensor in kept:
                self.users[tensor] += 1
        for tensor in plan.graph.outputs:
            self.users[tensor] += _NEVER
        for i in plan.changed:
            if self.only in (None, plan.backend[i]):
                self.twins[i] = _twins(plan, i)

    def run(self) -> None:
        """Leafs first, then split by split: inputs, their copies, nodes and what they hold.

        Of splits that other devices run only those nodes matter to one device that free something there.
        """
        plan, only = self.plan, self.only
        self._take_leafs()
        number = len(plan.graph.tensors)
        for split in plan.splits:
            for tensor in split.inputs:
                self._release((tensor,))
                self._place(number)
                number += 1
            program = plan.order[split.start : split.end]
            if only is not None and split.backend != only:
                program = [i for i in program if plan.backend[i] == only or i in plan.keep]
            self._run_nodes(program)

    def _take_leafs(self) -> None:
        plan, graph = self.plan, self.plan.graph
        extra = plan.homes.n_copies - 1
        if extra:
            # Copies for each batch in flight are flagged as inputs and outputs: allocated first, freed never.
            for i in _copied_inputs(plan):
                self.users[i] += _NEVER
                for _ in range(extra):
                    self.arenas[plan.backend[i]].take(self.sizes[i])
            for copy in range(len(graph.tensors), len(plan.backend)):
                self.users[copy] += _NEVER
                for _ in range(extra):
                    self.arenas[plan.backend[copy]].take(self.sizes[copy])
                self._place(copy)
        for leaf in range(graph.n_nodes, len(graph.tensors)):
            if self.sizes[leaf] >= 0:
                self._place(leaf)

    def _place(self, i: int) -> None:
        b = self.plan.backend[i]
        if i not in self.address and self.only in (None, b):
            arena = self.arenas[b]
            peak = arena.peak
            self.address[i] = arena.take(self.sizes[i])
            if arena.peak > peak:
                self.at_peak[b] = self.address.copy()

    def _release(self, tensors: Sequence[int]) -> None:
        """One use less of each tensor; the last one frees it."""
        for s in tensors:
            self.users[s] -= 1
            if not (self.users[s] or self.views[s]):
                self._free(s)

    def _free(self, unused: int) -> None:
        """Free a tensor, or what it views if this was the last view."""
        whole = self.root[unused]
        if whole < 0:
            whole = unused
        else:
            self.views[whole] -= 1
            if self.views[whole] or self.users[whole]:
                return
        if whole in self.address:
            self.arenas[self.plan.backend[whole]].give(self.address.pop(whole), self.sizes[whole])

    def _run_nodes(self, program: list[int]) -> None:
        """The hot loop: place each node, over a source if it may, and free what nobody needs any more."""
        plan = self.plan
        address, users, views, sizes, twins = self.address, self.users, self.views, self.sizes, self.twins
        live, backend, arenas, keep = plan.live, plan.backend, self.arenas, plan.keep
        place, free = self._place, self._free
        for i in program:
            need = sizes[i]
            if need >= 0 and i not in address:
                for s in twins[i]:
                    if users[s] == 1 and not views[s] and s in address:
                        found = address[i] = address.pop(s)
                        if sizes[s] > need:
                            arenas[backend[s]].give(found + need, sizes[s] - need)
                        break
                else:
                    place(i)
            for s in live[i]:
                left = users[s] - 1
                users[s] = left
                if not (left or views[s]):
                    free(s)
            if i in keep:
                self._release(keep[i])


def _twins(plan: Schedule, i: int) -> tuple[int, ...]:
    tensors, base = plan.graph.tensors, len(plan.graph.tensors)
    if not reuses(plan.graph.op[i]):
        return ()
    layouts = [(s, tensors[plan.origin[s - base]] if s >= base else tensors[s]) for s in plan.live[i]]
    return tuple([s for s, layout in layouts if same_layout(layout, tensors[i])])


def sizes_of(plan: Schedule, only: int | None = None) -> list[int]:
    """Aligned bytes of every tensor where it was scheduled, copies included; -1 for what is not allocated.

    Of copies those on the device ``only``, if there is one to look at.
    """
    graph, devices = plan.graph, plan.homes.devices
    tables = [graph.sizes(device) for device in devices]
    sizes = [tables[b][i] for i, b in enumerate(plan.backend[: len(graph.tensors)])]
    for i in plan.changed:
        if graph.op[i] == "FLASH_ATTN_EXT":
            # Copies of K and V no longer overlap, which changes what lies behind the result.
            sizes[i] = devices[plan.backend[i]].size(_as_run(plan, i))
    for b, tensor in zip(plan.backend[len(sizes) :], plan.origin, strict=True):
        sizes.append(devices[b].copy_size(graph.tensors[tensor]) if only in (None, b) else -1)
    return sizes


def _as_run(plan: Schedule, i: int) -> Node:
    """Node ``i`` with the copies it reads, which are nobody's views."""
    tensors, base = plan.graph.tensors, len(plan.graph.tensors)
    src = [tensors[s] if s < base else _copy(tensors[plan.origin[s - base]]) for s in plan.src[i]]
    node = tensors[i]
    return Node(node.op, node.type, node.ne, node.nb, src)


def _copy(node: Node) -> Node:
    return Node("NONE", node.type, node.ne, node.nb)

"""Which device runs each node: the assignment passes of ggml_backend_sched_split_graph (b11434)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omniplan.errors import OmniplanError
from omniplan.llamacpp.build import Build
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.buffers import OPAQUE
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.graph.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """What a placement tells the scheduler.

    ``devices`` are in order, the CPU last. ``home`` names the buffer type of a weight or cache. ``build`` is the
    one whose rules hold. ``layers`` is the device of each layer. ``n_copies`` is 4 with pipeline parallelism, else 1.

    ``pins_norms`` tells whether norms are pinned to their layer: llama.cpp does so with all layers offloaded or below
    32 tokens. ``pins_nodes`` tells the same of the graph's ``on_cpu`` and ``looked_up``. When nothing is loaded and
    sizes are only measured, as for ``--fit``, ggml_backend_sched_reserve_size forgets both for the prompt batch.
    """

    devices: tuple[Device, ...]
    home: Callable[[Node], str]
    build: Build
    layers: Sequence[int] = ()
    pins_norms: bool = True
    pins_nodes: bool = True
    op_offload: bool = True
    offload_min_batch: int | None = None
    n_copies: int = 1


class CannotRun(OmniplanError):
    """llama.cpp aborts: a tensor lives where nothing can compute it."""

    def __init__(self, tensor: str, buffer: str) -> None:
        super().__init__(tensor, buffer)
        self.tensor = tensor
        self.buffer = buffer

    def __str__(self) -> str:
        return f"no backend of this placement can use {self.tensor!r} in buffer type {self.buffer}"


def assign(graph: Prepared, homes: Homes) -> list[int]:
    """The backend of every node and leaf, by number."""
    passes = _Passes(graph, homes)
    passes.settle()
    passes.expand()
    passes.choose()
    passes.inherit()
    return passes.backend


def shared_weights(graph: Prepared, homes: Homes) -> dict[int, int]:
    """Leafs that are the same tensor as an earlier leaf: one name, one buffer type."""
    first: dict[tuple[str, str], int] = {}
    same: dict[int, int] = {}
    for i in (i for group in graph.namesakes for i in group):
        key = graph.tensors[i].name, homes.home(graph.tensors[i])
        if first.setdefault(key, i) != i:
            same[i] = first[key]
    return same


class _Passes:
    """The state the passes share: ``backend`` by number, -1 while undecided."""

    def __init__(self, graph: Prepared, homes: Homes) -> None:
        self.graph = graph
        self.homes = homes
        self.cpu = len(homes.devices) - 1
        gpus = homes.devices[:-1]
        self.supported = [graph.supported(gpu.backend) for gpu in gpus]
        self.offloads = [graph.offloads(gpu.backend, homes.offload_min_batch) for gpu in gpus]
        self.backend = [-1] * len(graph.tensors)
        self.opaque: set[int] = set()

    def settle(self) -> None:
        """Pass 1: tensors that live somewhere, inputs, pins, and nodes with a weight."""
        graph, backend = self.graph, self.backend
        self._find_homes()
        for i in graph.inputs:
            backend[i] = self.cpu
        self._pin()
        for i in graph.rooted:
            owner = backend[graph.root[i]]
            if not self._runs(i, owner):
                raise CannotRun(graph.tensors[i].name, self.homes.devices[owner].buffer)
            backend[i] = owner
        for i, weight in graph.weighted:
            if backend[i] < 0:
                backend[i] = self._near(i, weight)

    def _find_homes(self) -> None:
        device = {gpu.buffer: i for i, gpu in enumerate(self.homes.devices[:-1])}
        backend, tensors, home = self.backend, self.graph.tensors, self.homes.home
        for i in self.graph.homed:
            buffer = home(tensors[i])
            if buffer in device:
                backend[i] = device[buffer]
                continue
            if buffer[-1].isdigit():
                raise CannotRun(tensors[i].name, buffer)
            if buffer in OPAQUE:
                self.opaque.add(i)
            backend[i] = self.cpu

    def _pin(self) -> None:
        if self.homes.pins_nodes:
            for i in self.graph.on_cpu:
                self.backend[i] = self.cpu
            for i, il in self.graph.looked_up:
                self.backend[i] = self.homes.layers[il]
        for i, il in self.graph.pinned if self.homes.pins_norms else ():
            device = self.homes.layers[il]
            if self._runs(i, device):
                self.backend[i] = device

    def _near(self, i: int, weight: int) -> int:
        """The backend that holds the weight, or a device that wants the work (op offload)."""
        owner = self.backend[weight]
        if owner == self.cpu and self.homes.op_offload and weight not in self.opaque:
            taker = next((b for b in range(self.cpu) if self.offloads[b][i] and self._runs(i, b)), -1)
            if taker >= 0:
                return taker
        return owner if self._runs(i, owner) else -1

    def _runs(self, i: int, b: int) -> bool:
        """Whether device ``b`` has the kernel and can read the sources that cannot move."""
        if b == self.cpu:
            return True
        if not self.supported[b][i]:
            return False
        backend = self.backend
        for s in self.graph.home_sources[i]:  # noqa: SIM110 - asked 70,000 times, and mostly there are none
            if backend[s] not in (b, self.cpu):
                return False
        return True

    def expand(self) -> None:
        """Pass 2: devices spread to neighbours, down then up; then the CPU does too."""
        work, backend = self.graph.work, self.backend
        for skip in (self.cpu, -1):
            loose = [place for place, i in enumerate(work) if backend[i] < 0]
            self._spread(loose, 1, skip)
            self._spread(loose[::-1], -1, skip)

    def _spread(self, loose: Sequence[int], step: int, skip: int) -> None:
        """Go over the ``loose`` places among the nodes that work, each run of which begins beside a settled node."""
        backend, work = self.backend, self.graph.work
        current, before = -1, len(work)
        for place in loose:
            if place - step != before:
                beside = place - step
                b = backend[work[beside]] if 0 <= beside < len(work) else -1
                current = -1 if b == skip else b
            before = place
            b = backend[work[place]]
            if b >= 0:
                current = -1 if b == skip else b
            elif current >= 0 and self._runs(work[place], current):
                backend[work[place]] = current

    def choose(self) -> None:
        """Pass 3: what no neighbour could take goes where most of its sources are."""
        backend = self.backend
        for i in self.graph.work:
            if backend[i] < 0:
                candidates = [b for b in range(self.cpu + 1) if self._runs(i, b)]
                backend[i] = max(candidates, key=lambda b, i=i: self._at_hand(i, b))  # type: ignore[misc]

    def _at_hand(self, i: int, b: int) -> int:
        backend, root = self.backend, self.graph.root
        places = (backend[s] if backend[s] >= 0 or root[s] < 0 else backend[root[s]] for s in self.graph.src[i])
        return sum(place == b for place in places)

    def inherit(self) -> None:
        """Pass 4: views follow what they view, remaining leafs their first user."""
        backend, root, src = self.backend, self.graph.root, self.graph.src
        for i in self.graph.late:
            current = backend[i]
            if current < 0 <= root[i]:
                current = backend[root[i]]
            for s in src[i]:
                if backend[s] < 0:
                    backend[s] = current if root[s] < 0 else backend[root[s]]
            backend[i] = current if current >= 0 else next(b for b in range(self.cpu + 1) if self._runs(i, b))

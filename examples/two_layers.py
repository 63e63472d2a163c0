"""Follow the simulation through a model of two layers: nodes, splits, and the allocator's free blocks on one GPU.

python examples/two_layers.py [splits | free]
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from omniplan.api import load_machine, load_model
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml.allocate import _Allocation
from omniplan.llamacpp.ggml.arena import Arena
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.splits import Schedule, schedule
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.graph.graph import Batch
from omniplan.llamacpp.load import compute
from omniplan.llamacpp.load.place import place

MODEL = Path(__file__).parents[1] / "tests/data/models/archs/llama-dense.gguf"
# One layer on each GPU, a micro-batch of 32 tokens; the override matches nothing and only turns pipelining off.
ARGS = "-c 256 -np 1 -ub 32 -ngl 99 -ts 1,2 -ot none=CPU --fit off"


class Trace(_Allocation):
    """The allocation, one node at a time."""

    def __init__(self, plan: Schedule, arenas: list[Arena]) -> None:
        super().__init__(plan, arenas)
        self.first = arenas[0]
        self.lines: list[str] = []

    def _run_nodes(self, program: Sequence[int]) -> None:
        for i in program:
            is_mine = self.plan.backend[i] == 0
            if is_mine and not self.lines:
                self.lines.append(self._line("copies of inputs", ""))
            before = self.address.copy()
            super()._run_nodes([i])
            if is_mine:
                self.lines.append(self._line(self._name(i), self._where(i, before)))

    def _name(self, i: int) -> str:
        return f"{i:3} {self.plan.graph.tensors[i].op}"

    def _where(self, i: int, before: dict[int, int]) -> str:
        if self.sizes[i] < 0:
            return "view"
        if i not in self.address:
            return "freed at once"
        over = [s for s in self.plan.live[i] if before.get(s) == self.address[i]]
        return f"{kib(self.sizes[i])} at {kib(self.address[i])}{f', over {over[0]}' if over else ''}"

    def _line(self, name: str, where: str) -> str:
        arena = self.first
        free = [f"{kib(at)}+{kib(size)}" for at, size in zip(arena.blocks, arena.sizes, strict=True)][:-1]
        return f"{name:20} {where:22} {' '.join([*free, f'{kib(arena.blocks[-1])}+'])}"


def kib(size: int) -> str:
    return f"{size / 1024:g}"


def main() -> None:
    model = load_model(MODEL)
    placement = place(model, load_machine("dual-4090-5070ti"), parse(ARGS.split()))
    graph = families.build(model, placement.context, Batch.prefill(placement.context))
    prepared = Prepared(graph.nodes, graph.leafs, graph.on_cpu)
    homes = compute.homes(model, placement, placement.context.n_tokens)
    plan = schedule(prepared, homes)
    arenas = [Arena() for _ in homes.devices]
    trace = Trace(plan, arenas)
    trace.run()
    show = sys.argv[1:] or ["splits", "free"]
    if "splits" in show:
        print("\n".join(splits(plan)))
    if "free" in show:
        print(f"{'node on CUDA0':20} {'result, KiB':22} free blocks after it")
        print("\n".join(trace.lines))
    print(", ".join(f"{b.buffer} {a.peak:,} bytes" for b, a in zip(homes.devices, arenas, strict=True)))


def splits(plan: Schedule) -> Iterator[str]:
    tensors = plan.graph.tensors
    yield f"{plan.graph.n_nodes} nodes, {len(tensors) - plan.graph.n_nodes} leafs"
    for number, split in enumerate(plan.splits):
        names = [f"{i} {tensors[i].name or tensors[i].op}" for i in split.inputs]
        yield f"split {number} on {plan.homes.devices[split.backend].name}: nodes {split.start} to {split.end - 1}"
        if names:
            yield f"  copies in: {', '.join(names)}"


if __name__ == "__main__":
    main()

"""What the search tells: reasons for what was chosen and what was not, with bytes and sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.evidence import Reason
from omniplan.domain.footprint import Footprint
from omniplan.domain.machine import Gpu
from omniplan.domain.model import Model
from omniplan.domain.plan import Margin
from omniplan.search import patterns
from omniplan.search.arguments import Candidate
from omniplan.search.costs import LayerCosts
from omniplan.units import gib, mib

SINGLE_GPU: Final = "GLM diary, strategy A: never spread a model that fits on one card"
EXPERTS_LAST: Final = "GLM diary, lesson 2: exps=CPU is conditional, never a default for MoE"
FOLLOW: Final = "GLM diary, key finding: KV cache and norms follow -ts, not -ot; llama.cpp b11434 load_tensors"
PINNED: Final = "GLM diary, FIT policy of 2026-02-23: a pinned placement needs --fit off"
HEADROOM: Final = "Protocol OMNI F-005: keep 10 to 15 % of VRAM free for growth"
SLOW_GPU: Final = "published A/B runs in which a second GPU lost 10 %: ik_llama.cpp #629"
BYTES: Final = "simulation of llama.cpp b11434"


class Reporter:
    """Collects reasons while the search runs; they are never reconstructed afterwards."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._rejected: list[Reason] = []
        self._chosen: list[Reason] = []

    def too_big_for(self, gpu: Gpu, need: int, budget: int) -> None:
        """The whole model does not fit on one GPU, weights and cache alone."""
        self._reject(
            f"everything on {gpu.name}",
            f"weights and KV cache take {gib(need)}, {gpu.name} ({gpu.description or 'GPU'}) has {gib(budget)} "
            f"after headroom: short by {mib(need - budget)} before any compute buffer",
            "header: tensor table; machine: free memory less headroom",
        )

    def rejected(self, candidate: Candidate, missing: dict[str, int]) -> None:
        """A priced candidate broke a limit."""
        where = ", ".join(f"{mib(size)} on {name}" for name, size in missing.items())
        self._reject(f"{candidate.strategy}: {' '.join(candidate.args)}", f"short by {where}, headroom kept", BYTES)

    def chosen(self, candidate: Candidate, priced: Footprint, costs: LayerCosts) -> None:
        """The winner, and why it is laid out so."""
        self._chosen = [*self._placement(candidate, priced, costs), *self._layout(candidate, priced)]

    def recall(self) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
        """What has been told so far."""
        return tuple(self._chosen), tuple(self._rejected)

    def restore(self, told: tuple[tuple[Reason, ...], tuple[Reason, ...]]) -> None:
        """Forget what was told since ``recall``."""
        self._chosen, self._rejected = map(list, told)

    def second_gpu(self, names: Sequence[str], gain: float, margin: float) -> None:
        """GPUs slower than the fastest were weighed against doing without them."""
        which = ", ".join(names)
        share = f"{gain:.0%} of the predicted time" if gain > 0 else "no predicted time"
        if gain >= margin:
            text = f"slower than the fastest GPU, but saves {share}, more than the {margin:.0%} it must"
            self.note(Reason(verdict="chosen", subject=which, statement=text, source=SLOW_GPU))
        else:
            text = f"slower than the fastest GPU and saves {share}, less than the {margin:.0%} it must"
            self._reject(which, text, SLOW_GPU)

    def note(self, reason: Reason) -> None:
        """One more thing worth saying about the winner."""
        self._chosen.append(reason)

    def reasons(self, candidate: Candidate, priced: Footprint, margins: Sequence[Margin]) -> tuple[Reason, ...]:
        """Everything worth saying, in the order a person would: what, why not otherwise, what is left."""
        return (*self._chosen, *self._rejected, *self._facts(candidate, priced), *_headroom(margins))

    def _reject(self, subject: str, statement: str, source: str) -> None:
        self._rejected.append(Reason(verdict="rejected", subject=subject, statement=statement, source=source))

    def _placement(self, candidate: Candidate, priced: Footprint, costs: LayerCosts) -> Iterator[Reason]:
        gpus = [name for name, size in priced.buffers.items() if name in set(priced.layers) and size.model]
        if "CPU" in priced.layers:
            yield _on_cpu(candidate, priced)
            return
        if not candidate.moved:
            yield Reason(
                verdict="chosen",
                subject=candidate.strategy,
                statement=f"all weights fit in VRAM ({', '.join(gpus) or 'none needed'}), nothing waits for the CPU",
                source=SINGLE_GPU if len(gpus) == 1 else BYTES,
            )
            return
        size = sum(costs.on_cpu[il] for il in candidate.moved)
        what = "routed experts" if costs.tensors == patterns.EXPERTS else "FFN weights"
        layers = sum(1 for il in candidate.moved if costs.movable[il])
        yield Reason(
            verdict="chosen",
            subject=candidate.strategy,
            statement=f"the {what} of {layers} layers ({gib(size)}) go to RAM, in the least predicted time of what "
            "fits; attention, norms, shared experts and KV cache of every layer stay on a GPU",
            source=EXPERTS_LAST,
        )

    def _layout(self, candidate: Candidate, priced: Footprint) -> Iterator[Reason]:
        n = self.model.hparams.n_layer_all
        if "-ts" in candidate.args:
            counts = ", ".join(f"{part.name}: {_span(part.first, part.last, n)}" for part in candidate.ranges)
            yield Reason(
                verdict="chosen",
                subject=f"-ts {candidate.args[candidate.args.index('-ts') + 1]}",
                statement=f"{counts}; the split counts layers, so KV cache and norms live where the weights live",
                source=FOLLOW,
            )
        if priced.graph_splits is not None:
            yield Reason(
                verdict="note",
                subject="graph splits",
                statement=f"{priced.graph_splits.prefill} for a prompt batch, {priced.graph_splits.decode} per token",
                source=BYTES,
            )
        yield Reason(
            verdict="chosen",
            subject="--fit off",
            statement="the placement is pinned; --fit would refuse to touch it and could still shrink the context",
            source=PINNED,
        )

    def _facts(self, candidate: Candidate, priced: Footprint) -> Iterator[Reason]:
        h = self.model.hparams
        if h.n_layer_nextn:
            yield Reason(
                verdict="note",
                subject="nextn layers",
                statement=f"{h.n_layer_nextn} of {h.n_layer_all} layers are nextn (MTP): -ngl counts them, "
                "llama-server does not load them unless --spec-type draft-mtp asks",
                source=f"header: {self.model.arch}.nextn_predict_layers",
            )
        if priced.n_seq_max > 1:
            yield Reason(
                verdict="note",
                subject=f"-np {priced.n_seq_max}",
                statement=f"each of {priced.n_seq_max} slots gets {priced.n_ctx_seq:,} tokens of {priced.n_ctx:,}",
                source="llama.cpp b11434 llama_context: n_ctx_seq",
            )
        if priced.n_ctx > h.n_ctx_train:
            yield Reason(
                verdict="note",
                subject=f"-c {priced.n_ctx}",
                statement=f"more than the {h.n_ctx_train:,} tokens the model was trained on",
                source=f"header: {self.model.arch}.context_length",
            )
        if "-cram" in candidate.args:
            yield Reason(
                verdict="chosen",
                subject=f"-cram {candidate.args[candidate.args.index('-cram') + 1]}",
                statement="llama-server's prompt cache defaults to 8 GiB of RAM, which this machine does not have left",
                source="llama.cpp b11434 --cache-ram",
            )


def _on_cpu(candidate: Candidate, priced: Footprint) -> Reason:
    """Why whole layers stay in RAM."""
    count = priced.layers.count("CPU")
    if count < len(priced.layers):
        what = f"layers 0 to {count - 1} stay in RAM: attention and KV cache of all layers are more than the GPUs hold"
    elif len(priced.pools) > 1:
        what = "everything stays in RAM: the GPUs hold no layer after headroom"
    else:
        what = "everything stays in RAM: the machine has no GPU"
    return Reason(verdict="chosen", subject=candidate.strategy, statement=what, source=BYTES)


def _span(first: int, last: int, n_layer_all: int) -> str:
    """Layers ``first`` to ``last - 1`` in words; the one after the last block is the output layer."""
    if last <= n_layer_all:
        return f"layers {first} to {last - 1}"
    return "the output" if first == n_layer_all else f"layers {first} to {n_layer_all - 1} and the output"


def _headroom(margins: Sequence[Margin]) -> Iterator[Reason]:
    for margin in margins:
        yield Reason(
            verdict="note",
            subject=f"headroom on {margin.pool}",
            statement=f"{mib(margin.capacity - margin.used)} of {mib(margin.capacity)} stay free "
            f"({margin.free_fraction:.0%}), {mib(margin.left)} beyond what the policy keeps",
            source=HEADROOM,
        )

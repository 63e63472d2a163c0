"""Why a solution is laid out as it is, in words: what was chosen, what that means, what stays free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.footprint import RAM, Footprint
from omniplan.domain.headroom import Margin
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.llamacpp.flags.write import override_text
from omniplan.llamacpp.ggml import buffers
from omniplan.planning.candidates import Candidate
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution
from omniplan.planning.timing import MODEL
from omniplan.units import gib, mib

SINGLE_GPU: Final = "docs/lessons.md#glm-one-card: never spread a model that fits on one card"
EXPERTS_LAST: Final = "docs/lessons.md#glm-2: exps=CPU is conditional, never a default for MoE"
FOLLOW: Final = "docs/lessons.md#glm-cache-follows: KV cache and norms follow -ts, not -ot; llama.cpp load_tensors"
PINNED: Final = "docs/lessons.md#glm-7: a pinned placement needs --fit off"
HEADROOM: Final = "docs/decisions/0004-headroom.md: buffers are exact, so that only what is not in them is kept"


def layout_reasons(problem: Problem, solution: Solution) -> Iterator[Reason]:
    """Why the search's own placement is what it is; a note says whose another one is."""
    if not solution.candidate.is_baseline:
        yield from _placement(solution.candidate, solution.footprint, problem)
        yield from _chosen(problem, solution)
    yield from _settled(problem, solution)


def fact_reasons(problem: Problem, solution: Solution) -> Iterator[Reason]:
    """What is worth knowing about any placement of this model."""
    yield from _facts(problem.model, solution.params, solution.footprint)


def _placement(candidate: Candidate, priced: Footprint, problem: Problem) -> Iterator[Reason]:
    costs = problem.costs
    gpus = [name for name, size in priced.buffers.items() if name in set(priced.layers) and size.model]
    if buffers.CPU in priced.layers:
        yield _on_cpu(candidate, priced)
    elif not candidate.moved:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=candidate.strategy,
            statement=f"all weights{' that are not pinned' if problem.pins.overrides else ''} fit in VRAM "
            f"({', '.join(gpus) or 'none needed'}), nothing waits for the CPU",
            source=SINGLE_GPU if len(gpus) == 1 else priced.source,
        )
    else:
        size = sum(
            round(costs.on_cpu[il] * (1 - (part.partial.share if il == part.cut and part.partial else 0)))
            for part in candidate.ranges
            for il in part.moved
        )
        layers = sum(1 for il in candidate.moved if costs.movable[il])
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=candidate.strategy,
            statement=f"{problem.what_moves} of {layers} layers ({gib(size)}) in RAM: the fastest that fits",
            source=EXPERTS_LAST,
        )


def _chosen(problem: Problem, solution: Solution) -> Iterator[Reason]:
    """What single arguments are for."""
    params, candidate, n = solution.params, solution.candidate, problem.model.hparams.n_layer_all
    if problem.pins.overrides:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=f"-ot {','.join(map(override_text, problem.pins.overrides))}",
            statement=f"pinned: {len(problem.pins.homes)} tensors are where you put them, the rest is laid around them",
            source="pins of the request",
        )
    if params.tensor_split:
        counts = ", ".join(f"{part.name}: {_span(part.first, part.last, n)}" for part in candidate.ranges)
        which = f"{counts}; " if counts else ""
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=f"-ts {','.join(f'{share:.0f}' for share in params.tensor_split)}",
            statement=f"{which}the split counts layers, so KV cache and norms live where the weights live",
            source=FOLLOW,
        )
    if params.devices:
        used = [part.name for part in candidate.ranges]
        if used != sorted(used, key=[gpu.name for gpu in problem.machine.gpus].index):
            yield Reason(
                verdict=ReasonVerdict.CHOSEN,
                subject=f"-dev {','.join(used)}",
                statement=f"{used[0]} takes the front of the model, since the first device streams what is in RAM",
                source=MODEL,
            )
    for part in candidate.ranges:
        if part.cut is not None and part.partial is not None:
            yield Reason(
                verdict=ReasonVerdict.CHOSEN,
                subject=f"layer {part.cut}",
                statement=f"cut: its {' and '.join(part.partial.moved)} go to RAM, {gib(part.partial.size)} of it stay "
                f"on {part.name}; the graph is cut no finer than by moving all of it",
                source=solution.footprint.source,
            )


def _settled(problem: Problem, solution: Solution) -> Iterator[Reason]:
    """Arguments that hold for any layout."""
    params, splits = solution.params, solution.footprint.graph_splits
    if params.load_mode is not problem.params.load_mode:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=f"--load-mode {params.load_mode}",
            statement="weights in RAM are read into pinned memory, which GPUs copy from at twice the rate of a "
            "mapped file; all of them fit into RAM",
            source="data/calibration.toml: link.pinned_share, link.pageable_share",
        )
    if not params.op_offload:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject="--no-op-offload",
            statement="a prompt is computed where its weights are: copying those in RAM to a GPU for every micro-batch "
            "is predicted to take longer than the CPU does",
            source=MODEL,
        )
    if splits is not None:
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject="graph splits",
            statement=f"{splits.prefill} for a prompt batch, {splits.decode} per token",
            source=solution.footprint.source,
        )
    yield Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject="--fit off",
        statement="the placement is pinned; --fit would refuse to touch it and could still shrink the context",
        source=PINNED,
    )


def _facts(model: Model, params: ServerParams, priced: Footprint) -> Iterator[Reason]:
    h = model.hparams
    if h.n_layer_nextn:
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject="nextn layers",
            statement=f"{h.n_layer_nextn} of {h.n_layer_all} layers are nextn (MTP): -ngl counts them, "
            "llama-server does not load them unless --spec-type draft-mtp asks",
            source=f"header: {model.arch}.nextn_predict_layers",
        )
    if priced.n_seq_max > 1:
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject=f"-np {priced.n_seq_max}",
            statement=f"each of {priced.n_seq_max} slots gets {priced.n_ctx_seq:,} tokens of {priced.n_ctx:,}",
            source="llama.cpp b11434 llama_context: n_ctx_seq",
        )
    if priced.n_ctx > h.n_ctx_train:
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject=f"-c {priced.n_ctx}",
            statement=f"more than the {h.n_ctx_train:,} tokens the model was trained on",
            source=f"header: {model.arch}.context_length",
        )
    if params.cache_ram < ServerParams().cache_ram:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=f"-cram {params.cache_ram}",
            statement="llama-server's prompt cache defaults to 8 GiB of RAM, which this machine does not have left",
            source="llama.cpp b11434 --cache-ram",
        )


def _on_cpu(candidate: Candidate, priced: Footprint) -> Reason:
    """Why whole layers stay in RAM."""
    count = priced.layers.count(buffers.CPU)
    if count < len(priced.layers):
        what = f"layers 0 to {count - 1} stay in RAM: attention and KV cache of all layers are more than the GPUs hold"
    elif len(priced.pools) > 1:
        what = "everything stays in RAM: the GPUs hold no layer after headroom"
    else:
        what = "everything stays in RAM: the machine has no GPU"
    return Reason(verdict=ReasonVerdict.CHOSEN, subject=candidate.strategy, statement=what, source=priced.source)


def _span(first: int, last: int, n_layer_all: int) -> str:
    """Layers ``first`` to ``last - 1`` in words; the one after the last block is the output layer."""
    if last <= n_layer_all:
        return f"layers {first} to {last - 1}"
    return "the output" if first == n_layer_all else f"layers {first} to {n_layer_all - 1} and the output"


def headroom_reasons(margins: Sequence[Margin]) -> Iterator[Reason]:
    """What is left of every pool."""
    for margin in margins:
        known = ", ".join(f"{part} {mib(size)}" for part, size in margin.parts.items())
        what = "the prompt cache" if margin.pool == RAM else f"CUDA ({known})" if known else "the driver"
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject=f"headroom on {margin.pool}",
            statement=f"{mib(margin.capacity - margin.used)} of {mib(margin.capacity)} stay free "
            f"({margin.free_fraction:.0%}): {mib(margin.context)} for {what}, {mib(margin.growth)} for growth, "
            f"{mib(margin.left)} beyond what the policy keeps",
            source=HEADROOM,
        )

"""Footprints, plans and inspections as text for a person."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from omniplan.domain.evidence import Assumption, Reason, ReasonVerdict
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import BufferSize, Footprint
from omniplan.domain.headroom import Margin
from omniplan.domain.inspection import Inspection
from omniplan.domain.machine import Machine
from omniplan.domain.plan import Plan
from omniplan.text.argv import download_line, shell_line
from omniplan.text.speed import baseline_lines, speed_lines
from omniplan.text.table import table
from omniplan.text.verdict import headed
from omniplan.units import MIB, gib, mib


def layer_map(layers: Sequence[str]) -> str:
    """Devices of layers, run-length coded: ``CUDA0 x20 (0-19), CUDA1 x42 (20-61, output)``."""
    runs, start = [], 0
    for device, group in groupby(layers):
        end = start + len(list(group))
        is_last = end == len(layers)
        span = f"{start}-{end - 1 - is_last}" if end - is_last > start else ""
        inside = ", ".join(part for part in (span, "output" if is_last else "") if part)
        runs.append(f"{device} x{end - start} ({inside})")
        start = end
    return ", ".join(runs)


def footprint_text(footprint: Footprint, *, before: Sequence[str] = ()) -> str:
    """The memory table, the layer map, whether it fits, and what was taken for true, after what comes ``before``."""
    lines = [*before, _memory_text(footprint), "", footprint.build.text]
    lines += _assumption_lines(footprint.assumptions)
    return "\n".join(headed(footprint.unpriced, lines, fits=footprint.fits))


def _memory_text(footprint: Footprint) -> str:
    lines = [
        f"Layers: {layer_map(footprint.layers)}",
        _context(footprint),
        *_splits(footprint),
        "",
        _buffers(footprint),
        "",
        *_compute(footprint),
        *_checkpoints(footprint),
        "",
        *_pools(footprint),
        *_process(footprint),
    ]
    return "\n".join(lines)


def _buffers(footprint: Footprint) -> str:
    """Bytes by buffer type: those of every part that a process has, and of all together where there are several."""
    columns = ("buffer", "model", "context", "compute", "total")
    if len(footprint.contexts) < 2:
        return table(columns, list(_sizes(footprint.buffers)))
    rows = [(kind.value, *row) for kind, sizes in footprint.contexts.items() for row in _sizes(sizes)]
    rows += [("all", *row) for row in _sizes(footprint.buffers)]
    return table(("part", *columns), rows, left=2)


def _sizes(sizes: Mapping[str, BufferSize]) -> Iterator[tuple[str, ...]]:
    for name, size in sizes.items():
        yield name, mib(size.model), mib(size.context), mib(size.compute), mib(size.total)


def _context(footprint: Footprint) -> str:
    slots = f"{footprint.n_seq_max} slot(s) of {footprint.n_ctx_seq:,}"
    attention = "on" if footprint.flash_attn else "off"
    return (
        f"Context: {footprint.n_ctx:,} tokens, {slots}, micro-batch {footprint.n_ubatch}, flash attention {attention}"
    )


def _splits(footprint: Footprint) -> Iterator[str]:
    if footprint.graph_splits is not None:
        copies = f", {footprint.sched_copies} pipeline copies" if footprint.sched_copies > 1 else ""
        splits = footprint.graph_splits
        yield f"Graph splits: {splits.prefill} per prompt batch, {splits.decode} per token{copies}"


def _checkpoints(footprint: Footprint) -> Iterator[str]:
    if footprint.n_checkpoints:
        each = f"{footprint.n_checkpoints // footprint.n_seq_max} a slot of at most {mib(footprint.checkpoint)}"
        yield f"checkpoints in RAM: up to {each}, as prompts come (--ctx-checkpoints)"


def _compute(footprint: Footprint) -> Iterator[str]:
    for name, parts in footprint.compute_parts.items():
        shown = [f"{part} {mib(size)}" for part, size in parts.items() if size >= MIB]
        if shown:
            yield f"compute on {name}: {', '.join(shown)}"


def _pools(footprint: Footprint) -> Iterator[str]:
    for pool in footprint.pools:
        if pool.left is None:
            yield f"{pool.label}: {mib(pool.used)} used, size unknown"
        elif pool.left < 0:
            yield f"{pool.label}: short by {mib(-pool.left)} ({mib(pool.used)} of {mib(pool.free or 0)})"
        elif pool.used:
            yield f"{pool.label}: {mib(pool.left)} left ({mib(pool.used)} of {mib(pool.free or 0)})"


def fit_text(chosen: FitResult, priced: Footprint) -> str:
    """What ``--fit`` would choose, and what that takes."""
    verdict = "changes the arguments" if chosen.changed else "leaves the arguments alone"
    lines = [f"--fit {verdict} ({chosen.probes} memory probes):", shlex.join(chosen.args)]
    if chosen.failure:
        lines.append(f"It gives up and the load goes on unfitted: {chosen.failure}")
    return footprint_text(priced, before=[*lines, ""])


def plan_text(plan: Plan) -> str:
    """A plan as a good engineer's note: the command, the memory, the reasons, the margin."""
    model = plan.model
    lines = [
        f"{model.name or model.architecture} ({model.architecture}, {gib(model.tensor_bytes)}) on {plan.machine.name}",
        f"Strategy: {plan.strategy}",
        "",
        shell_line(model.path, plan.server_args, plan.environment, plan.llama_cpp),
        *_download(model.path),
        "",
        _memory_text(plan.footprint),
        "",
        *speed_lines(plan.prediction),
        "",
        *baseline_lines(plan),
        *headroom_lines(plan.margins),
        "",
        plan.footprint.build.text,
        "",
        "Why:",
        *reason_lines(plan.reasons),
        *_assumption_lines(plan.assumptions),
    ]
    return "\n".join(headed(plan.footprint.unpriced, lines, fits=plan.footprint.fits))


def _download(path: str) -> Iterator[str]:
    if line := download_line(path):
        yield from ("It downloads the model; so does:", line)


def _assumption_lines(assumptions: Sequence[Assumption]) -> list[str]:
    return ["", "Assumed:", *(f"- {item.subject}: {item.statement}" for item in assumptions)] if assumptions else []


def headroom_lines(margins: Sequence[Margin]) -> list[str]:
    """The headroom check, what is kept for what in its own column."""
    rows = [
        (
            margin.pool,
            mib(margin.capacity),
            mib(margin.used),
            mib(margin.context),
            mib(margin.growth),
            mib(margin.left),
            f"{margin.free_fraction:.0%}",
        )
        for margin in margins
    ]
    header = ("headroom", "free before", "plan", "driver / prompt cache", "growth", "spare", "stays free")
    return [table(header, rows)] if rows else ["No pool of known size is in use."]


def _process(footprint: Footprint) -> Iterator[str]:
    """One line a card: what CUDA takes of it for what, and the range of that."""
    for name, share in footprint.process.items():
        parts = ", ".join(f"{part} {mib(size)}" for part, size in share.parts.items())
        kind = "seen" if share.is_measured else "assumed"
        seen = f"together {kind} between {mib(share.low)} and {mib(share.high)}"
        yield f"CUDA on {name}: {parts}; {seen}; with the buffers {mib(footprint.vram[name])}"


def reason_lines(reasons: Sequence[Reason]) -> list[str]:
    """One bullet a reason, rejections marked, each with its source."""
    prefix = {ReasonVerdict.REJECTED: "not "}
    return [f"- {prefix.get(r.verdict, '')}{r.subject}: {r.statement} [{r.source}]" for r in reasons]


def inspection_text(facts: Inspection) -> str:
    """What a model file holds."""
    experts = (
        f"{facts.n_expert} experts, {facts.n_expert_used} used, {facts.n_expert_shared} shared"
        if facts.is_moe
        else "no experts"
    )
    kinds = ", ".join(f"{count} x {kind}" for kind, count in facts.layers.items())
    lines = [
        f"{facts.name or facts.path}: {facts.architecture}, {'MoE' if facts.is_moe else 'dense'}, {experts}",
        f"Layers: {facts.n_layer} ({kinds})" + (f" + {facts.n_layer_nextn} nextn" if facts.n_layer_nextn else ""),
        f"Attention: {facts.attention}; {facts.n_head} heads, {facts.n_head_kv} KV heads"
        + (f", window {facts.n_swa:,}" if facts.n_swa else ""),
        f"Context: {facts.n_ctx_train:,} tokens; embedding {facts.n_embd:,}, vocabulary {facts.n_vocab:,}",
        _parameters(facts),
        f"Size: {gib(facts.tensor_bytes)} ({facts.tensor_bytes:,} bytes) in {facts.n_shards} file(s)",
        "",
        table(("role", "bytes", ""), [(role, f"{n:,}", gib(n)) for role, n in facts.nbytes_by_role.items()]),
        "",
        table(
            ("type", "tensors", "bytes", ""),
            [(q.type, str(q.n_tensors), f"{q.nbytes:,}", gib(q.nbytes)) for q in facts.quants],
        ),
    ]
    if facts.odd:
        lines += ["", "Odd:", *(f"- {line}" for line in facts.odd)]
    return "\n".join(lines)


def _parameters(facts: Inspection) -> str:
    total, active = facts.n_parameters / 1e9, facts.n_active / 1e9
    return f"Parameters: {total:,.2f} B, {active:,.2f} B active per token, {facts.bits_per_weight:.2f} bits per weight"


def machine_line(machine: Machine) -> tuple[str, str, str, str]:
    """Name, GPUs, RAM and processor of a machine, for a list."""
    counts = Counter(f"{gpu.description} {gpu.free >> 20:,} MiB free" for gpu in machine.gpus)
    gpus = " + ".join(f"{count} x {text}" if count > 1 else text for text, count in counts.items()) or "no GPU"
    ram = gib(machine.memory.available) if machine.memory else "unknown"
    cpu = machine.cpu.model if machine.cpu else "unknown"
    return machine.name, gpus, ram, cpu

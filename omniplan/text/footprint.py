"""Footprints, and what --fit chooses, as screens: whether it fits, a bar for every pool, llama.cpp's tables below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from omniplan.domain.evidence import Assumption
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import BufferSize, Footprint
from omniplan.text.memory import memory_table
from omniplan.text.palette import Hue
from omniplan.text.screen import Heading, Level, Passage, Prose, Screen, ShellCommand, Tabular, Toned
from omniplan.text.verdict import headline, unknown
from omniplan.units import MIB, mib

# More overrides than this fill a screen by themselves.
_MANY: Final = 4


def footprint_screen(priced: Footprint, *, told: Sequence[str] = ()) -> Screen:
    """Whether it fits, the memory, where the layers are, and what was taken for true."""
    return Screen((unknown(priced.unpriced, fits=priced.fits), *_priced(priced, told)))


def _priced(priced: Footprint, told: Sequence[str] = ()) -> Iterator[Passage]:
    yield Passage([*verdict_lines(priced)])
    yield Passage([memory_table(priced)])
    yield Passage([layers_line(priced), *splits_lines(priced), *(Prose(item, hang=2) for item in told)])
    yield from table_sections(priced)
    yield Passage([Prose(priced.build.text), *assumption_lines(priced.assumptions)])


def verdict_lines(priced: Footprint) -> Iterator[Prose]:
    """Whether it fits; if not, what is missing by pool."""
    yield Prose((headline(priced.fits), f": {context_text(priced)}"), hang=2)
    for pool in priced.pools:
        if pool.left is not None and pool.left < 0:
            text = f"{pool.label}: short by {mib(-pool.left)} ({mib(pool.used)} of {mib(pool.free or 0)})"
            yield Prose(Toned(text, Hue.BAD), hang=2)


def context_text(priced: Footprint) -> str:
    """Context, slots, micro-batch and flash attention in one line."""
    slots = f" in {priced.n_seq_max} slots of {priced.n_ctx_seq:,}" if priced.n_seq_max > 1 else ""
    attention = "" if priced.flash_attn else ", no flash attention"
    return f"{priced.n_ctx:,} tokens{slots}, micro-batch {priced.n_ubatch}{attention}"


def layers_line(priced: Footprint) -> Prose:
    """Which device has which layers."""
    return Prose(f"Layers: {layer_map(priced.layers)}", hang=2)


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


def splits_lines(priced: Footprint) -> Iterator[Prose]:
    """In how many pieces a graph is computed, and what prompts leave in RAM."""
    if splits := priced.graph_splits:
        copies = f", {priced.sched_copies} pipeline copies" if priced.sched_copies > 1 else ""
        yield Prose(f"Graph splits: {splits.prefill} per prompt batch, {splits.decode} per token{copies}", hang=2)
    if priced.n_checkpoints:
        each = f"{priced.n_checkpoints // priced.n_seq_max} a slot of at most {mib(priced.checkpoint)}"
        yield Prose(f"Checkpoints in RAM: up to {each}, as prompts come (--ctx-checkpoints)", hang=2)


def table_sections(priced: Footprint) -> Iterator[Passage]:
    """llama.cpp's own columns, what compute buffers consist of, and what CUDA takes."""
    yield Passage([buffer_table(priced)], level=Level.TABLES)
    yield Passage([*_compute(priced), *_process(priced)], level=Level.TABLES)


def buffer_table(priced: Footprint) -> Tabular:
    """Bytes by buffer type: those of every part that a process has, and of all together where there are several."""
    columns = [
        Heading("buffer", is_left=True),
        Heading("model"),
        Heading("context"),
        Heading("compute"),
        Heading("total"),
    ]
    if len(priced.contexts) < 2:
        return Tabular(columns, list(_sizes(priced.buffers)))
    rows = [(kind.value, *row) for kind, sizes in priced.contexts.items() for row in _sizes(sizes)]
    rows += [("all", *row) for row in _sizes(priced.buffers)]
    return Tabular([Heading("part", is_left=True), *columns], rows)


def _sizes(sizes: Mapping[str, BufferSize]) -> Iterator[tuple[str, ...]]:
    for name, size in sizes.items():
        yield name, mib(size.model), mib(size.context), mib(size.compute), mib(size.total)


def _compute(priced: Footprint) -> Iterator[Prose]:
    for name, parts in priced.compute_parts.items():
        shown = [f"{part} {mib(size)}" for part, size in parts.items() if size >= MIB]
        if shown:
            yield Prose(f"Compute on {name}: {', '.join(shown)}", hang=2)


def _process(priced: Footprint) -> Iterator[Prose]:
    """One line a card: what CUDA takes of it for what, and the range of that."""
    for name, share in priced.process.items():
        parts = ", ".join(f"{part} {mib(size)}" for part, size in share.parts.items())
        kind = "seen" if share.is_measured else "assumed"
        seen = f"together {kind} between {mib(share.low)} and {mib(share.high)}"
        yield Prose(f"CUDA on {name}: {parts}; {seen}; with the buffers {mib(priced.vram[name])}", hang=2)


def assumption_lines(assumptions: Sequence[Assumption]) -> Iterator[Prose]:
    """What was used without evidence."""
    return (Prose(f"Assumed: {item.subject}: {item.statement}", hang=2) for item in assumptions)


def fit_screen(chosen: FitResult, priced: Footprint) -> Screen:
    """What ``--fit`` would choose, and what that takes; of many overrides the number, and all of them a level below."""
    verdict = "changes the arguments" if chosen.changed else "leaves the arguments alone"
    said = [Prose(f"--fit {verdict} ({chosen.probes} memory probes)")]
    if chosen.failure:
        said.append(Prose(Toned(f"It gives up and the load goes on unfitted: {chosen.failure}", Hue.WARNING), hang=2))
    few = replace(chosen, overrides=()).args
    is_long = len(chosen.overrides) > _MANY
    short = [ShellCommand(few), Prose(f"and {len(chosen.overrides)} overrides (-ot)")]
    command = [ShellCommand(chosen.args)]
    return Screen(
        (
            unknown(priced.unpriced, fits=priced.fits),
            Passage([*said, *(short if is_long else command)]),
            *_priced(priced),
            Passage(command if is_long else [], level=Level.TABLES),
        )
    )

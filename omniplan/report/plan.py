"""The sheet of a plan: the answer, the command, the machine, the layers, the time, and what else could be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.model import Model
from omniplan.domain.plan import Baseline, Plan
from omniplan.domain.titles import title_of
from omniplan.gguf.companions import with_requested
from omniplan.llamacpp.build import build_number
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.held import Held, held
from omniplan.llamacpp.load.place import place
from omniplan.llamacpp.load.reading import as_read
from omniplan.report.layers import layer_map
from omniplan.report.memory import Memories, memory_groups
from omniplan.report.speed import times
from omniplan.report.values import (
    CommandText,
    Figure,
    Notice,
    RivalRow,
    RivalTable,
    Sheet,
    Standing,
    Tradeoffs,
    Verdict,
)
from omniplan.report.words import FITTING, STANDINGS, sentence, size, slots, speeds
from omniplan.text.argv import shell_line

HEADS: Final = ("writing, tokens/s", "reading a prompt, tokens/s", "a request, s")


def plan_sheet(plan: Plan, model: Model, tradeoffs: Tradeoffs | None = None) -> Sheet:
    """Everything of ``plan``, which was made for ``model``; ``tradeoffs`` are the grid around it."""
    pieces = pieces_of(plan, model)
    found = Memories(machine=plan.machine, priced=plan.footprint, margins=plan.margins, pieces=pieces)
    gpus = tuple(gpu.name for gpu in plan.machine.gpus)
    return Sheet(
        name=plan.model.title,
        title=f"{plan.model.title} on {title_of(plan.machine)}",
        verdict=_verdict(plan),
        figures=(*speeds(plan.prediction), context_figure(plan)),
        commands=tuple(_commands(plan)),
        memory=memory_groups(found),
        layers=layer_map(pieces, gpus, model.hparams.n_layer_all),
        times=times(plan.prediction),
        rivals=_rivals(plan),
        tradeoffs=tradeoffs,
        notices=tuple(_unpriced(plan)),
        reasons=plan.reasons,
        assumptions=plan.assumptions,
        facts=tuple(_facts(plan)),
    )


def pieces_of(plan: Plan, model: Model) -> tuple[Held, ...]:
    """What every buffer holds of the model, placed again as the plan's arguments say."""
    params = parse(plan.server_args, env={}, build=build_number(plan.llama_cpp))
    served = as_read(with_requested(model, plan.request), params.build)
    return held(served, place(served, plan.machine, params), mtp=params.load_mtp)


def context_figure(plan: Plan) -> Figure:
    """The context a plan has."""
    priced = plan.footprint
    return Figure(
        name="context",
        label="context" if priced.n_seq_max == 1 else f"context, in {priced.n_seq_max} slots of {priced.n_ctx_seq:,}",
        value=priced.n_ctx,
        text=f"{priced.n_ctx:,}",
        unit="tokens",
    )


def _verdict(plan: Plan) -> Verdict:
    standing = STANDINGS[plan.footprint.fits]
    return Verdict(state=standing, text=f"{FITTING[standing]}: {plan.strategy}.")


def command_of(plan: Plan, args: Sequence[str]) -> str:
    """A shell line that runs the plan's model with ``args``."""
    return shell_line(plan.model.path, args, plan.environment, plan.llama_cpp)


def _commands(plan: Plan) -> Iterator[CommandText]:
    yield CommandText(label="This plan", line=command_of(plan, plan.server_args))
    if plan.fit_instead:
        line = command_of(plan, plan.fit_instead.args)
        yield CommandText(label="Or leave the placement to --fit", line=line, remark=sentence(plan.fit_instead.why))


def _rivals(plan: Plan) -> RivalTable | None:
    if not plan.baselines:
        return None
    own = RivalRow(
        name="this plan",
        state=STANDINGS[plan.footprint.fits],
        standing="fits" if plan.footprint.fits else "not known",
        figures=speeds(plan.prediction),
        command=CommandText(label="this plan", line=command_of(plan, plan.server_args)),
        is_plan=True,
    )
    rows = (_baseline(plan, name, found) for name, found in plan.baselines.items())
    return rival_table("Against what one would do without it", (own, *rows))


def rival_table(title: str, rows: Sequence[RivalRow]) -> RivalTable:
    """Rows whose figures are those of ``speeds``, each column drawn to the largest of them."""
    columns = zip(*(row.figures for row in rows if None not in row.figures), strict=True)
    scales = tuple(max(figure.high or figure.value for figure in column if figure) for column in columns)
    return RivalTable(title=title, heads=HEADS, scales=scales or (1.0,) * len(HEADS), rows=tuple(rows))


def _baseline(plan: Plan, name: str, found: Baseline) -> RivalRow:
    standing = "fits" if found.fits else "loads, without headroom" if found.loads else "does not load"
    is_good = found.fits and found.is_allowed
    return RivalRow(
        name=name,
        state=Standing.GOOD if is_good else Standing.BAD,
        standing=standing if found.is_allowed else "not allowed here",
        figures=speeds(found.prediction) if found.loads else (None,) * len(HEADS),
        command=CommandText(label=name, line=command_of(plan, found.args)),
    )


def _unpriced(plan: Plan) -> Iterator[Notice]:
    for item in plan.footprint.unpriced:
        yield Notice(
            state=Standing.UNKNOWN, subject=item.subject, statement=f"not counted: {item.what}", source=item.source
        )


def _facts(plan: Plan) -> Iterator[tuple[str, str]]:
    model, priced = plan.model, plan.footprint
    experts = f", {model.n_expert} experts, {model.n_expert_used} used per token" if model.n_expert else ""
    yield "Model", f"{model.path}: {model.architecture}, {size(model.tensor_bytes)}, {model.n_layer} layers{experts}"
    yield "Machine", plan.machine.description or plan.machine.name
    attention = "on" if priced.flash_attn else "off"
    yield "Context", f"{slots(priced)}; micro-batch {priced.n_ubatch}; flash attention {attention}"
    yield "Cache", f"K as {plan.settings.cache_type_k}, V as {plan.settings.cache_type_v}"
    if priced.graph_splits:
        yield "Graph splits", f"{priced.graph_splits.prefill} per prompt batch, {priced.graph_splits.decode} per token"
    yield "Bytes", priced.build.text.removeprefix("Bytes: ")
    if priced.build.why:
        yield "Build", priced.build.why
    yield "omniplan", plan.version

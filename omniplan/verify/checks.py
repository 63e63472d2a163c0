"""What is not as it should be about a run: each check looks at the log and what was expected, and yields findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from omniplan.domain.footprint import BufferColumn
from omniplan.domain.machine import Machine
from omniplan.domain.processor import Cpu
from omniplan.llamacpp.ggml.buffers import HOST
from omniplan.machines.advice import AdviceSeverity as Weight
from omniplan.machines.probe.advice import STREAMS, advise
from omniplan.units import MIB, mib
from omniplan.verify import kv
from omniplan.verify.checks_memory import idle_vram, out_of_memory, released, unaccounted, used_memory
from omniplan.verify.compare import comparable, is_same_build, mapped_size, tolerance_of
from omniplan.verify.evidence import Evidence
from omniplan.verify.logs.report import BufferKind
from omniplan.verify.pools import CUDA, backend, device_order, is_gpu, pool_of, pools, predicted_name
from omniplan.verify.table import finding
from omniplan.verify.values import RunFinding

_QUIET: Final = 3


def failure(evidence: Evidence) -> Iterator[RunFinding]:
    """A load that did not end well, where no refused allocation says why."""
    if evidence.load.failure and not any(not item.is_survived for item in evidence.load.refused):
        yield finding("load-failed", evidence.load.failure_line, reason=evidence.load.failure)


def identity(evidence: Evidence) -> Iterator[RunFinding]:
    """Another model than predicted, or GPUs that are not the machine's."""
    model = evidence.load.model
    shown = {"architecture": model.architecture, "n_layer": model.hparams.get("n_layer", "")}
    for what, predicted in evidence.expected.model.items():
        actual = shown[what]
        if actual and actual not in predicted:
            yield finding("other-model", model.line, what=what, actual=actual, predicted=predicted[0])
            return
    order = device_order(evidence.report)
    known = {gpu.name: gpu for gpu in evidence.machine.gpus} if evidence.machine else {}
    for device in evidence.report.devices:
        gpu = known.get(predicted_name(pool_of(device.name), order))
        if evidence.machine is not None and gpu is not None and not is_gpu(gpu, device.description, device.total):
            facts = {"device": device.name, "actual": device.description, "known": gpu.description}
            yield finding("other-machine", device.line, machine=evidence.machine.name, **facts)


def vmm(evidence: Evidence) -> Iterator[RunFinding]:
    """CUDA devices without virtual memory management; ROCm has none anyway."""
    for device in evidence.report.devices:
        if device.has_vmm is False and backend([device.name]) == CUDA:
            yield finding("no-vmm", device.line, device=device.name)


def flash_attention(evidence: Evidence) -> Iterator[RunFinding]:
    """Flash attention that was turned off, or never on."""
    context = evidence.load.contexts[0] if evidence.load.contexts else None
    if context is None or context.flash_attn is not False:
        return
    is_planned = evidence.expected.footprint is not None and evidence.expected.footprint.flash_attn
    name = "flash-off-unplanned" if is_planned else "flash-off"
    yield finding(name, context.flash_attn_line or context.line)


def context_size(evidence: Evidence) -> Iterator[RunFinding]:
    """A context that --fit shrank, or that is another than predicted."""
    fit, context = evidence.load.fit, evidence.load.contexts[0] if evidence.load.contexts else None
    if fit is not None and fit.context_after is not None:
        yield finding("context-reduced", fit.context_line, before=fit.context_before or 0, after=fit.context_after)
    if fit is not None and fit.failure:
        yield finding("fit-failed", fit.line, reason=fit.failure)
    text = context.settings.get("n_ctx", "") if context else ""
    priced = evidence.expected.footprint
    if priced is not None and text.isdigit() and int(text) != priced.n_ctx:
        yield finding("context-differs", context.line if context else 0, actual=int(text), predicted=priced.n_ctx)


def empty_devices(evidence: Evidence) -> Iterator[RunFinding]:
    """Devices that should hold weights and hold none."""
    shown = [row for row in evidence.rows if row.is_of_model and row.column is BufferColumn.MODEL and row.pool != HOST]
    for row in shown:
        if row.predicted and row.predicted > MIB and row.actual == 0:
            yield finding("device-empty", device=row.pool, predicted=mib(row.predicted))


def layer_count(evidence: Evidence) -> Iterator[RunFinding]:
    """Fewer layers on GPUs than predicted."""
    priced, offloaded = evidence.expected.footprint, evidence.load.offloaded
    if priced is None or offloaded is None:
        return
    wanted = sum(1 for name in priced.layers if pool_of(name) != HOST)
    if offloaded < wanted:
        yield finding("fewer-layers", actual=offloaded, predicted=wanted)


def kv_cache(evidence: Evidence) -> Iterator[RunFinding]:
    """Caches on other devices than predicted, or than the weights that -ot moved."""
    held = kv.layers_held(evidence.load)
    if not held:
        return
    order = device_order(evidence.report)
    named = [*order, HOST]
    split = ",".join(str(held.get(name, 0)) for name in order)
    lines = tuple(buffer.line for buffer in evidence.load.all_buffers() if buffer.kind is BufferKind.KV)
    pinned = kv.layers_pinned(evidence.expected.args or evidence.load.command, sum(held.values()))
    actual = kv.in_words(held, named)
    if len(pinned) > 1 and sum(pinned.values()) == sum(held.values()) and pinned != held:
        wanted = ",".join(str(pinned.get(name, 0)) for name in order)
        asked = kv.in_words(pinned, named)
        yield finding("kv-off-weights", *lines, actual=actual, asked=asked, split=wanted)
    if evidence.expected.footprint is not None and any(
        not row.is_within for row in evidence.rows if row.is_of_model and row.column is BufferColumn.CONTEXT
    ):
        predicted = kv.layers_predicted(evidence.expected.footprint)
        renamed = {predicted_name(pool, order): count for pool, count in held.items()}
        if sum(predicted.values()) == sum(held.values()) and predicted != renamed:
            wanted = kv.in_words(predicted, [*dict.fromkeys((*predicted, *named))])
            yield finding("kv-elsewhere", *lines, actual=actual, predicted=wanted, split=split)


def graph_splits(evidence: Evidence) -> Iterator[RunFinding]:
    """More splits per token than predicted."""
    context = evidence.load.contexts[0] if evidence.load.contexts else None
    priced = evidence.expected.footprint
    if context is None or priced is None or priced.graph_splits is None or context.splits_decode is None:
        return
    if context.splits_decode > priced.graph_splits.decode:
        predicted = priced.graph_splits.decode
        yield finding("splits-above", context.splits_line, actual=context.splits_decode, predicted=predicted)


def numa(evidence: Evidence) -> Iterator[RunFinding]:
    """NUMA nodes under weights that stream from RAM."""
    if evidence.report.has_numa_balancing:
        yield finding("numa-balancing")
    streamed = pools(evidence.load, BufferColumn.MODEL).get(HOST, 0)
    machine = _with_nodes(evidence)
    if machine is None or streamed < STREAMS:
        return
    for item in advise(machine, streamed):
        if item.severity is Weight.WARNING:
            name = "numa-split" if item.rule == "nps-streaming" else "numa"
            yield finding(name, evidence.report.numa_line, statement=item.statement, measured=item.measured)


def _with_nodes(evidence: Evidence) -> Machine | None:
    """The machine with the NUMA nodes that the log shows, where it shows any."""
    nodes = evidence.report.numa_nodes
    if nodes is None:
        return evidence.machine
    base = evidence.machine or Machine(name="as in the log", cpu=Cpu())
    sockets = base.cpu.n_sockets if base.cpu else 1
    return replace(base, nps=max(1, nodes // sockets), numa_nodes=())


def slower(evidence: Evidence) -> Iterator[RunFinding]:
    """Rates below the range predicted."""
    for speed in evidence.speeds:
        if speed.predicted_low is not None and speed.median < speed.predicted_low:
            facts = {"low": f"{speed.predicted_low:,.1f}", "high": f"{speed.predicted_high or 0:,.1f}"}
            yield finding("slower", what=speed.phase, actual=f"{speed.median:,.1f}", **facts)


def limits_of_the_log(evidence: Evidence) -> Iterator[RunFinding]:
    """What the log does not show, or shows of something that predictions do not cover."""
    report, load = evidence.report, evidence.load
    said = load.has_buffers or load.breakdown or load.projected or load.failure or load.refused
    if not said and (load.model.path or load.n_slots):
        level = report.verbosity if report.verbosity is not None else _QUIET
        yield finding("quiet-log", level=level)
    priced = evidence.expected.footprint.build if evidence.expected.footprint else None
    if evidence.rows and priced and not is_same_build(report, priced):
        name = f"b{report.build.number}" if report.build and report.build.number else "an unknown build"
        share = tolerance_of(report, priced, BufferColumn.COMPUTE).share
        yield finding("other-build", build=name, priced=priced.priced, share=f"{share:.0%}")
    kind = backend(device_order(report))
    footprint = evidence.expected.footprint
    if evidence.rows and footprint and kind not in comparable(footprint):
        yield finding("other-backend", backend=kind)
    if mapped := mapped_size(load):
        yield finding("mapped", actual=mib(mapped))


def beside(evidence: Evidence) -> Iterator[RunFinding]:
    """Other contexts, projectors and loads in the same log."""
    for context in evidence.load.contexts[1:]:
        if size := sum(buffer.size for buffer in context.buffers):
            yield finding("beside", context.line, what="another context of the model", size=mib(size))
    if size := sum(buffer.size for buffer in evidence.load.projector):
        yield finding("beside", evidence.load.projector[0].line, what="the projector", size=mib(size))
    others = [
        load for load in evidence.report.loads if load is not evidence.load and load.has_buffers and not load.is_dry
    ]
    if others:
        names = ", ".join(dict.fromkeys(load.model.name or load.model.path or load.process for load in others))
        name = evidence.load.model.name or evidence.load.model.path or "one without a name"
        facts: dict[str, str | int] = {"count": len(others), "names": names or "unnamed", "name": name}
        yield finding("other-loads", evidence.load.line, line=evidence.load.line, **facts)


CHECKS: Final[tuple[Callable[[Evidence], Iterator[RunFinding]], ...]] = (
    out_of_memory,
    failure,
    identity,
    vmm,
    numa,
    flash_attention,
    context_size,
    empty_devices,
    idle_vram,
    layer_count,
    kv_cache,
    graph_splits,
    unaccounted,
    used_memory,
    released,
    slower,
    limits_of_the_log,
    beside,
)

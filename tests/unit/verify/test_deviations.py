"""A run that does what was predicted has no finding; one line that says otherwise has its own, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest

import omniplan
from omniplan.domain.footprint import BufferSize, ContextKind
from omniplan.units import MIB
from omniplan.verify.logs import parse_log
from omniplan.verify.values import RunVerdict, Verification
from tests import diary

WORDS = {
    "model": "load_tensors: {} model buffer size = ",
    "context": "llama_kv_cache: {} KV buffer size = ",
    "compute": "sched_reserve: {} compute buffer size = ",
}


@cache
def plan() -> omniplan.Plan:
    return omniplan.plan(diary.MODEL, omniplan.load_machine(diary.MACHINE), n_ctx=32768, baselines=False)


def log() -> dict[str, str]:
    """The lines b11434 would print for the plan, by what they say."""
    priced, speed = plan().footprint, plan().prediction.decode_tokens_per_second
    assert priced.graph_splits is not None
    lines = {
        "build": "build_info: b11434-0123456",
        "layers": f"load_tensors: offloaded {len(priced.layers)}/{len(priced.layers)} layers to GPU",
        "n_ctx": f"llama_context: n_ctx         = {priced.n_ctx}",
        "flash": "llama_context: Flash Attention was auto, set to enabled",
        "output": f"llama_context: CUDA_Host output buffer size = {priced.output_buffer / MIB:.2f} MiB",
    }
    for column, text in WORDS.items():
        for name, size in priced.buffers.items():
            if nbytes := getattr(size, column):
                lines[f"{column} {name}"] = f"{text.format(name)}{nbytes / MIB:.2f} MiB"
    splits = priced.graph_splits
    lines["splits"] = f"sched_reserve: graph splits = {splits.prefill} (with bs=512), {splits.decode} (with bs=1)"
    lines["speed"] = timing(speed.low * 1.001)
    return lines


def timing(rate: float) -> str:
    """Decode of 100 tokens at ``rate``."""
    each = 1e3 / rate
    spent = f"       eval time = {100 * each:10.2f} ms / 100 tokens"
    return f"{spent} ({each:8.2f} ms per token, {rate:8.2f} tokens per second)"


def judged(**changed: str) -> tuple[Verification, list[str]]:
    """The verdict on the log with some lines changed or added, and the lines themselves."""
    lines = list({**log(), **changed}.values())
    return omniplan.verify(parse_log(lines), plan=plan()), lines


def splits(more: int) -> str:
    priced = plan().footprint.graph_splits
    assert priced is not None
    return f"sched_reserve: graph splits = {priced.prefill} (with bs=512), {priced.decode + more} (with bs=1)"


def test_as_predicted_has_no_finding() -> None:
    """Every figure at the edge of what is in order."""
    found, _ = judged()

    assert [item.name for item in found.findings] == []
    assert found.verdict is RunVerdict.WITHIN
    assert all(row.is_within for row in found.rows)
    assert [speed.n_runs for speed in found.speeds] == [1]


def test_fewer_splits_than_predicted_are_no_finding() -> None:
    """Only more of them cost time."""
    assert judged(splits=splits(-1))[0].findings == ()


NUMA = "/proc/sys/kernel/numa_balancing is enabled, this has been observed to impair performance"
# The finding, the line that is another than predicted, and whether the finding points at it.
DEVIATIONS = [
    ("splits-above", "splits", splits(1), True),
    ("fewer-layers", "layers", "load_tensors: offloaded 47/48 layers to GPU", False),
    ("context-differs", "n_ctx", "llama_context: n_ctx         = 32512", True),
    ("flash-off-unplanned", "flash", "llama_context: Flash Attention was auto, set to disabled", True),
    ("slower", "speed", timing(plan().prediction.decode_tokens_per_second.low * 0.99), False),
    ("no-vmm", "device", "  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: no, VRAM: 24564 MiB", True),
    ("numa-balancing", "numa", NUMA, False),
    ("fit-failed", "fit", "llama_params_fit: failed to fit params to free device memory: n_gpu_layers set", True),
]


@pytest.mark.parametrize(("name", "line", "text", "points"), DEVIATIONS, ids=[row[0] for row in DEVIATIONS])
def test_one_deviation_is_one_finding(name: str, line: str, text: str, points: bool) -> None:
    """Its own, at the line of the log that says so."""
    found, lines = judged(**{line: text})
    (finding,) = found.findings

    assert finding.name == name
    assert finding.lines == ((lines.index(text) + 1,) if points else ())


@pytest.mark.parametrize(("column", "tolerated"), [("model", 1.0), ("context", 1.0)])
def test_a_buffer_may_differ_by_what_is_tolerated(column: str, tolerated: float) -> None:
    """A mebibyte more or less is within, and a hundredth beyond it is not."""
    size = getattr(plan().footprint.buffers["CUDA0"], column) / MIB
    for beyond, verdict in ((-0.02, RunVerdict.WITHIN), (0.02, RunVerdict.OUTSIDE)):
        for sign in (-1, 1):
            text = f"{WORDS[column].format('CUDA0')}{size + sign * (tolerated + beyond):.2f} MiB"
            assert judged(**{f"{column} CUDA0": text})[0].verdict is verdict


BESIDE: Mapping[ContextKind, Mapping[str, BufferSize]] = {
    ContextKind.MTP: {"CUDA0": BufferSize(context=32 * MIB, compute=520 * MIB)},
    ContextKind.PROJECTOR: {"CUDA0": BufferSize(model=888 * MIB, compute=248 * MIB)},
    ContextKind.ADAPTERS: {"CUDA0": BufferSize(model=96 * MIB), "CUDA_Host": BufferSize(model=MIB)},
    # The slots of a layer's experts are in RAM, and in no line.
    ContextKind.EXPERT_CACHE: {"CUDA0": BufferSize(context=4095 * MIB), "CPU": BufferSize(context=24576)},
}
# A second context comes after the main one, and clip prints under names of its own.
BESIDE_LINES = {
    "projector": "load_hparams: model size: 888.00 MiB",
    "image": "reserve_compute_meta: CUDA0 compute buffer size = 248.00 MiB",
    "factors": "llama_adapter_lora_init_impl: CUDA0 LoRA buffer size = 96.00 MiB",
    "factors in RAM": "llama_adapter_lora_init_impl: CUDA_Host LoRA buffer size = 1.00 MiB",
    "experts": "impl:      CUDA0 MoE cache size =  4095.00 MiB for 16905.94 MiB of host experts",
    "second": "llama_context: n_ctx         = 8192",
    "cache": "llama_kv_cache: CUDA0 KV buffer size = 32.00 MiB",
    "heads": "sched_reserve: CUDA0 compute buffer size = {:.2f} MiB",
}


def beside(compute: float, parts: Mapping[ContextKind, Mapping[str, BufferSize]]) -> Verification:
    """The verdict on a log of a server with heads and projector, against a price with some ``parts`` beside it."""
    priced = replace(plan().footprint, contexts={**plan().footprint.contexts, **parts})
    lines = [line.format(compute) for line in (*log().values(), *BESIDE_LINES.values())]
    return omniplan.verify(parse_log(lines), plan=replace(plan(), footprint=priced))


def test_every_part_is_held_against_its_own_lines() -> None:
    """A second context, projector and adapters are compared by themselves; one that deviates leaves others alone."""
    found = beside(520.0, BESIDE)
    others = beside(620.0, BESIDE)

    assert {row.part for row in found.rows} == {ContextKind.MAIN, *BESIDE}
    assert all(row.is_within for row in found.rows if row.predicted is not None)
    assert [row.part for row in others.rows if row.is_within is False] == [ContextKind.MTP]


def test_a_part_that_nobody_predicted_is_shown_and_not_judged() -> None:
    """Its bytes stand in the table, without a figure beside them."""
    found = beside(520.0, {})

    shown = [row for row in found.rows if row.part is not ContextKind.MAIN]
    assert {row.part for row in shown} == set(BESIDE)
    assert all(row.predicted is None and row.is_within is None and row.remark for row in shown)

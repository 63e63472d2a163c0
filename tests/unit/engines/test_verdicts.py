"""Verdicts for the diary's machine on the diary's days, and what changes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.domain.model import Model
from omniplan.engines.facts import facts_of
from omniplan.engines.rules import findings, rules_for, version_on
from omniplan.engines.table import engine_table
from omniplan.engines.values import Effect, Viability
from tests.oracle.cases import model
from tests.unit.engines import cases
from tests.unit.engines.cases import BLOCKED, CONDITIONS, VIABLE

# What was at hand on 2026-01-22: the evaluation of SGLang had safetensors, and removed them that day.
WITH_BF16 = {"weights": ("gguf", "bf16")}


@pytest.mark.parametrize(
    ("day", "engine", "expected", "because"),
    [
        # KTransformers: no kernels for sm_120; built by 2026-01-26, and then sched_ext.
        ("2026-01-19", "ktransformers", BLOCKED, "kt-sm120-wheels"),
        ("2026-01-23", "ktransformers", BLOCKED, "kt-sm120-wheels"),
        ("2026-01-26", "ktransformers", BLOCKED, "kt-sched-ext"),
        ("2026-01-26", "ktransformers", BLOCKED, "kt-sched-ext-kernel"),
        # KTransformers + SGLang evaluation: concluded, not viable.
        ("2026-01-22", "sglang-kt", BLOCKED, "kt-amx"),
        ("2026-01-22", "sglang-kt", BLOCKED, "kt-int4-kml"),
        ("2026-01-22", "sglang-kt", BLOCKED, "memory"),
        # Sentinel audit: keep llama.cpp, all others blocked or rejected.
        ("2026-01-23", "llama.cpp", VIABLE, ""),
        ("2026-01-23", "ik_llama.cpp", CONDITIONS, "ik-unequal"),
        ("2026-01-23", "vllm", BLOCKED, "vllm-fp8-sm120"),
        ("2026-01-23", "sglang-kt", BLOCKED, "sglang-rmsnorm"),
        # Paradigm audit: Dynamo is for a sandbox test.
        ("2026-01-25", "llama.cpp", VIABLE, ""),
        ("2026-01-25", "dynamo", CONDITIONS, "dynamo-sandbox"),
        # Full resurrection plan: the GGUF at hand will not do, 689 GB to download.
        ("2026-01-26", "sglang-kt", BLOCKED, "sglang-gguf"),
        ("2026-01-26", "sglang-kt", BLOCKED, "weights"),
        # The end of the month.
        ("2026-01-28", "ik_llama.cpp", CONDITIONS, "ik-compute"),
        ("2026-01-28", "dynamo", BLOCKED, "dynamo-nodes"),
        ("2026-01-28", "exllamav3", BLOCKED, "exl3-deepseek"),
        ("2026-01-28", "tensorrt-llm", BLOCKED, "trt-sandbox"),
    ],
)
def test_the_documents_conclusions(day: str, engine: str, expected: Viability, because: str) -> None:
    """Each with the rule that says so, and a source for it."""
    site = cases.site(**WITH_BF16) if day == "2026-01-22" else cases.site()
    weighing = cases.ask(at=site, day=day)
    found = [f for way in weighing.engine(engine).ways for f in way.findings if f.rule == because]

    assert expected == weighing.engine(engine).verdict
    assert not because or found
    assert all(finding.source for finding in found if finding.known)


def test_the_memory_wall_in_numbers() -> None:
    """INT8: 624.9 GiB of weights against 369 GiB of RAM and the larger GPU; the sum stands in the statement."""
    weighing = cases.ask(at=cases.site(**WITH_BF16), day="2026-01-22")
    way = next(way for way in weighing.engine("sglang-kt").ways if way.name == "MOE_INT8")
    wall = next(finding.statement for finding in way.findings if finding.rule == "memory")

    assert "624.94 GiB at one byte each" in wall
    assert "RAM 368.76 GiB" in wall
    assert "swap does not count" in wall


def test_the_download_in_numbers() -> None:
    """689 GB as published, and the disk that takes."""
    weighing = cases.ask(day="2026-01-26")
    texts = [f"{f.statement} {f.remedy}" for f in weighing.engine("sglang-kt").best.findings]
    tight = cases.ask(at=cases.site(disk_free=600 * 10**9), day="2026-01-26")

    assert any("689 GB, as published in FP8" in text for text in texts)
    assert "disk" in rules_that_block(tight, "sglang-kt")
    assert "disk" not in rules_that_block(weighing, "sglang-kt")


def rules_that_block(weighing: omniplan.Weighing, engine: str) -> set[str]:
    """Rules that block every way of an engine or any of them."""
    return {f.rule for way in weighing.engine(engine).ways for f in way.findings if f.effect == Effect.BLOCKS}


@pytest.mark.parametrize(
    ("change", "flips"),
    [
        (cases.with_amx, {"sglang-kt": VIABLE}),
        (lambda machine: cases.with_ram(machine, 800), {"sglang-kt": VIABLE}),
        (cases.with_equal_gpus, {"ik_llama.cpp": VIABLE}),
    ],
    ids=["AMX", "800 GB of RAM", "two equal GPUs"],
)
def test_one_fact_flips_what_it_should_and_nothing_else(change: object, flips: dict[str, Viability]) -> None:
    """On the day of the evaluation, with the safetensors it had."""
    assert callable(change)
    site = cases.site(**WITH_BF16)
    before = cases.verdicts(cases.ask(at=site, day="2026-01-22"))
    after = cases.verdicts(cases.ask(change(cases.machine()), site, day="2026-01-22"))

    assert {**before, **flips} == after
    assert flips.items() - before.items() == flips.items()


def test_arm_has_int4_too() -> None:
    """KML; and a CPU known by name needs no list of features."""
    cpu = cases.machine().cpu
    assert cpu is not None
    site = cases.site(**WITH_BF16)
    ways = {
        name: cases.ask(
            replace(cases.machine(), cpu=replace(cpu, model=name, features=features)), site, day="2026-01-22"
        )
        for name, features in (("Kunpeng 920", ("asimd",)), ("Xeon Platinum 8592+", ()), ("EPYC 9654", ()), ("", ()))
    }

    assert {
        "Kunpeng 920": ("MOE_INT4", VIABLE),
        "Xeon Platinum 8592+": ("AMXINT4", VIABLE),
        "EPYC 9654": ("AMXINT4", BLOCKED),
        "": ("AMXINT4", CONDITIONS),
    } == {
        name: (given.engine("sglang-kt").best.name, given.engine("sglang-kt").verdict) for name, given in ways.items()
    }


def test_what_amx_does_not_help() -> None:
    """When only the GGUF is there, neither AMX nor RAM makes SGLang + kt-kernel run."""
    for changed in (cases.with_amx(cases.machine()), cases.with_ram(cases.machine(), 800)):
        assert cases.verdicts(cases.ask(day="2026-01-26")) == cases.verdicts(cases.ask(changed, day="2026-01-26"))


def test_gvisor_blocks_every_engine_in_january_and_not_later_elsewhere() -> None:
    """The proxy that was recorded later lists other GPUs than these, and would do for an H100."""
    site = cases.site(sandbox="gvisor")
    h100 = replace(cases.machine(), gpus=(replace(cases.machine().gpus[0], compute_capability="9.0"),))

    assert {BLOCKED} == set(cases.verdicts(cases.ask(at=site, day="2026-01-20")).values())
    assert {BLOCKED} == set(cases.verdicts(cases.ask(at=site)).values())
    assert CONDITIONS == cases.verdicts(cases.ask(h100, site))["llama.cpp"]


def test_old_cuda_blocks_blackwell_only() -> None:
    """CUDA 12.6 has no sm_120; for other GPUs it does."""
    old = cases.site(cuda="12.6")
    ada = replace(cases.machine(), gpus=tuple(replace(g, compute_capability="8.9") for g in cases.machine().gpus))

    assert "sm120-cuda" in cases.rules(cases.ask(at=old), "llama.cpp")
    assert BLOCKED == cases.verdicts(cases.ask(at=old))["llama.cpp"]
    assert VIABLE == cases.verdicts(cases.ask(ada, old))["llama.cpp"]


def test_a_gguf_that_is_not_there() -> None:
    """The file given counts as there, unless the site says what is there instead."""
    fp8_only = cases.ask(at=cases.site(weights=("fp8",)))

    assert BLOCKED == fp8_only.engine("llama.cpp").verdict
    assert "weights" in cases.rules(fp8_only, "llama.cpp")
    assert VIABLE == cases.verdicts(cases.ask(at=cases.site(weights=None)))["llama.cpp"]


def test_a_gpu_that_shares_the_ram_counts_it_once() -> None:
    """What SGLang keeps on such a GPU is gone from the RAM for experts."""
    gpu = cases.machine().gpus[0]
    own, shared = (
        replace(cases.machine(), gpus=(replace(gpu, is_unified=is_unified),)) for is_unified in (False, True)
    )
    ways = [
        next(way for way in cases.ask(machine).engine("sglang-kt").ways if way.name == "FP8")
        for machine in (own, shared)
    ]
    (on_gpu, ram), (_, left) = (way.memory for way in ways)

    assert ram.available is not None
    assert left.available == ram.available - on_gpu.needed


def test_before_anyone_had_heard_of_them() -> None:
    """No engine is weighed before it was recorded."""
    assert () == cases.ask(day="2025-01-01").engines


def test_sparse_attention_reached_llama_cpp_later() -> None:
    """DeepSeek V3.2 was an unknown architecture in January (F-008), and is a known one since the change was merged."""
    sparse = model("DeepSeek-V3.2-Q3_K_M")

    assert BLOCKED == cases.verdicts(cases.ask(of=sparse, day="2026-01-25"))["llama.cpp"]
    assert "llama-dsa" in cases.rules(cases.ask(of=sparse, day="2026-01-25"), "llama.cpp")
    assert VIABLE == cases.verdicts(cases.ask(of=sparse))["llama.cpp"]


def test_a_gpu_is_known_by_its_name() -> None:
    """An RTX 5090 without a stated compute capability is one of 12.0; nobody knows that of a name without a row."""
    gpu = cases.machine().gpus[1]
    old = cases.site(cuda="12.1")
    named, other = (
        replace(cases.machine(), gpus=(replace(gpu, compute_capability="", description=name),))
        for name in ("RTX 5090", "something new")
    )

    assert BLOCKED == cases.verdicts(cases.ask(named, old))["llama.cpp"]
    assert CONDITIONS == cases.verdicts(cases.ask(other, old))["llama.cpp"]


def test_ktransformers_in_january() -> None:
    """docs/lessons.md#f-009: which DeepSeek KTransformers supports, and has kernels for on sm_120, as of 2026-01-25."""
    models = {
        "DeepSeek-R1": cases.deepseek(),
        "DeepSeek-V3-0324": cases.renamed("DeepSeek-V3-0324", "DeepSeek-V3-0324-Q4_K_M.gguf"),
        "DeepSeek-V3.2": model("DeepSeek-V3.2-Q3_K_M"),
        "DeepSeek-R1-0528": cases.renamed("DeepSeek-R1-0528", "DeepSeek-R1-0528-UD-Q4_K_XL.gguf"),
    }

    assert {
        "DeepSeek-R1": {},
        "DeepSeek-V3-0324": {},
        "DeepSeek-V3.2": {"kt-sparse": Effect.CONDITION, "kt-sparse-sm120": Effect.BLOCKS},
        "DeepSeek-R1-0528": {"kt-dynamic": Effect.BLOCKS},
    } == {name: _about_models("ktransformers", given) for name, given in models.items()}


def _about_models(engine: str, given: Model) -> dict[str, Effect]:
    """What rules that look at the model alone, or at it and the GPUs, hold against it; none looks at the host."""
    day = cases.day("2026-01-25")
    version = version_on(engine_table().engines[engine], day)
    ways = [way.name for way in engine_table().ways if way.engine == engine]
    rules = {rule.id: rule for way in ways for rule in rules_for(engine, way, version, day)}
    asked = {id: {condition.fact.partition(".")[0] for condition in rule.when} for id, rule in rules.items()}
    about = [rule for id, rule in rules.items() if {"model"} <= asked[id] <= {"model", "gpu"}]
    found = findings(about, facts_of(given, cases.machine(), cases.site()))
    return {finding.rule: finding.effect for finding in found if finding.effect is not Effect.NOTE}


def test_a_version_of_ones_own() -> None:
    """The FP8 rule of vLLM holds below 0.23; a newer one lifts it to a condition."""
    site = cases.site(weights=("gguf", "fp8"))
    small = cases.with_ram(cases.machine(), 2000)
    of = {v: cases.ask(small, site, versions={"vllm": v}).engine("vllm").verdict for v in ("0.13.0", "0.24.0")}

    assert {"0.13.0": BLOCKED, "0.24.0": CONDITIONS} == of
    with pytest.raises(omniplan.InputError, match="engine vlm: unknown"):
        cases.ask(versions={"vlm": "1"})

"""Verdicts on runs: the diaries' own, and what the verb does with logs that say too little."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.cli.main import main
from omniplan.errors import InputError
from omniplan.units import MIB
from omniplan.verify.logs import parse_log
from omniplan.verify.logs.report import BreakdownRow, LoadReport
from omniplan.verify.pools import one_memory
from omniplan.verify.text import verification_screen
from omniplan.verify.values import RunSeverity, RunVerdict, Verification
from tests import diary
from tests.log_writer import ERAS, render
from tests.screens import everything

ERA = ERAS["2025"]


def judged(report: LoadReport, args: tuple[str, ...] = ()) -> Verification:
    """The diary's run, written as a log, read back and held against the header."""
    log = parse_log(render(report, ERA))
    return omniplan.verify(log, model=diary.MODEL, machine=omniplan.load_machine(diary.MACHINE), args=args)


def named(found: Verification) -> dict[str, str]:
    return {item.name: item.statement for item in found.findings}


def difference(found: Verification, pool: str, column: str) -> int | None:
    return next(row.difference for row in found.rows if (row.pool, row.column) == (pool, column))


def test_glm_weights_are_exact() -> None:
    """33 + 14 layers by -ot: 20,698 and 9,339 MiB, to the hundredth the log prints."""
    found = judged(diary.glm(), diary.args(512))

    assert abs(difference(found, "CUDA0", "model") or 0) < 0.01 * MIB
    assert abs(difference(found, "CUDA1", "model") or 0) < 0.01 * MIB


def test_the_cache_follows_the_split_not_the_override() -> None:
    """KV cache by 31 + 16 layers although -ot says 33 + 14, and 32 + 15 were predicted."""
    found = judged(diary.glm(), diary.args(512))

    assert named(found)["kv-off-weights"] == (
        "the KV cache lies by 31+16 on CUDA0 + CUDA1 layers, although -ot puts the weights by 33+14 on CUDA0 + CUDA1"
    )
    assert "32+15" in named(found)["kv-elsewhere"]
    assert found.verdict is RunVerdict.OUTSIDE
    within = [row.is_within for row in found.rows if row.is_within is not None]
    assert f"({sum(within)} of {len(within)} figures are within)" in everything(verification_screen(found))
    assert "-ts 33,14" in next(item.advice for item in found.findings if item.name == "kv-off-weights")


def test_gpus_that_act_as_one_are_held_against_the_largest() -> None:
    """-sm tensor: llama.cpp prints the largest buffer of all, and everybody's free memory as one."""
    log = [
        "llama_model_loader: loaded meta data with 30 key-value pairs and 311 tensors from a.gguf (version GGUF V3)",
        "llama_prepare_model_devices: using device Meta() (Meta()) (unknown id) - 48300 MiB free",
        "load_tensors: offloaded 29/29 layers to GPU",
        "load_tensors:    CUDA_Host model buffer size =   157.65 MiB",
        "load_tensors:       Meta() model buffer size =   381.02 MiB",
        "llama_context: constructing llama_context",
        "llama_context: n_ctx = 8192",
        "llama_context:  CUDA_Host  output buffer size =     0.58 MiB",
        "llama_kv_cache:     Meta() KV buffer size =   448.00 MiB",
        "sched_reserve:     Meta() compute buffer size =    34.01 MiB",
        "sched_reserve:  CUDA_Host compute buffer size =    16.02 MiB",
    ]
    args = ("-sm", "tensor", "-c", "8192", "-np", "1", "-ngl", "99", "-dev", "CUDA0,CUDA1")

    found = omniplan.verify(
        parse_log(log), model="tests/data/models/zoo/Qwen3-0.6B-Q8_0.gguf", machine="quad-3090", args=args
    )

    assert {row.pool for row in found.rows} == {"Meta()", "Host"}
    assert [row for row in found.rows if not row.is_within] == []
    assert [item.name for item in found.findings if item.severity is RunSeverity.FAULT] == []


def test_a_second_context_that_does_not_fit_is_named() -> None:
    """What MTP's own context asks for is no weight of the model."""
    log = [
        "llama_model_loader: loaded meta data with 30 key-value pairs and 9 tensors from a.gguf (version GGUF V3)",
        "load_tensors: CUDA0 model buffer size = 900.00 MiB",
        "llama_context: constructing llama_context",
        "llama_context: n_ctx = 4096",
        "llama_kv_cache: CUDA0 KV buffer size = 100.00 MiB",
        "sched_reserve: CUDA0 compute buffer size = 300.00 MiB",
        "llama_context: constructing llama_context",
        "llama_context: n_ctx = 4096",
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 536870912",
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
    ]

    said = named(omniplan.verify(parse_log(log)))
    assert "512 MiB of kv of another context of the model" in said["out-of-memory-unknown"]


@pytest.mark.parametrize(("in_ram", "is_told"), [("350000.00", True), ("900.00", False)])
def test_idle_vram_is_told_while_weights_are_in_ram(in_ram: str, is_told: bool) -> None:
    """Experts in RAM beside a GPU that is nearly empty are worth a finding; a token embedding is not."""
    log = [
        "ggml_cuda_init: found 1 CUDA devices:",
        "llama_model_load_from_file_impl: using device CUDA0 (NVIDIA RTX PRO 6000) (0000:01:00.0) - 96000 MiB free",
        "llama_model_loader: loaded meta data with 30 key-value pairs and 9 tensors from a.gguf (version GGUF V3)",
        "load_tensors: CUDA0 model buffer size = 4000.00 MiB",
        f"load_tensors: CUDA_Host model buffer size = {in_ram} MiB",
        "llama_context: constructing llama_context",
        "llama_kv_cache: CUDA0 KV buffer size = 1000.00 MiB",
        "sched_reserve: CUDA0 compute buffer size = 300.00 MiB",
    ]
    said = named(omniplan.verify(parse_log(log)))

    assert ("idle-vram" in said) is is_told


def test_out_of_memory_by_372_mib() -> None:
    """At -ub 1024 the compute buffer of 897 MiB met 525 free ones."""
    found = judged(diary.glm(n_ubatch=1024), diary.args(1024))

    assert found.verdict is RunVerdict.FAILED
    assert "asked for 897 MiB of compute, 525 MiB were free" in named(found)["out-of-memory"]
    assert "short by 372 MiB" in named(found)["out-of-memory"]
    assert difference(found, "CUDA0", "context") is not None
    assert abs(difference(found, "CUDA0", "context") or 0) < MIB


def test_the_failure_itself_was_predictable() -> None:
    """A footprint of the same arguments is short on the same device."""
    priced = omniplan.footprint(diary.MODEL, omniplan.load_machine(diary.MACHINE), diary.args(1024))

    assert list(priced.shortfall) == ["CUDA0"]


def test_more_splits_than_predicted_are_named() -> None:
    """23 splits where the simulation has 13."""
    assert "23 splits" in named(judged(diary.glm(), diary.args(512)))["splits-above"]


def test_no_vmm_is_a_fault() -> None:
    """F-003: a build without CUDA's virtual memory management ran at a third of the speed."""
    report = diary.glm()
    devices = (replace(report.devices[0], has_vmm=False), *report.devices[1:])

    found = omniplan.verify(parse_log(render(replace(report, devices=devices), ERA)))

    assert found.verdict is RunVerdict.FAULTY
    assert not found.is_ok
    assert next(item for item in found.findings if item.name == "no-vmm").lines == (2,)


def test_rocm_has_no_vmm_and_no_fault() -> None:
    """AMD's driver offers none; nothing is wrong."""
    line = "  Device 0: AMD Radeon RX 9070 XT, gfx1201 (0x1201), VMM: no, Wave Size: 32"

    assert omniplan.verify(parse_log([line])).findings == ()


STREAMED = [
    "load_tensors:        CUDA0 model buffer size = 88000.00 MiB",
    "load_tensors:   CPU model buffer size = 200000.00 MiB",
    "       eval time =   19230.00 ms /   100 tokens (  192.30 ms per token,     5.20 tokens per second)",
]


@pytest.mark.parametrize("log", [["available: 4 nodes (0-3)", *STREAMED], STREAMED], ids=["numactl", "machine"])
def test_nps4_under_streamed_weights_is_a_fault(log: list[str]) -> None:
    """S-005: four NUMA nodes per socket under weights in RAM halve the speed."""
    machine = omniplan.load_machine("omni-nps1" if len(log) > 3 else "omni-nps4")

    found = omniplan.verify(parse_log(log), machine=machine)

    assert "NPS4" in named(found)["numa-split"]
    assert found.verdict is RunVerdict.FAULTY


def test_nps1_is_in_order() -> None:
    """The same run on one node has no such finding."""
    assert "numa-split" not in named(omniplan.verify(parse_log(STREAMED), machine=omniplan.load_machine("omni-nps1")))


def test_a_plan_is_held_against_its_own_run(tmp_path: Path) -> None:
    """A log with the very bytes of a plan is within tolerance; a device that holds nothing is a fault."""
    machine = omniplan.load_machine(diary.MACHINE)
    plan = omniplan.plan(diary.MODEL, machine, n_ctx=32768)
    log = written(plan.footprint)
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json(), encoding="utf-8")

    found = omniplan.verify(parse_log(log), plan=path)
    empty = omniplan.verify(parse_log([line for line in log if "CUDA1 model" not in line]), plan=plan)

    assert found.verdict is RunVerdict.WITHIN
    assert [item for item in found.findings if item.severity is RunSeverity.FAULT] == []
    assert "device-empty" in named(empty)


def written(priced: omniplan.Footprint) -> list[str]:
    """The lines b11434 would print for a footprint."""
    lines = ["build_info: b11434-0123456", f"llama_context: n_ctx         = {priced.n_ctx}"]
    words = {
        "model": "load_tensors: {} model",
        "context": "llama_kv_cache: {} KV",
        "compute": "sched_reserve: {} compute",
    }
    for column, text in words.items():
        sizes = {name: getattr(size, column) / MIB for name, size in priced.buffers.items()}
        lines += [f"{text.format(name)} buffer size = {size:.2f} MiB" for name, size in sizes.items() if size]
    output = f"llama_context: CUDA_Host output buffer size = {priced.output_buffer / MIB:.2f} MiB"
    return [*lines[:2], output, *lines[2:]]


def test_a_context_that_fit_reduced_is_named() -> None:
    """The plan's context is not what ran."""
    line = "common_params_fit_impl: context size reduced from 131072 to 31488 -> need 15726 MiB less memory in total"
    report = diary.glm()
    context = replace(report.loads[0].contexts[0], settings={"n_ctx": "31488"})
    short = replace(report, loads=(replace(report.loads[0], contexts=(context,)),))

    found = omniplan.verify(
        parse_log([line, *render(short, ERA)]),
        model=diary.MODEL,
        machine=omniplan.load_machine(diary.MACHINE),
        args=diary.args(512),
    )

    assert "from 131072 to 31488" in named(found)["context-reduced"]
    assert "context-differs" in named(found)


def test_flash_attention_that_was_turned_off_is_named() -> None:
    """Predicted on, found off."""
    report = diary.glm()
    context = replace(report.loads[0].contexts[0], flash_attn=False)
    off = replace(report, loads=(replace(report.loads[0], contexts=(context,)),))

    assert "flash-off-unplanned" in named(judged(off, diary.args(512)))


def test_memory_in_use_is_read_from_nvidia_smi(tmp_path: Path) -> None:
    """The peak of all samples counts, and more than predicted is named."""
    path = tmp_path / "used.csv"
    rows = ["index, name, memory.used [MiB], memory.total [MiB]"]
    rows += [f"{i}, GPU {i}, {used} MiB, {total} MiB" for used in (900, 24400) for i, total in ((0, 24564), (1, 16303))]
    path.write_text("\n".join(rows), encoding="utf-8")
    log = parse_log(render(diary.glm(), ERA))
    machine = omniplan.load_machine(diary.MACHINE)

    found = omniplan.verify(log, model=diary.MODEL, machine=machine, args=diary.args(512), nvidia_smi=path)

    assert [usage.used // MIB for usage in found.usage] == [24400, 24400]
    assert "24,400 MiB in use on CUDA1" in named(found)["used-above"]


@pytest.mark.parametrize("beyond", [0, 1])
def test_what_may_be_in_use_is_the_price_and_the_headroom(beyond: int, tmp_path: Path) -> None:
    """With a screen: what is in use before, the buffers, the rest of a context and 1 GiB; a MiB more is named."""
    machine = omniplan.load_machine(diary.MACHINE)
    log = parse_log(render(diary.glm(), ERA))
    assert log.build is not None
    priced = omniplan.footprint(diary.MODEL, machine, diary.args(512), build=log.build.number)
    context = max(0, priced.process["CUDA1"].total - 465 * MIB)
    used = (16303 - 12761) + (priced.buffers["CUDA1"].total + context) // MIB + 1024 + beyond
    path = tmp_path / "used.csv"
    path.write_text(f"index, memory.used [MiB]\n0, 900 MiB\n1, {used} MiB\n", encoding="utf-8")

    found = omniplan.verify(log, model=diary.MODEL, machine=machine, args=diary.args(512), nvidia_smi=path)

    assert ("used-above" in named(found)) is bool(beyond)


@pytest.mark.parametrize("beyond", [0, 1])
def test_what_lies_beside_a_model_is_held_against_the_plan_s_headroom(beyond: int) -> None:
    """A breakdown's unaccounted memory is expected up to what the plan keeps beyond what was in use before."""
    machine = omniplan.load_machine(diary.MACHINE)
    plan = omniplan.plan(diary.MODEL, machine, n_ctx=8192, baselines=False)
    (margin,) = (margin for margin in plan.margins if margin.pool == "CUDA0")
    beside = (24564 - 23671 + (margin.context + margin.growth) // MIB + beyond) * MIB
    row = BreakdownRow(device="CUDA0", model=0, context=0, compute=0, line=0, total=24564 * MIB, unaccounted=beside)
    report = diary.glm()
    log = parse_log(render(replace(report, loads=(replace(report.loads[0], breakdown=(row,)),)), ERAS["b11434"]))

    assert ("unaccounted" in named(omniplan.verify(log, plan=plan))) is bool(beyond)


@pytest.mark.parametrize(
    "text", ["", "0, GPU, 900 MiB\n", "index, memory.used [MiB]\n", "index, memory.used [MiB]\n0, lots\n"]
)
def test_a_wrong_csv_is_one_line(text: str, tmp_path: Path) -> None:
    """It says how to write a right one, or which line is wrong."""
    path = tmp_path / "used.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"used\.csv"):
        omniplan.verify(parse_log(STREAMED), nvidia_smi=path)


QUIET = [
    "0.00.002.139 I cmn  common_param: common_params_print_info: verbosity = 3 (adjust with the `-lv N` CLI arg)",
    "0.00.004.452 I srv    load_model: loading model '/models/a.gguf'",
    "0.00.015.615 I srv    load_model: initializing, n_slots = 1, n_ctx_slot = 2048, kv_unified = 'false'",
]


def test_a_quiet_log_says_what_to_do() -> None:
    """Verbosity 3 shows no buffers: the finding names -lv 4, and nothing counts as verified."""
    found = omniplan.verify(parse_log(QUIET), model=diary.MODEL, machine=omniplan.load_machine("cpu-only"))

    assert "-lv 4" in next(item.advice for item in found.findings if item.name == "quiet-log")
    assert found.verdict is RunVerdict.UNKNOWN
    assert not found.is_ok


def test_the_verb_has_the_three_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 within tolerance, 1 not, 2 and one line where nothing is recognised."""
    run = [str(tmp_path / "run.log"), "--model", diary.MODEL, "--machine", diary.MACHINE]
    machine = omniplan.load_machine(diary.MACHINE)
    exact = omniplan.footprint(diary.MODEL, machine, diary.args(512))
    for lines, expected in ((written(exact), 0), (render(diary.glm(), ERA), 1), (["nothing here"], 2)):
        (tmp_path / "run.log").write_text("\n".join(lines), encoding="utf-8")

        assert main(["verify", *run, "--", *diary.args(512)]) == expected
        shown = capsys.readouterr()
        assert (shown.err.count("\n"), bool(shown.out)) == ((1, False) if expected == 2 else (0, True))


def test_the_json_keeps_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What ``--json`` prints is valid by ``omniplan schema verification``."""
    import jsonschema

    path = tmp_path / "run.log"
    path.write_text("\n".join(render(diary.glm(), ERA)), encoding="utf-8")
    main(["schema", "verification"])
    schema = json.loads(capsys.readouterr().out)
    main(["verify", str(path), "--model", diary.MODEL, "--json"])

    jsonschema.validate(json.loads(capsys.readouterr().out), schema)


def test_the_command_in_the_log_is_priced() -> None:
    """Without arguments the command that a shell echoed is taken, old spellings included."""
    command = "$ ./llama-server -m glm.gguf -c 131072 -np 1 -ngl 99 -fa -ctk q8_0 -ctv q8_0 -ts 33,15 --no-mmap"

    found = omniplan.verify(
        parse_log([command, *render(diary.glm(), ERA)]),
        model=diary.MODEL,
        machine=omniplan.load_machine(diary.MACHINE),
    )

    assert found.basis == "the command in the log"
    assert ("-ts", "33,15") == found.args[found.args.index("-ts") :][:2]
    assert "left out" not in " ".join(item.statement for item in found.assumptions)


def test_another_model_s_log_is_a_fault() -> None:
    """Bytes of one model held against another's are no verdict on either."""
    report = diary.glm()
    model = replace(report.loads[0].model, hparams={"arch": "llama", "n_layer": "47"})
    other = replace(report, loads=(replace(report.loads[0], model=model),))

    assert "architecture is llama" in named(judged(other, diary.args(512)))["other-model"]


def test_another_machine_is_named() -> None:
    """The GPUs in the log are not those of the machine given."""
    log = parse_log(render(diary.glm(), ERA))

    found = omniplan.verify(log, model=diary.MODEL, machine=omniplan.load_machine("quad-3090"), args=diary.args(512))

    assert "CUDA1 is RTX 5070 Ti in the log, RTX 3090" in named(found)["other-machine"]


def test_the_plan_s_own_model_is_found_among_others() -> None:
    """Of two servers in one log the one that loaded the model counts, not the bigger one."""
    own = [f"[41] {line}" for line in render(diary.glm(), ERA)]
    bigger = ["load_tensors: CUDA0 model buffer size = 99999.00 MiB", "llama_context: n_ctx = 1"]

    found = omniplan.verify(
        parse_log([*own, *(f"[42] {line}" for line in bigger)]),
        model=diary.MODEL,
        machine=omniplan.load_machine(diary.MACHINE),
        args=diary.args(512),
    )

    assert abs(difference(found, "CUDA0", "model") or 0) < MIB
    assert "other-loads" in named(found)


def test_what_fit_params_prints_is_compared() -> None:
    """``llama-fit-params -fitp on``: a line per device, whole MiB."""
    machine = omniplan.load_machine(diary.MACHINE)
    priced = omniplan.footprint(diary.MODEL, machine, diary.args(512))
    names = {"CUDA0": "CUDA0", "CUDA1": "CUDA1", "Host": "CUDA_Host"}
    sizes = {shown: priced.buffers[name] for shown, name in names.items()}
    lines = [f"{name} {s.model // MIB} {s.context // MIB} {s.compute // MIB}" for name, s in sizes.items()]

    found = omniplan.verify(
        parse_log(["build: 11434 (0123456)", *lines]), model=diary.MODEL, machine=machine, args=diary.args(512)
    )

    assert found.verdict is RunVerdict.WITHIN


@pytest.mark.parametrize(
    ("gpu", "members"),
    [
        ({}, ("CUDA0",)),
        ({"unified": True}, ("CUDA0", "Host")),
        ({"unified": True, "working_set_mib": 16384, "limit_source": "test"}, ("CUDA0",)),
    ],
    ids=["own memory", "shared", "shared within a limit"],
)
def test_what_takes_from_the_memory_that_ran_out(gpu: dict[str, object], members: tuple[str, ...]) -> None:
    """Buffers in RAM count against what a GPU had free where RAM is all it has."""
    row = {"name": "CUDA0", "total_mib": 32768, **gpu}
    machine = omniplan.Machine.from_dict({"name": "one", "gpus": [row], "memory": {"total_mib": 32768}})

    assert one_memory("CUDA0", machine, ["CUDA0"]) == members
    assert one_memory("CUDA0", None, ["CUDA0"]) == ("CUDA0",)

"""Launch lines: every engine's own words, with the numbers of its layout."""

from __future__ import annotations

from dataclasses import replace

from omniplan.domain.machine import Machine
from omniplan.engines.site import Site
from omniplan.engines.values import WayVerdict
from omniplan.engines.weigh import EngineQuestion, weigh
from tests.unit.engines import cases

READY = {"weights": ("gguf", "bf16", "fp8"), "sched_ext": True}


def best(engine: str, on: Machine, at: Site) -> WayVerdict:
    """The way an engine would run."""
    return cases.ask(on, at).engine(engine).best


def flags(way: WayVerdict) -> dict[str, str]:
    """Options and what follows them."""
    assert way.launch is not None
    argv = way.launch.argv
    return {flag: value for flag, value in zip(argv, [*argv[1:], ""], strict=True) if flag.startswith("-")}


def test_llama_cpp_is_its_plan() -> None:
    """Nothing is added to the plan's own arguments."""
    way = best("llama.cpp", cases.machine(), cases.site())

    assert way.launch is not None
    assert way.launch.argv[3:] == cases.plan().server_args
    assert dict(way.launch.environment) == cases.plan().environment


def test_ik_speaks_its_dialect() -> None:
    """The same placement; MLA, a bound on attention, fused experts and repacking said its way; no --fit."""
    way = best("ik_llama.cpp", cases.machine(), cases.site())
    found, plan = flags(way), dict(zip(cases.plan().server_args, cases.plan().server_args[1:], strict=False))

    assert {"-mla": "3", "-amb": "512"}.items() <= found.items()
    assert {"-fmoe", "-rtr"} <= set(found)
    assert {flag: plan[flag] for flag in ("-ot", "-ts", "-ngl", "-c")}.items() <= found.items()
    assert "--fit" not in found


def test_ik_keeps_the_order_of_the_gpus() -> None:
    """-ts counts along -dev, so both go together; no op offload is a policy for every operation."""
    plan = replace(cases.plan(), server_args=(*cases.plan().server_args, "-dev", "CUDA1,CUDA0", "--no-op-offload"))
    weighing = weigh(
        EngineQuestion(model=cases.deepseek(), machine=cases.machine(), site=cases.site(), n_ctx=8192, plan=plan)
    )
    found = flags(weighing.engine("ik_llama.cpp").best)

    assert {"-dev": "CUDA1,CUDA0", "-op": "-1,0"}.items() <= found.items()
    assert "--no-op-offload" not in found


def test_sglang_with_kt_kernel() -> None:
    """With AMX, INT4 experts: threads by cores, pools by NUMA nodes, experts on the GPU by what is left of it."""
    machine = cases.with_amx(cases.machine())
    weighing = cases.ask(machine, cases.site(**READY))
    way = next(way for way in weighing.engine("sglang-kt").ways if way.name == "AMXINT4")
    found = flags(way)

    assert {
        "--kt-method": "AMXINT4",
        "--kt-cpuinfer": "96",
        "--kt-threadpool-count": "1",
        "--kt-num-gpu-experts": "10",
        "--tensor-parallel-size": "1",
        "--attention-backend": "triton",
        "--fp8-gemm-backend": "triton",
        "--kt-weight-path": "DeepSeek-R1-kt-amxint4",
        "--model-path": "DeepSeek-R1-bf16",
    }.items() <= found.items()


def test_equal_gpus_share_matrices() -> None:
    """Two of the larger one: tensor parallel, and more experts on them."""
    machine = cases.with_amx(cases.with_equal_gpus(cases.machine()))
    way = next(w for w in cases.ask(machine, cases.site(**READY)).engine("sglang-kt").ways if w.name == "AMXINT4")

    assert "2" == flags(way)["--tensor-parallel-size"]
    assert 10 < int(flags(way)["--kt-num-gpu-experts"]) < 256


def test_a_pair_beside_a_stranger() -> None:
    """Of a pair and a larger single one, the pair shares matrices when it holds more."""
    large, small = cases.machine().gpus
    pair = [replace(large, name=name, total=64 * cases.GIB, free=63 * cases.GIB) for name in ("CUDA1", "CUDA2")]
    machine = cases.with_amx(replace(cases.machine(), gpus=(large, *pair, replace(small, name="CUDA3"))))
    way = next(w for w in cases.ask(machine, cases.site(**READY)).engine("sglang-kt").ways if w.name == "AMXINT4")

    assert "2" == flags(way)["--tensor-parallel-size"]
    assert "CUDA1 + CUDA2" == way.memory[0].pool


def test_ktransformers_reads_the_file_at_hand() -> None:
    """The folder of the GGUF, and one thread per core."""
    found = flags(best("ktransformers", cases.machine(), cases.site(**READY)))

    assert {"--cpu_infer": "96", "--cache_lens": "8192", "--backend_type": "balance_serve"}.items() <= found.items()
    assert found["--gguf_path"].endswith("zoo")


def test_vllm_over_unequal_gpus() -> None:
    """Layers by memory in pipeline stages, and what is left in RAM, in GiB per GPU."""
    roomy = cases.with_ram(cases.machine(), 2048)
    way = next(w for w in cases.ask(roomy, cases.site(**READY)).engine("vllm").ways if w.name == "fp8")
    found = flags(way)
    assert way.launch is not None
    stages = [int(n) for n in way.launch.environment["VLLM_PP_LAYER_PARTITION"].split(",")]

    assert {
        "--tensor-parallel-size": "1",
        "--pipeline-parallel-size": "2",
        "--gpu-memory-utilization": "0.9",
    }.items() <= (found.items())
    assert 61 == sum(stages)
    assert stages == sorted(stages, reverse=True)
    vram, ram = way.memory
    assert ram.needed == 2 * int(found["--cpu-offload-gb"]) * cases.GIB
    assert vram.available is not None
    assert vram.needed <= vram.available < vram.needed + 2 * cases.GIB


def test_vllm_takes_one_gpu_where_that_is_enough() -> None:
    """No parallelism, no offload."""
    huge = replace(cases.machine().gpus[0], free=2048 * cases.GIB, total=2048 * cases.GIB)
    machine = replace(cases.machine(), gpus=(huge, cases.machine().gpus[1]))
    way = next(w for w in cases.ask(machine, cases.site(**READY)).engine("vllm").ways if w.name == "bf16")

    assert {"--tensor-parallel-size": "1", "--pipeline-parallel-size": "1"}.items() <= flags(way).items()
    assert "--cpu-offload-gb" not in flags(way)

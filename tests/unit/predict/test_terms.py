"""Every term of time in round figures: bytes over bandwidth, operations over rates, and what pieces cost besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

import omniplan
from omniplan.domain.footprint import GraphSplits
from omniplan.domain.prediction import Cause
from omniplan.llamacpp.flags.args import parse
from omniplan.predict.decode import decode_terms
from omniplan.predict.prefill import Prompt, prompt_terms
from omniplan.predict.rates import GpuRates, Rates
from omniplan.predict.request import placed
from omniplan.predict.traffic import Traffic

ZOO = "tests/data/models/zoo/"
DENSE = omniplan.load_model(f"{ZOO}Llama-3.1-8B-Q4_K_M.gguf")
MOE = omniplan.load_model(f"{ZOO}Qwen3-30B-A3B-Q4_K_M.gguf")
MACHINE = omniplan.load_machine("dual-4090-5070ti")
GPU = GpuRates(
    backend="cuda",
    memory=1e12,
    link=10e9,
    copies=4e9,
    uploads=2e9,
    int8=200e12,
    fp16=100e12,
    compute_capability="8.9",
)
RATES = Rates(
    gpus={"CUDA0": GPU, "CUDA1": GPU}, ram=100e9, threads=8, cores=16, cores_batch=10, has_avx512=False, assumptions=()
)
CONSTANTS = {
    "gpu.weights_share": 0.5, "gpu.node": 1e-6, "gpu.layer": 2e-6, "gpu.latent_layer": 5e-6,
    "gpu.recurrent_layer": 3e-6,
    "gpu.columns_share": 0.05, "gpu.split": 1e-5,
    "gpu.kv_share": 0.5, "gpu.kv_share_no_fa": 0.25, "gpu.attention_decode": 0.1, "gpu.attention_128_share": 0.4,
    "gpu.attention_no_fa_share": 0.2, "gpu.bf16_share": 0.4, "gpu.bf16_read_share": 1.0,
    "prompt.asking": 1e6, "gpu.mxfp4_gain": 1.0, "gpu.mmq_share": 0.5, "gpu.f16_share": 0.8, "gpu.expert_tile": 32.0,
    "gpu.prompt_layer": 1e-4, "cpu.weights_share": 0.5, "cpu.core_bandwidth": 20e9, "cpu.core_plain": 10e9,
    "cpu.core_low_bit": 5e9, "cpu.core_codebook": 2.5e9, "cpu.core_mxfp4": 4e9, "cpu.smt": 0.5, "cpu.node": 1e-6,
    "cpu.node_per_thread": 1e-7, "cpu.split": 1e-4, "cpu.kv_share": 0.25, "cpu.attention_flops": 1e10,
    "cpu.flops_per_core": 1e11, "cpu.flops_per_core_avx512": 2e11, "cpu.batch_share": 0.8,
}  # fmt: skip
ONE = ("-ngl", "99", "-c", "8192", "-np", "1", "-fa", "on", "-sm", "none")


def counted(**sizes: float) -> Counter[str]:
    """Figures by device."""
    return Counter({device: int(size) for device, size in sizes.items()})


def decode(
    traffic: Traffic, *args: str, rates: Rates = RATES, constants: Mapping[str, float] = CONSTANTS
) -> dict[Cause, float]:
    """Terms of a token for a graph of a thousand nodes in twelve pieces."""
    placement, priced = placed(DENSE, MACHINE, parse([*ONE, *args]))
    priced = replace(priced, n_nodes=1000, graph_splits=GraphSplits(prefill=40, decode=12))
    return decode_terms(placement, priced, traffic, rates, constants)


def prompt(
    traffic: Traffic, *args: str, n_prompt: int = 1000, n_ubatch: int = 512, model: omniplan.Model = DENSE
) -> dict[Cause, float]:
    """Terms of a prompt of 1000 tokens in two micro-batches."""
    placement, _ = placed(model, MACHINE, parse([*ONE, *args]))
    asked = Prompt(n_prompt=n_prompt, n_ubatch=n_ubatch, depth=0)
    return prompt_terms(model, placement, parse([*ONE, *args]), traffic, RATES, CONSTANTS, asked)


def test_weights_on_a_gpu_are_read_at_a_share_of_its_bandwidth() -> None:
    """By compute capability where that is known."""
    traffic = Traffic(weights=counted(CUDA0=10e9))

    assert decode(traffic)[Cause.GPU_WEIGHTS] == pytest.approx(0.02)
    assert decode(traffic, constants=CONSTANTS | {"gpu.weights_share_8_9": 0.8})[Cause.GPU_WEIGHTS] == pytest.approx(
        0.0125
    )
    assert decode(traffic, constants=CONSTANTS | {"gpu.weights_share_8_6": 0.8})[Cause.GPU_WEIGHTS] == pytest.approx(
        0.02
    )


@pytest.mark.parametrize(
    ("kind", "changes", "seconds"),
    [
        ("f16", {}, 0.0625),
        ("q4_K", {"threads": 2}, 0.25),
        ("q3_K", {}, 0.125),
        ("iq2_xs", {}, 0.25),
        ("mxfp4", {}, 0.15625),
        ("f16", {"ram": 50e9}, 0.2),
        ("f16", {"ram": 200e9, "threads": 24}, 0.05 * 1.125),
        ("f16", {"ram": 20e9, "threads": 32}, 0.5 * 1.5),
    ],
)
def test_weights_on_the_cpu_take_the_longer_of_reading_and_computing(
    kind: str, changes: dict[str, Any], seconds: float
) -> None:
    """Five gigabytes by one type; more threads than cores get in each other's way."""
    traffic = Traffic(weights=counted(CPU=5e9), cpu_types=counted(**{kind: 5e9}))
    plain = {"ram": 1000e9, **changes}

    assert decode(traffic, rates=replace(RATES, **plain))[Cause.CPU_WEIGHTS] == pytest.approx(seconds)


def test_cores_read_no_faster_than_each_of_them_can() -> None:
    """Two threads at 20 GB/s are slower than half of 100 GB/s."""
    traffic = Traffic(weights=counted(CPU=5e9))

    assert decode(traffic, rates=replace(RATES, threads=2))[Cause.CPU_WEIGHTS] == pytest.approx(0.125)
    assert decode(traffic)[Cause.CPU_WEIGHTS] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("device", "operations", "args", "seconds"),
    [
        ("CUDA0", 0, (), 0.02),
        ("CUDA0", 0, ("-fa", "off"), 0.04),
        ("CUDA0", 1e12, (), 0.1),
        ("CPU", 0, (), 0.4),
        ("CPU", 80e9, (), 1.0),
    ],
)
def test_the_cache_takes_the_longer_of_reading_and_scoring(
    device: str, operations: float, args: tuple[str, ...], seconds: float
) -> None:
    """Ten gigabytes, or the products with it."""
    traffic = Traffic(cache=counted(**{device: 10e9}), attention=counted(**{device: operations}))

    assert decode(traffic, *args)[Cause.KV_READS] == pytest.approx(seconds)


def test_launches_and_nodes_are_shared_out_by_matrices() -> None:
    """A quarter of the matrices on the CPU is a quarter of the nodes there; GPU layers and latent ones cost extra."""
    latent, recurrent = counted(CUDA0=4, CPU=1), counted(CUDA0=2)
    terms = decode(Traffic(matrices=counted(CUDA0=30, CPU=10), latent_layers=latent, recurrent_layers=recurrent))

    assert terms[Cause.GPU_LAUNCHES] == pytest.approx(750e-6 + 32 * 2e-6 + 4 * 5e-6 + 2 * 3e-6)
    assert terms[Cause.CPU_LAYERS] == pytest.approx(250 * 1.8e-6)
    assert Cause.GRAPH_SPLITS not in terms


def test_a_back_end_has_constants_of_its_own() -> None:
    """What its name says comes before what is of all GPUs, and a compute capability before either."""
    amd = replace(GPU, backend="rocm", compute_capability="")
    own = {**CONSTANTS, "gpu.weights_share_rocm": 1.0, "gpu.weights_share_8_9": 0.25}
    read = Traffic(weights=counted(CUDA0=1e9))

    seconds = [
        decode(read, rates=replace(RATES, gpus={"CUDA0": gpu}), constants=own)[Cause.GPU_WEIGHTS]
        for gpu in (GPU, amd, replace(amd, backend="vulkan"))
    ]

    assert seconds == pytest.approx([4e-3, 1e-3, 2e-3])


def test_weights_that_are_unpacked_by_arithmetic_take_as_long_as_that() -> None:
    """A billion packed weights of 25 operations each at 100 TFLOPS, where reading them takes less; 16-bit ones none."""
    apple = replace(RATES, gpus={"CUDA0": replace(GPU, backend="metal", compute_capability="")})
    own = {**CONSTANTS, "gpu.weight_operations_metal": 25.0}
    traffic = Traffic(weights=counted(CUDA0=5e7), dense=counted(CUDA0=1.5e9), dense_f16=counted(CUDA0=5e8))

    assert decode(traffic, rates=apple, constants=own)[Cause.GPU_WEIGHTS] == pytest.approx(2.5e-4)
    assert decode(traffic, constants=own)[Cause.GPU_WEIGHTS] == pytest.approx(1e-4)


def test_every_piece_but_the_first_two_waits() -> None:
    """Longer where layers on the CPU are between; with nothing on GPUs there is nothing to hand over."""
    assert decode(Traffic(gpu_layers={0}))[Cause.GRAPH_SPLITS] == pytest.approx(10 * 1e-5)
    assert decode(Traffic(gpu_layers={0}, cpu_layers={1}))[Cause.GRAPH_SPLITS] == pytest.approx(10 * 1e-4)
    assert Cause.GRAPH_SPLITS not in decode(Traffic(cpu_layers={1}))


def test_a_prompt_is_computed_and_its_weights_are_read_once_a_micro_batch() -> None:
    """Quantised products at a share of INT8, others of FP16; two batches read the weights twice."""
    traffic = Traffic(
        weights=counted(CUDA0=5e9), whole=counted(CUDA0=5e9), dense=counted(CUDA0=9e9), dense_f16=counted(CUDA0=4e9),
        attention=counted(CUDA0=2e9),
    )  # fmt: skip
    terms = prompt(traffic)

    assert terms[Cause.GPU_COMPUTE] == pytest.approx(1000 * (10e9 / 100e12 + 8e9 / 80e12 + 2e9 / 40e12))
    assert terms[Cause.GPU_WEIGHTS] == pytest.approx(2 * 5e9 / 0.5e12)
    assert terms[Cause.GPU_LAUNCHES] == pytest.approx(2 * 32 * 1e-4)
    assert prompt(traffic, "-fa", "off")[Cause.GPU_COMPUTE] == pytest.approx(terms[Cause.GPU_COMPUTE] + 0.05)
    assert prompt(traffic, n_prompt=512)[Cause.GPU_WEIGHTS] == pytest.approx(0.01)
    assert prompt(traffic, n_prompt=513)[Cause.GPU_WEIGHTS] == pytest.approx(0.02)
    assert prompt(traffic, n_prompt=0) == {}


def test_heads_of_each_size_keep_a_gpu_as_busy_as_their_kernel_does() -> None:
    """Products of attention with K and V at a share of FP16, which is that of the head's size and of the back end."""
    own = {**CONSTANTS, "gpu.attention_128_share_cuda": 0.8, "gpu.attention_64_share": 0.1}
    traffic = Traffic(attention=counted(CUDA0=2e9))
    asked = Prompt(n_prompt=1000, n_ubatch=512, depth=0)
    placement, _ = placed(DENSE, MACHINE, parse([*ONE]))

    terms = prompt_terms(DENSE, placement, parse([*ONE]), traffic, RATES, own, asked)

    assert max(DENSE.hparams.n_embd_head_k) == 128
    assert terms[Cause.GPU_COMPUTE] == pytest.approx(1000 * 2e9 / 80e12)


def test_bf16_is_slow_where_a_back_end_says_so() -> None:
    """Read at a fifth of the bandwidth, and multiplied at the share of its own."""
    own = {**CONSTANTS, "gpu.bf16_read_share_cuda": 0.2}
    half = Traffic(
        weights=counted(CUDA0=4e9), whole=counted(CUDA0=4e9), dense=counted(CUDA0=3e9), dense_bf16=counted(CUDA0=1e9)
    )

    assert decode(half, constants=own)[Cause.GPU_WEIGHTS] == pytest.approx(2e9 / 0.5e12 + 2e9 / 0.2e12)
    assert decode(half)[Cause.GPU_WEIGHTS] == pytest.approx(4e9 / 0.5e12)
    assert prompt(half)[Cause.GPU_COMPUTE] == pytest.approx(1000 * (4e9 / 100e12 + 2e9 / 40e12))


def test_a_text_asks_for_fewer_experts_than_chance_would() -> None:
    """A micro-batch of 512 asks as 22.6 tokens would that choose by themselves, so less is copied."""
    traffic = Traffic(
        weights=counted(CPU=2e9), whole=counted(CPU=17e9), routed=counted(CPU=1e9), streamed=17_000_000_000, used=1 / 16
    )
    few = {**CONSTANTS, "prompt.asking": 1.0}
    placement, _ = placed(MOE, MACHINE, parse([*ONE]))
    asked = Prompt(n_prompt=512, n_ubatch=512, depth=0)

    terms = prompt_terms(MOE, placement, parse([*ONE]), traffic, RATES, few, asked)

    assert terms[Cause.STREAMING] == pytest.approx((17e9 - (15 / 16) ** (512**0.5) * 16e9) / 4e9)


def test_tiles_of_experts_are_as_full_as_tokens_ask_for_them() -> None:
    """Of 512 tokens 8 in 128 ask for each: 32 of them half fill a tile that takes 32 besides."""
    traffic = Traffic(routed=counted(CUDA0=5e9))

    assert prompt(traffic, model=MOE)[Cause.GPU_COMPUTE] == pytest.approx(1000 * 10e9 / (0.5 * 0.5 * 200e12))


def test_experts_that_nobody_asks_for_are_not_read() -> None:
    """One token reads its own experts, many read them all."""
    traffic = Traffic(weights=counted(CUDA0=2e9), whole=counted(CUDA0=17e9), used=1 / 16)

    assert prompt(traffic, model=MOE, n_prompt=1, n_ubatch=1)[Cause.GPU_WEIGHTS] == pytest.approx(2e9 / 0.5e12)
    two = 17e9 - (15 / 16) ** 2 * 16e9
    assert prompt(traffic, model=MOE, n_prompt=2, n_ubatch=2)[Cause.GPU_WEIGHTS] == pytest.approx(two / 0.5e12)


def test_experts_that_a_cache_lacks_come_over_the_link() -> None:
    """One after the other, as many as are asked for; every layer that is looked up waits for the host."""
    traffic = Traffic(missing=counted(CUDA0=8e9, CUDA1=4e9), used=0.25, gpu_layers={0}, looked_up={0, 1, 2})

    assert decode(traffic)[Cause.EXPERT_UPLOADS] == pytest.approx(0.25 * 12e9 / 2e9)
    assert decode(traffic)[Cause.GRAPH_SPLITS] == pytest.approx(3 * 1e-4 + 7 * 1e-5)
    assert decode(replace(traffic, cpu_layers={3}))[Cause.GRAPH_SPLITS] == pytest.approx(10 * 1e-4)
    assert Cause.EXPERT_UPLOADS not in decode(replace(traffic, missing=counted()))


def test_weights_on_the_cpu_stream_to_the_gpu_or_stay() -> None:
    """From 32 tokens on they stream; else the CPU computes, on the prompt's cores."""
    traffic = Traffic(
        weights=counted(CPU=4e9),
        whole=counted(CPU=4e9),
        dense=counted(CPU=5e9),
        streamed=4_000_000_000,
        cpu_layers={1, 2},
    )

    assert prompt(traffic)[Cause.STREAMING] == pytest.approx(2 * 1.0)
    assert prompt(traffic)[Cause.GPU_COMPUTE] == pytest.approx(1000 * 10e9 / 100e12)
    stays = prompt(traffic, "--no-op-offload")
    assert stays[Cause.CPU_COMPUTE] == pytest.approx(1000 * 10e9 / 1e12 + 2 * 4e9 / 80e9 + 2 * 2 * 1.8e-6)
    assert Cause.STREAMING not in stays
    assert Cause.GPU_COMPUTE not in stays
    assert Cause.STREAMING in prompt(traffic, n_prompt=32, n_ubatch=32)
    assert Cause.CPU_COMPUTE in prompt(traffic, n_prompt=31, n_ubatch=31)


def test_a_small_batch_reads_weights_for_longer_than_it_computes() -> None:
    """One token: 4 GB at half of 100 GB/s, once a micro-batch."""
    traffic = Traffic(weights=counted(CPU=4e9), whole=counted(CPU=4e9), dense=counted(CPU=5e9), cpu_layers={1})

    assert prompt(traffic, n_prompt=3, n_ubatch=1)[Cause.CPU_COMPUTE] == pytest.approx(3 * (0.08 + 1.8e-6))


def test_attention_on_the_cpu_is_by_the_prompt_s_cores() -> None:
    """Operations of each token over ten cores' rate."""
    terms = prompt(Traffic(attention=counted(CPU=1e9)))

    assert terms[Cause.CPU_ATTENTION] == pytest.approx(1000 * 1e9 / (1e10 * 10))


@pytest.mark.parametrize(("n_prompt", "share"), [(512, 1.0), (1024, 0.75), (2048, 0.625)])
def test_gpus_overlap_where_there_are_pipeline_copies(n_prompt: int, share: float) -> None:
    """Two equal GPUs: the second begins when the first is done with a micro-batch, and then both work."""
    traffic = Traffic(
        dense=counted(CUDA0=5e9, CUDA1=5e9), weights=counted(CUDA0=1e9, CUDA1=1e9), whole=counted(CUDA0=1e9, CUDA1=1e9)
    )
    terms = prompt(traffic, "-sm", "layer", "-ts", "1,1", n_prompt=n_prompt)
    summed = 2 * n_prompt * 10e9 / 100e12

    assert terms[Cause.GPU_COMPUTE] == pytest.approx(share * summed)
    assert terms[Cause.GPU_WEIGHTS] == pytest.approx(share * 2 * (n_prompt // 512) * 1e9 / 0.5e12)

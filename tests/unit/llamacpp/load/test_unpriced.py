"""What no figure holds is named, and takes the verdict with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.domain.machine import Machine
from omniplan.units import MIB
from tests.oracle import cases

DENSE = Path(__file__).parents[3] / "data" / "models" / "archs" / "llama-dense.gguf"
ARGS = ["-ngl", "99", "-c", "4096"]


def machine(*, free_mib: int = 24000, name: str = "CUDA0") -> Machine:
    """One GPU, with RAM that is large enough."""
    gpu = {"name": name, "total_mib": free_mib, "compute_capability": "8.6"}
    return Machine.from_dict({"name": "one", "gpus": [gpu], "memory": {"total_mib": 65536}})


ASKED = [
    (["--mmproj", "projector.gguf"], "--mmproj"),
    (["--mmproj-url", "https://example.org/projector.gguf"], "--mmproj"),
    (["-md", "draft.gguf"], "--spec-draft-model"),
    (["-hfd", "someone/draft"], "--spec-draft-model"),
    (["--spec-type", "draft-mtp"], "--spec-type"),
    (["--lora", "adapter.gguf"], "--lora"),
    (["--backend-sampling"], "--backend-sampling"),
    (["--override-kv", "llama.block_count=int:1"], "--override-kv"),
    (["--rpc", "10.0.0.2:50052"], "--rpc"),
    (["--moe-cache-mib", "4096"], "--moe-cache-mib"),
]


@pytest.mark.parametrize(("extra", "subject"), ASKED, ids=[" ".join(extra) for extra, _ in ASKED])
def test_is_named_and_leaves_the_verdict_open(extra: list[str], subject: str) -> None:
    """Everything but the verdict is what the rest of the command line says."""
    plain = omniplan.footprint(DENSE, machine(), ARGS)
    priced = omniplan.footprint(DENSE, machine(), [*ARGS, *extra])

    assert (plain.fits, plain.unpriced) == (True, ())
    assert (priced.fits, [item.subject for item in priced.unpriced]) == (None, [subject])


def test_a_split_by_rows_is_not_known() -> None:
    """SYCL has it, but its buffers are not priced; CUDA refuses it."""
    priced = omniplan.footprint(DENSE, machine(name="SYCL0"), [*ARGS, "-sm", "row"])

    assert (priced.fits, [item.subject for item in priced.unpriced]) == (None, ["--split-mode"])


def test_divided_tensors_are_sampled_on_the_cpu() -> None:
    """llama.cpp warns and leaves the samplers out of the graph, so that nothing is missing."""
    args = [*ARGS, "-sm", "tensor"]
    plain, asked = (omniplan.footprint(DENSE, machine(), [*args, *extra]) for extra in ((), ("--backend-sampling",)))

    assert (asked.fits, asked.buffers) == (True, plain.buffers)


@pytest.mark.parametrize("key", ["tokenizer.ggml.add_bos_token=bool:false", "qwen3.block_count=int:1"])
def test_keys_that_decide_no_size_may_be_overridden(key: str) -> None:
    """Those of the tokenizer, and of other architectures."""
    assert omniplan.footprint(DENSE, machine(), [*ARGS, "--override-kv", key]).fits is True


@pytest.mark.parametrize(
    ("extra", "fits"), [((), False), (("--lora", "a.gguf"), False), (("--rpc", "10.0.0.2:50052"), None)]
)
def test_what_only_adds_does_not_make_room(extra: tuple[str, ...], fits: bool | None) -> None:
    """A command that is short without it stays short; one whose bytes lie elsewhere may not be."""
    assert omniplan.footprint(DENSE, machine(free_mib=1), [*ARGS, *extra]).fits is fits


@pytest.mark.parametrize(("free_mib", "fits"), [(24, None), (16, None), (8, False)])
def test_weights_that_are_too_much_are_so_on_any_back_end(free_mib: int, fits: bool | None) -> None:
    """They take 12 MiB, with CUDA's compute buffer 20: of another back end only the 12 are certain."""
    assert omniplan.footprint(DENSE, machine(name="CANN0", free_mib=free_mib), ARGS).fits is fits


@pytest.mark.parametrize(("args", "fits"), [([], None), (["-ngl", "0"], None), (["-dev", "none"], True)])
def test_devices_of_a_back_end_that_is_not_priced(args: list[str], fits: bool | None) -> None:
    """Layers or not, a device in use takes buffers; one that is left out does not."""
    priced = omniplan.footprint(DENSE, machine(name="CANN0"), [*ARGS, *args])

    assert priced.fits is fits
    assert [item.subject for item in priced.unpriced] == ["CANN0"] * (fits is None)


def test_the_machine_may_say_that_the_back_end_is_another() -> None:
    """The name of the device is not the last word."""
    (gpu,) = machine().gpus
    other = replace(machine(), gpus=(replace(gpu, backend="opencl"),))

    assert "opencl" in omniplan.footprint(DENSE, other, ARGS).unpriced[0].what


def test_bytes_are_free_of_it() -> None:
    """Other free memory changes the verdict with the pools, whatever was left out."""
    priced = omniplan.footprint(DENSE, machine(), [*ARGS, "--lora", "a.gguf"])
    (gpu, ram) = priced.pools

    assert replace(priced, pools=(replace(gpu, free=MIB), ram)).fits is False


@pytest.mark.parametrize(
    ("build", "args", "fits"),
    [
        (11434, ["-ngl", "2", "-np", "4"], True),
        (9873, ["-ngl", "2", "-np", "4"], None),
        (9873, ["-ngl", "2", "-np", "1"], True),
        (9873, ["-ngl", "99", "-np", "4"], True),
        (9873, ["-ngl", "99", "-np", "4", "-cmoe"], True),
        (9873, ["-ngl", "0", "-np", "4"], None),
    ],
)
def test_earlier_builds_may_give_up_the_kernel_of_a_delta_net(build: int, args: list[str], fits: bool | None) -> None:
    """Where its probe of 16 tokens per slot is offloaded from a layer on the CPU, as b9842 says of these arguments."""
    model = cases.model("Qwen3.5-35B-A3B-Q6_K-first4")

    priced = omniplan.footprint(model, machine(free_mib=1 << 18), ["-c", "8192", "--fit", "off", *args], build=build)

    assert priced.fits is fits
    assert [item.subject for item in priced.unpriced] == ["--n-gpu-layers"] * (fits is None)

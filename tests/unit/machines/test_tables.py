"""The shipped GPU, CPU and advice rows: ranges, internal consistency, sources, and finding them by name."""

import pytest

from omniplan.machines.advice import AdviceRule, reserves, rules
from omniplan.machines.cpus import CpuRow, cpu_rows, find_cpu
from omniplan.machines.files import load_machine, shipped
from omniplan.machines.gpus import GpuRow, find_gpu, find_gpus, gpu_rows, key_of
from omniplan.units import GIB, MIB

NVIDIA = ("geforce", "workstation", "datacenter")


def test_there_are_the_gpus_people_own() -> None:
    assert len(gpu_rows()) >= 90
    assert {row.group for row in gpu_rows()} == {*NVIDIA, "amd", "intel", "apple"}
    assert len({key_of(row.name) for row in gpu_rows()}) == len(gpu_rows())


@pytest.mark.parametrize("row", gpu_rows(), ids=lambda row: row.name)
def test_a_gpu_row_is_possible(row: GpuRow) -> None:
    """Sizes, rates and their ratios lie where every known card lies."""
    assert row.source
    assert 4 * GIB <= row.memory <= 512 * GIB
    assert row.memory % (256 * MIB) == 0
    assert row.visible is None or 0.98 <= row.visible / row.memory <= 1
    assert row.bandwidth is not None
    assert 60e9 <= row.bandwidth <= 8e12
    # Reading the whole memory takes between 5 ms (A100) and 1 s.
    assert 0.005 <= row.memory / row.bandwidth <= 1
    assert bool(row.compute_capability) == (row.group in NVIDIA)
    if row.fp16_flops:
        assert 10e12 <= row.fp16_flops <= 2500e12
        assert row.int8_ops is None or 1.9 <= row.int8_ops / row.fp16_flops <= 4.1
    assert (row.pcie is None) == (row.lanes is None)
    assert row.pcie in (None, 3, 4, 5)
    assert row.lanes in (None, 4, 8, 16)
    assert not row.is_unified or row.pcie is None


@pytest.mark.parametrize("row", gpu_rows(), ids=lambda row: row.name)
def test_tensor_columns_follow_the_compute_capability(row: GpuRow) -> None:
    """Volta has no INT8 tensor cores; before it there are none at all."""
    if row.group not in NVIDIA:
        return
    major = int(row.compute_capability.split(".")[0])
    assert not (major < 7 and row.fp16_flops)
    assert not (row.compute_capability == "7.0" and row.int8_ops)
    assert not (major >= 8 and row.fp16_flops is None and not row.is_unified)


@pytest.mark.parametrize("row", gpu_rows(), ids=lambda row: row.name)
def test_a_gpu_is_found_by_its_names(row: GpuRow) -> None:
    assert find_gpu(row.name) is row
    assert find_gpu(f"NVIDIA GeForce {row.name}".upper()) is row
    for alias in row.aliases:
        assert row in find_gpus(alias)


@pytest.mark.parametrize(
    ("name", "mib", "expected"),
    [
        ("NVIDIA GeForce RTX 4090", 24564, "RTX 4090"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97887, "RTX PRO 6000 Blackwell"),
        ("NVIDIA H100 80GB HBM3", 81559, "H100 SXM 80GB"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, "RTX 6000 Ada"),
        ("NVIDIA GeForce RTX 3060", 12288, "RTX 3060 12GB"),
        ("NVIDIA GeForce RTX 3060", 8192, "RTX 3060 8GB"),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "RTX 4060 Ti 16GB"),
        ("NVIDIA GeForce RTX 3080", 12288, "RTX 3080 12GB"),
        ("NVIDIA GeForce RTX 4090", 49140, None),
        ("NVIDIA GeForce RTX 9090", 24564, None),
    ],
)
def test_drivers_names_find_rows(name: str, mib: int, expected: str | None) -> None:
    """A modified card (a 4090 of 48 GB) is not the card of the table."""
    row = find_gpu(name, mib * MIB)

    assert (row.name if row else None) == expected


def test_profiles_agree_with_the_table() -> None:
    """Total, bandwidth and compute capability of every shipped GPU are its row's."""
    for name in shipped():
        for gpu in load_machine(name).gpus:
            row = find_gpu(gpu.description, gpu.total)
            assert row is not None
            assert row.visible == gpu.total
            assert row.bandwidth == gpu.bandwidth
            assert row.compute_capability == gpu.compute_capability


@pytest.mark.parametrize("row", cpu_rows(), ids=lambda row: row.name)
def test_a_cpu_row_is_possible(row: CpuRow) -> None:
    assert row.source
    assert 4 <= row.cores <= 192
    hybrid = row.performance_cores + row.efficiency_cores
    assert hybrid in (0, row.cores)
    assert row.threads in (row.cores, 2 * row.cores, 2 * row.performance_cores + row.efficiency_cores)
    assert row.channels in (2, 4, 6, 8, 12)
    assert 2133 <= row.speed_mts <= 8800
    assert 30e9 < row.bandwidth < 650e9
    assert 8 * MIB <= row.l3 <= 1152 * MIB
    assert row.features
    assert find_cpu(row.name) is row


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AMD Ryzen Threadripper PRO 9995WX", "Threadripper PRO 9995WX"),
        ("9995wx", "Threadripper PRO 9995WX"),
        ("Intel Core i9-14900K", "Core i9-14900K"),
        ("14900K", "Core i9-14900K"),
        ("Intel(R) Xeon(R) Gold 6138", "Xeon Gold 6138"),
        ("EPYC", None),
        ("AMD EPYC", None),
        ("", None),
    ],
)
def test_cpus_are_found_by_brand(name: str, expected: str | None) -> None:
    row = find_cpu(name)

    assert (row.name if row else None) == expected


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.name)
def test_a_rule_cites_its_measurement(rule: AdviceRule) -> None:
    """A warning or an advice rests on figures; every rule says where it is from."""
    assert rule.source
    assert rule.statement
    assert "\n" not in rule.statement + rule.measured + rule.check
    assert rule.measured or rule.severity == "note"


def test_reserves_cover_what_was_measured() -> None:
    """428 MiB on an RTX 4090 and 637 on an RTX PRO 6000 are what drivers kept."""
    driver = reserves()["driver"]

    assert 428 * MIB <= driver.of(24564 * MIB) <= 512 * MIB
    assert driver.of(97887 * MIB) == 640 * MIB

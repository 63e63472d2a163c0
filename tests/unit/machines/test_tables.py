"""The shipped GPU, CPU and advice rows: ranges, internal consistency, sources, and finding them by name."""

from collections.abc import Callable

import pytest

from omniplan.machines.advice import AdviceRule, reserves, rules
from omniplan.machines.cpus import CpuRow, cpu_rows, find_cpu
from omniplan.machines.files import load_machine, shipped
from omniplan.machines.gpus import GpuRow, find_gpu, find_gpus, gpu_rows, key_of
from omniplan.units import GIB, MIB
from tests.offenders import offenders

NVIDIA = ("mining", "jetson", "geforce", "workstation", "datacenter")


def test_there_are_the_gpus_people_own() -> None:
    assert len(gpu_rows()) >= 90
    assert {row.group for row in gpu_rows()} == {*NVIDIA, "amd", "intel", "apple"}
    assert len({key_of(row.name) for row in gpu_rows()}) == len(gpu_rows())


GPU_FACTS: dict[str, Callable[[GpuRow], bool]] = {
    "has a source": lambda row: bool(row.source),
    "memory of a known size": lambda row: 4 * GIB <= row.memory <= 512 * GIB and row.memory % (256 * MIB) == 0,
    "the driver shows nearly all of it": lambda row: row.visible is None or 0.98 <= row.visible / row.memory <= 1,
    "bandwidth of a known size": lambda row: row.bandwidth is not None and 25e9 <= row.bandwidth <= 11e12,
    "reads its memory in 5 ms (A100) to 1 s": lambda row: 0.005 <= row.memory / (row.bandwidth or 1) <= 1,
    "a compute capability on NVIDIA's and there alone": lambda row: (
        bool(row.compute_capability) == (row.group in NVIDIA)
    ),
    "tensor speed of a known size": lambda row: not row.fp16_flops or 2e12 <= row.fp16_flops <= 2600e12,
    "INT8 is as fast as FP16, two or four times": lambda row: (
        not row.fp16_flops
        or row.int8_ops is None
        or any(abs(row.int8_ops / row.fp16_flops / times - 1) < 0.05 for times in (1, 2, 4))
    ),
    "a link and its lanes, or neither": lambda row: (row.pcie is None) == (row.lanes is None),
    "a link that exists": lambda row: row.pcie in (None, 1, 3, 4, 5) and row.lanes in (None, 1, 4, 8, 16),
    "no link where memory is shared": lambda row: not row.is_unified or row.pcie is None,
    "is found by its name": lambda row: find_gpu(row.name) is row,
    "is found by a driver's name": lambda row: find_gpu(f"NVIDIA GeForce {row.name}".upper()) is row,
    "is found by every alias": lambda row: all(row in find_gpus(alias) for alias in row.aliases),
}
# Volta has no INT8 tensor cores; before it there are none at all.
TENSOR_FACTS: dict[str, Callable[[GpuRow], bool]] = {
    "no tensor cores before Volta": lambda row: major(row) >= 7 or not row.fp16_flops,
    "no INT8 tensor cores on Volta": lambda row: row.compute_capability != "7.0" or not row.int8_ops,
    "tensor speed since Ampere": lambda row: major(row) < 8 or row.fp16_flops is not None or row.is_unified,
}


def major(row: GpuRow) -> int:
    return int(row.compute_capability.split(".")[0])


def test_gpu_rows_are_possible() -> None:
    """Sizes, rates and their ratios lie where every known card lies, and each is found by its names."""
    rows = {row.name: row for row in gpu_rows()}

    assert offenders(rows, GPU_FACTS) == []


def test_tensor_columns_follow_the_compute_capability() -> None:
    """Of NVIDIA's cards, the others have none."""
    rows = {row.name: row for row in gpu_rows() if row.group in NVIDIA}

    assert offenders(rows, TENSOR_FACTS) == []


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


CPU_FACTS: dict[str, Callable[[CpuRow], bool]] = {
    "has a source": lambda row: bool(row.source),
    "has instruction sets": lambda row: bool(row.features),
    "cores of a known number": lambda row: 4 <= row.cores <= 192,
    "two kinds of cores add up": lambda row: row.performance_cores + row.efficiency_cores in (0, row.cores),
    "one or two threads a core": lambda row: (
        row.threads in (row.cores, 2 * row.cores, 2 * row.performance_cores + row.efficiency_cores)
    ),
    "channels of a known number": lambda row: row.channels in (2, 3, 4, 6, 8, 12, 16),
    "memory of a known speed": lambda row: 1600 <= row.speed_mts <= 9600 and 25e9 < row.bandwidth < 850e9,
    "a cache of a known size, but for Apple": lambda row: (
        row.l3 == 0 if row.name.startswith("Apple") else 4 * MIB <= row.l3 <= 1152 * MIB
    ),
    "is found by its name": lambda row: find_cpu(row.name) is row,
}


def test_cpu_rows_are_possible() -> None:
    """Counts and rates lie where every known processor lies, and each is found by its name."""
    assert offenders({row.name: row for row in cpu_rows()}, CPU_FACTS) == []


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


RULE_FACTS: dict[str, Callable[[AdviceRule], bool]] = {
    "has a source": lambda rule: bool(rule.source),
    "says something": lambda rule: bool(rule.statement),
    "is one line": lambda rule: "\n" not in rule.statement + rule.measured + rule.check,
    "rests on figures, or is a note": lambda rule: bool(rule.measured) or rule.severity == "note",
}


def test_rules_cite_their_measurements() -> None:
    """A warning or an advice rests on figures; every rule says where it is from."""
    assert offenders(rules(), RULE_FACTS) == []


def test_reserves_cover_what_was_measured() -> None:
    """428 MiB on an RTX 4090 and 637 on an RTX PRO 6000 are what drivers kept."""
    driver = reserves()["driver"]

    assert 428 * MIB <= driver.of(24564 * MIB) <= 512 * MIB
    assert driver.of(97887 * MIB) == 640 * MIB

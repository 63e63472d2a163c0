"""Machines from words."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.machines.cpus import cpu_rows, find_cpu
from omniplan.machines.files import machine_toml, parse_machine
from omniplan.machines.gpus import find_gpus, gpu_rows, key_of
from omniplan.machines.probe.words import machine_from_words
from omniplan.units import GIB, MIB
from tests.launches import DATA
from tests.refusals import check_one_line

PHRASES: Final = [json.loads(line) for line in (DATA / "words" / "phrases.jsonl").read_text().splitlines()]


def test_the_example_of_the_documentation() -> None:
    machine = machine_from_words("RTX 4090 + RTX 5070 Ti, Ryzen 7 5800X3D, 64 GB DDR4-3600")

    assert [(gpu.name, gpu.description, gpu.total // MIB) for gpu in machine.gpus] == [
        ("CUDA0", "RTX 4090", 24564),
        ("CUDA1", "RTX 5070 Ti", 16303),
    ]
    assert machine.memory is not None
    assert machine.cpu is not None
    assert (machine.memory.total, machine.memory.channels, machine.memory.bandwidth) == (64 * GIB, 2, 57.6e9)
    assert (machine.cpu.n_cores, machine.cpu.n_threads) == (8, 16)
    assert all(gpu.free < gpu.total and "assumed" in gpu.reserved[0].reason for gpu in machine.gpus)


def test_a_big_machine() -> None:
    machine = machine_from_words("RTX PRO 6000 Blackwell and RTX 5090; 9995WX, 8x48 GB DDR5-6000 RDIMM ECC, NPS4")

    assert [gpu.description for gpu in machine.gpus] == ["RTX PRO 6000 Blackwell", "RTX 5090"]
    assert machine.memory is not None
    assert (machine.memory.total, machine.memory.nominal_bandwidth) == (384 * GIB, 384e9)
    assert machine.nps == 4


WORDS = {
    "four of one": ("4x RTX 3090", ["RTX 3090"] * 4),
    "four of one, in words": ("quad RTX 3090", ["RTX 3090"] * 4),
    "two sorts": ("2 x RTX 3060 12GB + rtx4070tisuper", ["RTX 3060 12GB"] * 2 + ["RTX 4070 Ti SUPER"]),
    "without spaces": ("RTX 4090+RTX 3090", ["RTX 4090", "RTX 3090"]),
    "a data centre": ("8x H100 SXM", ["H100 SXM 80GB"] * 8),
    "nobody": ("no GPU, EPYC 9554, 384 GB", []),
    "a plus in a name": ("Xeon Platinum 8480+, 512 GB, L4", ["L4"]),
    "a processor with its GPU": ("Ryzen AI Max+ 395 with 128 GB", ["Radeon 8060S"]),
    "a maker before it": ("Asus TUF RTX 5070 Ti 16GB", ["RTX 5070 Ti"]),
    "a laptop": ("Laptop with RTX 4070 8GB and 32GB RAM", ["RTX 4070 Laptop"]),
    "a laptop behind the size": ("RTX 3070 8GB laptop", ["RTX 3070 Laptop"]),
    "how it is built": ("4 x A100 80GB SXM", ["A100 SXM 80GB"] * 4),
    "a G that is no unit": ("3x RTX 3060 12GB, 5600G, 32 GB", ["RTX 3060 12GB"] * 3),
    "a plain count": ("2 3090s", ["RTX 3090"] * 2),
    "a card without its series": ("W7900 48GB", ["PRO W7900"]),
    "a size that is RAM's": ("RTX 3090, 32 GB", ["RTX 3090"]),
    "a size that is the card's": ("RTX 4090 48GB, 128 GB", ["RTX 4090"]),
    "all memory of several": ("2x RTX 3090, 48 GB VRAM", ["RTX 3090"] * 2),
    "a family left out": ("P100 16GB x2", ["Tesla P100 16GB"] * 2),
}


@pytest.mark.parametrize(("text", "expected"), WORDS.values(), ids=WORDS.keys())
def test_gpus_in_words(text: str, expected: list[str]) -> None:
    assert [gpu.description for gpu in machine_from_words(text).gpus] == expected


def test_the_screen_is_on_one_gpu() -> None:
    plain, screen = machine_from_words("RTX 4090, RTX 5070 Ti (display)").gpus

    assert (plain.is_display, screen.is_display) == (False, True)
    assert [row.kind for row in screen.reserved] == ["driver", "display"]


@pytest.mark.parametrize(
    ("text", "name", "ram", "limit"),
    [
        ("Apple M3 Ultra, 512 GB", "MTL0", 512, "working_set of 384"),
        ("M1, 16 GB", "MTL0", 16, "working_set of 10"),
        ("M3 Pro, 36 GB", "MTL0", 36, "working_set of 27"),
        ("Strix Halo, 128 GB", "ROCm0", 128, "gtt of 64"),
        ("DGX Spark, 128 GB", "CUDA0", 128, ""),
        ("DGX Spark", "CUDA0", 128, ""),
    ],
)
def test_unified_memory_is_the_ram(text: str, name: str, ram: int, limit: str) -> None:
    """The GPU draws on RAM, which is there even if nobody named it, up to the limit its system sets, with a source."""
    machine = machine_from_words(text)

    (gpu,) = machine.gpus
    limits = {"working_set": gpu.working_set, "gtt": gpu.gtt}
    said = [f"{kind} of {size // GIB}" for kind, size in limits.items() if size is not None]
    assert (gpu.name, gpu.is_unified, gpu.draws_on_ram, gpu.total) == (name, True, True, ram * GIB)
    assert machine.memory is not None
    assert machine.ram == machine.memory.available == machine.everything
    assert (said, bool(gpu.limit_source)) == ([limit] if limit else [], bool(limit))
    assert gpu.free == gpu.room == min(machine.ram, gpu.working_set or gpu.gtt or machine.ram)


def test_two_sockets_count_the_bandwidth_of_one() -> None:
    """One process gets at one socket's memory (rule one-socket), so the second adds room, not speed."""
    machine = machine_from_words("2x EPYC 9554, 24x32 GB")

    assert machine.memory is not None
    assert machine.cpu is not None
    assert (machine.cpu.n_sockets, machine.cpu.n_cores, machine.memory.channels) == (2, 128, 24)
    assert machine.memory.bandwidth == 12 * 4800 * 8e6


def test_what_nobody_said_is_noted() -> None:
    assert machine_from_words("RTX 4090").memory is None
    assert any("RAM not named" in note for note in machine_from_words("RTX 4090").notes)
    assert machine_from_words("RTX 4090, 64 GB").memory is not None
    assert any("bandwidth unknown" in note for note in machine_from_words("RTX 4090, 64 GB").notes)
    taken = machine_from_words("Ryzen 7 5800X3D, 64 GB").notes
    assert "memory speed taken for 3200 MT/s, the fastest Ryzen 7 5800X3D supports" in taken


BAD = {
    "nothing": ("", "expected words such as"),
    "an unknown GPU": ("RTX 9090, 64 GB", "'RTX 9090' is no GPU, CPU or RAM in the tables; did you mean"),
    "two that it could be": ("RTX 4060 Ti", "there are several; write RTX 4060 Ti 8GB or RTX 4060 Ti 16GB"),
    "none of them": ("0x RTX 3090", "expected 1 to 64 of them"),
    "too many": ("999x RTX 3090", "expected 1 to 64 of them"),
    "RAM twice": ("64 GB, 32 GB DDR4", "RAM is named twice"),
    "no RAM": ("0 GB DDR4", "no RAM at all"),
    "strange RAM": ("64 GB of butter", "'butter' is no GPU, CPU or RAM"),
    "a number of two": ("7600, 32 GB", "write RX 7600 or Ryzen 5 7600"),
    "a series that has it not": ("GTX 4090", "'GTX 4090' is no GPU"),
    "a word behind a name": ("RTX 4070 Ultra", "'Ultra' is no GPU"),
    "a size that it has not": ("RTX 4070 8GB", "has 12.00 GiB, not 8.00 GiB"),
    "a size between two": ("RTX 3060 24GB", "write RTX 3060 12GB or RTX 3060 8GB"),
    "two CPUs": ("5800X3D, 5950X", "a CPU is already named"),
    "negative": ("-64 GB", "'-64 GB' is no GPU, CPU or RAM"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_bad_words(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        machine_from_words(text)


def test_what_people_write_is_read() -> None:
    """Phrases as found in forums, each with its cards and their bytes, the RAM and the processor."""
    wrong = [row["words"] for row in PHRASES if not is_read(row, machine_from_words(row["words"]))]

    assert len(PHRASES) == 116
    assert wrong == []


def is_read(row: dict[str, Any], machine: Machine) -> bool:
    """Whether ``machine`` is the one that a phrase means; sizes are nominal."""
    if "unified_gib" in row:
        assert machine.memory is not None
        return machine.gpus[0].is_unified and machine.memory.total == row["unified_gib"] * GIB
    cards = [(name, size) for name, size, count in row["gpus"] for _ in range(count)]
    found = all(
        (name == "unknown" or key_of(name) in key_of(gpu.description)) and abs(gpu.total / GIB - size) < 0.06 * size
        for (name, size), gpu in zip(cards, machine.gpus, strict=True)
    )
    ram = machine.memory.total if machine.memory else 0
    cpu = machine.cpu.model if machine.cpu else ""
    return found and ram == row.get("ram_gib", ram / GIB) * GIB and row.get("cpu", "") in cpu


def test_what_was_taken_for_granted_is_told() -> None:
    """A modded card, one of several that differ in speed, one in no table, and words that were not read."""
    modded = machine_from_words("RTX 2080 Ti 22GB")
    built = machine_from_words("Tesla V100 32GB")
    described = machine_from_words("unknown GPU 16 GB 448 GB/s").gpus[0]
    boxed = machine_from_words("Framework Desktop Ryzen AI Max+ 395 128GB")

    assert "RTX 2080 Ti: 22.00 GiB instead of the 11.00 GiB it is sold with, bandwidth as sold" in modded.notes
    assert any("taken for Tesla V100 PCIe 32GB, the slowest" in note for note in built.notes)
    assert (described.total, described.bandwidth) == (16 * GIB, 448e9)
    assert "not read: Framework Desktop" in boxed.notes


@given(
    st.lists(st.sampled_from(gpu_rows()), min_size=1, max_size=4),
    st.sampled_from(cpu_rows()),
    st.integers(1, 4096),
    st.sampled_from([", ", " + ", "; ", " and ", "\n"]),
)
def test_every_row_can_be_named(gpus: list[object], cpu: object, size: int, joint: str) -> None:
    """Any GPUs, any CPU, any RAM, in any punctuation, give a machine that a file can hold."""
    cards = [row.name for row in gpus]  # type: ignore[attr-defined]
    # A chip's name is that of its processor and of its GPU, which draws on the RAM.
    chips = list(dict.fromkeys(name for name in cards if find_cpu(name)))
    assume(len(chips) < 2)
    names = [*cards, *([] if chips else [cpu.name])]  # type: ignore[attr-defined]

    machine = machine_from_words(joint.join([*names, f"{size} GB"]), name="drawn")

    own = [] if chips else [row.name for row in find_gpus(names[-1])]
    assert [gpu.description for gpu in machine.gpus] == [*cards, *own]
    assert machine.cpu is not None
    assert machine.cpu.model == (chips or names[-1:])[0]
    assert parse_machine(machine_toml(machine)) == machine


@given(st.text(max_size=40))
def test_any_text_is_a_machine_or_an_input_error(text: str) -> None:
    try:
        machine_from_words(text)
    except InputError as error:
        check_one_line(error)

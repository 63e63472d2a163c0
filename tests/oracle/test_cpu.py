"""Buffers of models on a CPU alone, whose weights are laid out anew as they are read: recorded from the library."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.certify import library
from omniplan.domain.processor import Cpu
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.cpu_buffers import repacked
from tests.oracle import cases, cpu, drift
from tests.oracle.cases import differences

ALL = cases.load("cpu")
SAMPLE = ALL[:: max(1, 4 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]
SERVER = ("avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "amx_int8")


def held(kind: str, features: tuple[str, ...]) -> dict[str, int]:
    """Bytes of weights by buffer type, of a model of one type on a processor with ``features``."""
    machine = replace(cases.machines()["cpu-avx2"], cpu=Cpu(features=features))
    priced = omniplan.footprint(cases.model(f"experts-{kind}"), machine, ["-c", "512"])
    return cases.column(dict(priced.buffers), "model")


def test_headers_are_as_written(tmp_path: Path) -> None:
    """The files in the repository come from the description beside this test."""
    for kind in cpu.TYPES:
        assert cpu.write(kind, tmp_path).read_bytes() == (cpu.FOLDER / f"experts-{kind}.gguf").read_bytes()


def test_every_figure_of_a_cpu() -> None:
    """Three columns of every buffer, splits and context, on a CPU alone and beside a GPU without pinned memory."""
    found = {cases.label(case): differences(case, library.BUILD) for case in SAMPLE}

    assert len(ALL) >= 60
    assert {"CPU", "CPU_REPACK", "CUDA0"} <= {name for case in SAMPLE for name in case["buffers"]}
    assert {label: wrong for label, wrong in found.items() if wrong} == {}


@pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")
def test_the_library_counts_what_is_recorded() -> None:
    """A tied head, which is laid out anew beside the embedding it is."""
    case = next(case for case in ALL if "experts-q4_0" in case["model"])

    assert drift.row(drift.ask(case)) == case


@pytest.mark.parametrize("kind", ["q4_0", "q4_K", "iq4_nl", "mxfp4"])
def test_a_tied_head_is_there_twice_where_it_is_laid_out_anew(kind: str) -> None:
    """The embedding is looked up in as it is in the file."""
    plain, packed = held(kind, ()), held(kind, SERVER[:4])

    assert plain.keys() == {"CPU"}
    assert sum(packed.values()) == plain["CPU"] + cases.model(f"experts-{kind}").tensor("token_embd.weight").nbytes  # type: ignore[union-attr]


def test_which_kernels_a_processor_has_decides() -> None:
    """AVX2 knows Q4_K and not Q2_K, AVX-512 both, ARM's dot products Q8_0; nobody Q3_K."""
    assert [held(kind, SERVER[:4]).keys() for kind in ("q2_K", "q8_0", "q3_K")] == [{"CPU"}] * 3
    assert held("q2_K", SERVER[:5]).keys() == held("q8_0", ("asimddp",)).keys() == {"CPU", "CPU_REPACK"}


def test_amx_comes_first_and_takes_no_experts() -> None:
    """Q8_0 becomes larger by the sums of its blocks; experts of Q4_K stay with the other buffer type."""
    assert held("q4_K", SERVER).keys() == {"AMX", "CPU_REPACK", "CPU"}
    assert sum(held("q8_0", SERVER).values()) > sum(held("q8_0", ()).values())


def test_what_is_laid_out_anew_is_ram_that_only_the_cpu_reads() -> None:
    """Names of the table are those that the scheduler knows."""
    names = {kind.name for kind in repacked((*SERVER, "asimddp"))}

    assert names == set(buffers.OPAQUE)
    assert all(buffers.is_host(name) and not buffers.is_readable(name) for name in names)


def test_a_real_log_says_the_same() -> None:
    """Llama 3 70B in Q4_K_M on an EPYC 9655 with b7705, without mmap."""
    machine = replace(cases.machines()["cpu-avx2"], cpu=Cpu(features=("avx2", "avx512f")))
    priced = omniplan.footprint(cases.model("Llama-3.3-70B-Q4_K_M"), machine, ["-c", "4096", "--load-mode", "none"])

    assert {name: round(size.model / 2**20, 2) for name, size in priced.buffers.items()} == {
        "CPU": 9223.11,
        "CPU_REPACK": 31320.0,
    }

"""Projectors priced as llama.cpp's own library counts them (``tests/data/oracle/projectors.jsonl``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import omniplan
from omniplan.certify import library
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.machine import Machine
from omniplan.domain.model import Companions
from omniplan.gguf import read_header
from omniplan.llamacpp.build import known
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.projector import families
from omniplan.llamacpp.projector.encoder import encoders
from omniplan.llamacpp.projector.memory import held, set_aside
from omniplan.units import MIB
from tests.oracle import cases
from tests.oracle.projectors import CASES, MACHINE, count, recorded, served
from tests.projectors import write_projector
from tests.towers import TOWERS

RECORDED = recorded()


@pytest.fixture(scope="module")
def machine() -> Machine:
    """The one that the library was told of."""
    return omniplan.load_machine(MACHINE)


def test_every_case_is_recorded() -> None:
    """Of at least eight types, with and without flash attention."""
    assert [(case["file"], tuple(case["args"])) for case in RECORDED] == list(CASES)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: " ".join((case["file"], *case["args"])))
def test_the_library_counts_the_same(case: Mapping[str, Any], machine: Machine, tmp_path: Path) -> None:
    """Weights and compute buffer together, on the device and in RAM, to the byte."""
    model, params = served(case["file"], tmp_path), parse(case["args"], build=library.BUILD)

    assert dict(set_aside(model, machine, params)) == case["bytes"]


@pytest.mark.parametrize("case", RECORDED[::8], ids=lambda case: " ".join((case["file"], *case["args"])))
def test_what_is_held_is_what_is_set_aside_and_padding(
    case: Mapping[str, Any], machine: Machine, tmp_path: Path
) -> None:
    """Tensors begin at multiples of the device's alignment once they are there."""
    model, params = served(case["file"], tmp_path), parse(case["args"], build=library.BUILD)
    sizes = held(model, machine, params, n_ubatch=4096)

    assert sizes.keys() == case["bytes"].keys()
    assert all(0 <= sizes[name].total - count < MIB for name, count in case["bytes"].items())


@pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")
@pytest.mark.parametrize("case", RECORDED[::25], ids=lambda case: " ".join((case["file"], *case["args"])))
def test_the_library_still_counts_what_it_did(case: Mapping[str, Any]) -> None:
    """A few of them again; ``make certify`` asks all."""
    assert count((case["file"], tuple(case["args"]))) == case["bytes"]


# What servers logged: a Tesla P100 and an RTX 5090 with Qwen3.6-27B's projector, two RTX 3090 that set aside room for
# it and for Qwen3.6-35B's, and a laptop with Ministral 3's on the CPU.
LOGGED = [
    ("qwen3.6-27b", 5120, (), {"CUDA0 compute": 248.10, "CPU compute": 24.93, "CUDA0 aside": 1132.7}, 823),
    ("qwen3.6-27b", 5120, ("-fa", "off"), {"CUDA0 compute": 4657.81, "CPU compute": 24.93}, 877),
    ("qwen3.6-27b", 2048, (), {"CUDA0 aside": 1105.7}, 823),
    ("mistral-small-3.1", 3072, ("--no-mmproj-offload",), {"CPU compute": 64.49}, 705),
]


@pytest.mark.parametrize(("name", "output", "args", "figures", "n_nodes"), LOGGED)
def test_logs_of_servers_say_the_same(
    name: str, output: int, args: tuple[str, ...], figures: Mapping[str, float], n_nodes: int,
    machine: Machine, tmp_path: Path,
) -> None:  # fmt: skip
    """As far as their digits go, and node by node."""
    file = write_projector(tmp_path / "logged.gguf", replace(TOWERS[name], output=output))
    model = replace(cases.model("llama-dense"), companions=Companions(projector=read_header(file)))
    params = parse(args)
    found = {f"{name} compute": size.compute for name, size in held(model, machine, params, 512).items()}
    found |= {f"{name} aside": size for name, size in set_aside(model, machine, params).items()}
    (encoder,) = encoders(read_header(file))
    graph = families.build(encoder, known(DEFAULT_BUILD), flash_attn="off" not in args)

    assert {what: round(found[what] / MIB, 2 if "compute" in what else 1) for what in figures} == figures
    assert len(graph.nodes) == n_nodes

"""Servers of one file that each fit and together do not, where GPUs share one memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniplan.check import document
from omniplan.check.engine import check
from omniplan.domain.machine import Machine
from tests.oracle import cases

COMMAND = "llama-server -m a -c 4096 -np 1 -ngl 99 --fit off -sm none -mg {gpu} --port {port} &\n"


@pytest.mark.parametrize(("is_unified", "found"), [(True, ["RAM"]), (False, [])])
def test_one_server_per_gpu_may_fill_the_ram_of_both(is_unified: bool, found: list[str], tmp_path: Path) -> None:
    """Two models of 17 GiB, each on a GPU of 24 GiB: too much for 32 GiB of RAM that both GPUs draw on."""
    gpu = {"total_mib": 24576, "unified": is_unified, "compute_capability": "12.1"}
    gpus = [{"name": f"CUDA{index}", **gpu} for index in range(2)]
    machine = Machine.from_dict({"name": "two", "gpus": gpus, "memory": {"total_mib": 32768}})
    text = "".join(COMMAND.format(gpu=gpu, port=8080 + gpu) for gpu in range(2))
    read = document.read(str(tmp_path / "run.sh"), text)

    report = check(read, model=cases.model("GLM-4.7-Flash-Q4_K_M"), machine=machine, only={"servers-too-many"})

    assert [item.message.split(" need ")[1].split()[0] for item in report.of("servers-too-many")] == found

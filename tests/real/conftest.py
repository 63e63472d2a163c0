"""llama.cpp's own server on a model of random weights: started once and left running, and once by a benchmark."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import omniplan
from omniplan.bench.launch import free_port
from omniplan.bench.values import BenchReport
from omniplan.domain.plan import Plan
from tests.contracts.sources import ROOT

SERVER = shlex.join([sys.executable, str(ROOT / "tests/real/server.py")])
# CPU only, and no faster than a laptop: nothing here is about speed.
MACHINE = {
    "name": "cpu",
    "memory": {"total_mib": 8192, "bandwidth_gbs": 20, "bandwidth_basis": "measured"},
    "cpu": {"model": "two cores", "n_cores": 2, "n_threads": 2},
}
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class RealServer:
    """A running server: URL, model file, its arguments without ``-m`` and names, and the file its output goes to."""

    url: str
    model: Path
    args: tuple[str, ...]
    log: Path


@dataclass(frozen=True, slots=True)
class RealRun:
    """A server that a benchmark started from a plan and stopped again, so that its log is complete."""

    report: BenchReport
    plan: Plan
    model: Path
    log: Path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file that llama.cpp loads for real."""
    pytest.importorskip("xllamacpp", reason="needs the xllamacpp wheel, which has llama.cpp's server")
    from tests.real.tiny import write_tiny

    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="session")
def cpu_machine() -> omniplan.Machine:
    """A machine without GPUs."""
    return omniplan.Machine.from_dict(MACHINE)


@pytest.fixture(scope="session")
def tiny_plan(tiny_model: Path, cpu_machine: omniplan.Machine) -> Plan:
    """A plan for the tiny model."""
    return omniplan.plan(tiny_model, cpu_machine, n_ctx=1024, n_prompt=256, n_gen=32)


@pytest.fixture(scope="session")
def real_server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """The server, ready, for as long as tests run."""
    args = ("-c", "4096", "-np", "2", "-b", "256", "-ub", "128")
    port, log = free_port(), tmp_path_factory.mktemp("server") / "server.log"
    command = [*shlex.split(SERVER), "-m", str(tiny_model), *args, "-a", "tiny,bench-tiny", "--port", str(port)]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            _wait(process, log)
            yield RealServer(url=f"http://127.0.0.1:{port}", model=tiny_model, args=args, log=log)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while "listening on http" not in (text := log.read_text(encoding="utf-8", errors="replace")):
        assert process.poll() is None, text
        assert time.monotonic() < end, text
        time.sleep(0.02)


@pytest.fixture(scope="session")
def real_run(tiny_model: Path, tiny_plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    """One benchmark that started its server itself."""
    log = tmp_path_factory.mktemp("run") / "server.log"
    report = omniplan.bench(
        omniplan.ServerStart(plan=tiny_plan, server=SERVER, log=str(log), wait=PATIENCE),
        protocol=omniplan.BenchProtocol(runs=2),
    )
    return RealRun(report=report, plan=tiny_plan, model=tiny_model, log=log)

"""What docs/python.md promises to programs: types for a strict checker, and threads that do not disturb each other."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

import pytest

import omniplan
from tests.contracts.sources import ROOT

CONSUMER = """
from __future__ import annotations

import omniplan
from omniplan import Infeasible, Machine, Model, Plan, Request


def best(model: Model, machine: Machine, asked: Request) -> Plan:
    try:
        return omniplan.plan(model, machine, asked, baselines=False)
    except Infeasible as refusal:
        return omniplan.plan(model, machine, asked, **refusal.remedies[0])


found: Plan = best(omniplan.load_model("m.gguf"), omniplan.probe(), Request(n_ctx=8192))
text: str = omniplan.emit(found, format="compose")
speed: float = found.prediction.decode_tokens_per_second.value
machine: Machine = omniplan.machine_from_words("RTX 4090, 64 GB", name="mine")
learned: str = omniplan.calibrate(["a.log"], machine=machine).to_toml()
fits: bool = omniplan.footprint("m.gguf", "h100", ["-ngl", "99"]).fits
omniplan.plan("m.gguf", "h100", n_context=1)
"""
MACHINE = omniplan.Machine.from_dict(
    {
        "name": "small",
        "gpus": [{"name": f"CUDA{i}", "total_mib": 1024 + 512 * i, "compute_capability": "8.9"} for i in range(2)],
        "memory": {"total_mib": 8192},
    }
)
SMALL = sorted((ROOT / "tests/data/models/archs").glob("*-moe.gguf"))[:12]


def test_a_strict_checker_takes_the_package_s_types(tmp_path: Path) -> None:
    """As a program that installed the package sees it: all is typed, and what is wrong is found."""
    script = tmp_path / "consumer.py"
    script.write_text(CONSUMER, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    lines = [line for line in done.stdout.splitlines() if "error:" in line]

    assert [line.rpartition("[")[2] for line in lines] == ["assignment]", "call-arg]"], done.stdout + done.stderr
    assert 'expression has type "bool | None"' in lines[0]


def test_the_command_runs_as_a_module() -> None:
    """``python -m omniplan`` is the command, exit codes included."""
    command = [sys.executable, "-m", "omniplan", "footprint", str(SMALL[0]), "--machine", "nowhere.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("omniplan: nowhere.toml: no such profile or machine file")


def answer(path: Path) -> tuple[object, ...]:
    """What one thread asks about one model, read anew."""
    model = omniplan.load_model(path)
    plan = omniplan.plan(model, MACHINE, n_ctx=2048, baselines=False)
    return (
        omniplan.footprint(model, MACHINE, plan.server_args),
        plan,
        omniplan.predict(model, MACHINE, plan.server_args),
    )


def forget() -> None:
    """Empty every cache of the package."""
    for name, module in list(sys.modules.items()):
        if name.startswith("omniplan"):
            for value in vars(module).values():
                if isinstance(value, _lru_cache_wrapper):
                    value.cache_clear()


def test_threads_get_what_one_gets() -> None:
    """Eight threads that change places all the time, and fill the caches together, get the answers of a single one."""
    interval = sys.getswitchinterval()
    forget()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(answer, [*SMALL, *SMALL]))
    finally:
        sys.setswitchinterval(interval)
    forget()

    assert together == [answer(path) for path in SMALL] * 2


@pytest.mark.parametrize(
    "value", [MACHINE, omniplan.Request(), omniplan.Headroom()], ids=["machine", "request", "headroom"]
)
def test_values_cannot_be_changed(value: Any) -> None:
    """So that threads may share them."""
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)

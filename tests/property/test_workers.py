"""Work on all cores: the results of doing it one after the other, whatever happens to who helps."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import omniplan
from omniplan.planning import workers
from tests.oracle.cases import DATA

ZOO = DATA / "models" / "zoo"


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cores, and helpers however little there is to do."""
    monkeypatch.setattr(workers, "cores", lambda: 3)
    monkeypatch.setattr(workers, "PATIENCE", 0.0)
    monkeypatch.setattr(workers, "PAYS", 0.0)


def worked(own: int, job: int) -> tuple[int, int]:
    """Dies, or fails, anywhere but in the process ``own``."""
    if job % 5 == 3 and os.getpid() != own:
        os._exit(1)
    if job % 5 == 4 and os.getpid() != own:
        raise ValueError(job)
    return job, job * job


def refused(job: int) -> int:
    if job == 2:
        raise omniplan.InputError("two is none")
    return job


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("jobs", [[], [7], list(range(9)), [3] * 6])
def test_results_come_in_order_whatever_becomes_of_helpers(jobs: list[int]) -> None:
    """Those that die or fail leave their work to be done here."""
    assert workers.in_order(partial(worked, os.getpid()), jobs) == [(job, job * job) for job in jobs]


@pytest.mark.usefixtures("three")
def test_work_that_fails_fails_here() -> None:
    """With its own error; and work that cannot be sent is done here."""
    with pytest.raises(omniplan.InputError, match="two is none"):
        workers.in_order(refused, [1, 2, 3])
    assert workers.in_order(lambda job: -job, [1, 2, 3]) == [-1, -2, -3]


@pytest.mark.usefixtures("three")
@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    contexts=st.lists(st.sampled_from([4096, 8192, 65536]), min_size=1, max_size=2, unique=True),
    types=st.sampled_from([("f16",), ("q8_0", "f16")]),
    machine=st.sampled_from(["single-3090", "RTX 4060, 64 GB"]),
)
def test_plans_are_those_of_the_serial_run(contexts: list[int], types: tuple[str, ...], machine: str) -> None:
    """A frontier and a recommendation, whichever process planned what."""
    model = ZOO / "Qwen3-0.6B-Q8_0.gguf"

    def both() -> tuple[object, object]:
        grid = omniplan.frontier(model, machine, contexts=contexts, cache_types=types, ubatches=(512,), baselines=False)
        ranked = omniplan.recommend(model, machine, what_if=("Q4_K_M", "IQ2_M"), n_ctx=contexts[0], baselines=False)
        return grid, ranked

    shared = both()
    with pytest.MonkeyPatch.context() as alone:
        alone.setattr(workers, "cores", lambda: 1)
        assert both() == shared


@pytest.mark.usefixtures("three")
def test_a_stack_is_that_of_the_serial_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever process planned which member; two of them are the same and planned once."""
    members = {"a": "Qwen3-0.6B-Q8_0", "b": "Qwen3-8B-Q4_K_M", "c": "Qwen3-0.6B-Q8_0"}
    rows = (f'[[models]]\nname = "{name}"\npath = "{ZOO / file}.gguf"\nctx = 8192\n' for name, file in members.items())
    asked = tmp_path / "stack.toml"
    asked.write_text("\n".join(('name = "three"', *rows)))
    shared = omniplan.stack(asked, "single-3090")
    monkeypatch.setattr(workers, "cores", lambda: 1)

    assert shared.to_json() == omniplan.stack(asked, "single-3090").to_json()


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    """Helpers do not begin with what called for them."""
    script = tmp_path / "script.py"
    script.write_text(
        "from omniplan.planning import workers\n"
        "workers.cores, workers.PATIENCE, workers.PAYS = (lambda: 3), 0.0, 0.0\n"
        "print(workers.in_order(abs, [-1, -2, -3, -4]))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)

    assert (done.stdout, done.stderr) == ("[1, 2, 3, 4]\n", "")


@pytest.mark.parametrize("missing", ["executable", "platform"])
def test_where_no_process_can_be_started_there_is_one_core(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a browser, or in a program that is no Python interpreter."""
    monkeypatch.setattr(sys, missing, {"executable": "", "platform": "emscripten"}[missing])

    assert workers.cores() == 1


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("n_cores", [1, 3])
def test_progress_is_told_of_what_is_done_here(n_cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name before it begins, with how many are done anywhere."""
    monkeypatch.setattr(workers, "cores", lambda: n_cores)
    told: list[tuple[int, int, str]] = []
    workers.in_order(abs, [-1, -2, -3], lambda done, total, label: told.append((done, total, label)), "job {}".format)

    assert told[0] == (0, 3, "job -1")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


@pytest.mark.skipif(os.name != "posix", reason="groups of processes are POSIX's")
def test_an_interrupt_ends_helpers_and_is_told_once(tmp_path: Path) -> None:
    """Ctrl-C goes to the group of whoever started them, who ends them; they say nothing."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, time\n"
        "from omniplan.planning import workers\n"
        "workers.cores, workers.PATIENCE, workers.PAYS = (lambda: 3), 0.0, 0.0\n"
        "begun = []\n"
        "def named(job):\n"
        "    begun.append(job)\n"
        "    if len(begun) == 3:\n"
        "        os.killpg(0, signal.SIGINT)\n"
        "    return str(job)\n"
        "try:\n"
        "    workers.in_order(time.sleep, [0.2] * 24, named=named)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=60, start_new_session=True
    )

    assert (done.stdout, done.stderr) == ("interrupted\n", "")

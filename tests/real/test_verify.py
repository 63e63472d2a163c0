"""omniplan verify on the log of llama.cpp's own server, which loaded a real model on the CPU."""

from __future__ import annotations

from pathlib import Path

import omniplan
from omniplan.cli.main import main
from omniplan.domain.prediction import Phase
from omniplan.verify.logs import read_log
from omniplan.verify.logs.report import BufferKind
from omniplan.verify.values import RunSeverity, RunVerdict
from tests.real.conftest import RealRun, RealServer


def test_a_real_run_is_as_its_plan_says(real_run: RealRun, tmp_path: Path) -> None:
    """Every figure of the log is within tolerance of the plan's, and nothing is at fault; the command agrees."""
    path = tmp_path / "plan.json"
    path.write_text(real_run.plan.to_json(), encoding="utf-8")

    found = omniplan.verify(real_run.log, plan=path)

    assert found.verdict is RunVerdict.WITHIN
    assert [item for item in found.findings if item.severity is RunSeverity.FAULT] == []
    assert {row.column for row in found.rows if row.is_within} >= {"context", "compute"}
    assert main(["verify", str(real_run.log), "--plan", str(path), "--json"]) == 0


def test_a_real_log_says_what_it_loaded(real_run: RealRun) -> None:
    """Model, settings, buffers, splits and every request's speed are read, and one load is found."""
    report = read_log(real_run.log)
    load = report.load

    assert load is not None
    assert len(report.loads) == 1
    assert load.model.path == str(real_run.model)
    assert load.contexts[0].settings["n_ctx"] == str(real_run.plan.footprint.n_ctx)
    assert load.contexts[0].flash_attn is real_run.plan.footprint.flash_attn
    assert load.contexts[0].n_nodes == real_run.plan.footprint.n_nodes
    assert {BufferKind.MODEL, BufferKind.KV, BufferKind.COMPUTE} <= {b.kind for b in load.all_buffers()}
    assert [row.device for row in load.breakdown] == ["Host"]
    assert len([t for t in report.timings if t.phase is Phase.DECODE]) == len(real_run.report.samples)


def test_a_running_server_s_log_is_priced_by_its_settings(
    real_server: RealServer, cpu_machine: omniplan.Machine
) -> None:
    """A log without an end and without a command: what it shows of settings is enough on the CPU."""
    found = omniplan.verify(real_server.log, model=real_server.model, machine=cpu_machine)

    assert found.basis == "the settings in the log"
    assert found.verdict is RunVerdict.WITHIN

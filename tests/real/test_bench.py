"""omniplan bench against llama.cpp's own server, which loads a real model and answers for real."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest

import omniplan
from omniplan.api.documents import schema
from omniplan.bench.document import load_bench
from omniplan.cli.main import main
from omniplan.domain.plan import Plan
from omniplan.units import MIB
from tests.contracts.sources import ROOT
from tests.real.conftest import SERVER, RealRun, RealServer

Run = pytest.CaptureFixture[str]
QUICK = ["--runs", "1", "--lengths", "24,128", "--n-gen", "8"]


def is_open(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


def test_a_running_server(real_server: RealServer, tmp_path: Path, capsys: Run) -> None:
    """GO, JSON by its schema, a Markdown report, and the rates that llama-server itself states."""
    path = tmp_path / "report.md"
    code = main(["bench", real_server.url, *QUICK, "--json", "-o", str(path)])
    shown = capsys.readouterr()
    report = json.loads(shown.out)

    jsonschema.validate(report, schema("bench"))
    assert (code, report["verdict"], shown.err) == (0, "GO", "")
    assert report["stability"] == 1
    assert len(report["samples"]) == 1 + 2 * 2
    assert {(row["n_wanted"], row["streaming"]) for row in report["rows"]} == {
        (n, mode) for n in (24, 128) for mode in (False, True)
    }
    for row in report["rows"]:
        assert abs(row["n_prompt"] - row["n_wanted"]) <= 0.2 * row["n_wanted"]
        assert row["n_gen"] == 8
        assert row["decode_tokens_per_second"]["mean"] > 0
        assert (row["first_token_seconds"] is not None) == row["streaming"]
    assert [s for s in report["samples"] if s["by_clock"] or s["n_cached"]] == []
    assert path.read_text(encoding="utf-8").startswith("# Benchmark\n\n## Verdict: GO")


def test_a_saved_report_is_judged_again(real_run: RealRun, tmp_path: Path, capsys: Run) -> None:
    """JSON and back is the same report; gates out of reach make it NO-GO and 1."""
    saved = tmp_path / "report.json"
    saved.write_text(real_run.report.to_json(), encoding="utf-8")
    gates = tmp_path / "gates.toml"
    gates.write_text('[decode_tokens_per_second]\ngo = 1e9\nsource = "out of reach"\n', encoding="utf-8")

    assert load_bench(saved) == real_run.report
    assert omniplan.judge(load_bench(saved)) == real_run.report
    assert main(["bench", "--judge", str(saved)]) == 0
    capsys.readouterr()
    assert main(["bench", "--judge", str(saved), "--gates", str(gates)]) == 1
    assert capsys.readouterr().out.startswith("Verdict: NO-GO")


def test_a_launched_server_is_measured_beside_its_plan_and_gone(real_run: RealRun) -> None:
    """The plan's own request is among the lengths; nothing listens afterwards, and the log is whole."""
    report = real_run.report

    assert report.verdict is omniplan.GateVerdict.GO
    assert report.stopped == ""
    assert [d.figure for d in report.differences] == [
        "decode_tokens_per_second",
        "prompt_tokens_per_second",
        "request_seconds",
    ]
    assert all(d.measured is not None and d.measured > 0 for d in report.differences)
    assert max(row.n_wanted for row in report.rows) == real_run.plan.request.n_prompt
    assert not is_open(report.url)
    assert report.log == str(real_run.log)
    assert "memory breakdown" in real_run.log.read_text(encoding="utf-8")


def sizes(log: Path) -> dict[str, float]:
    """The MiB that the server's log states, and nodes and splits of its graph."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found = {
        "model": r"CPU_Mapped model buffer size = +([\d.]+) MiB",
        "context": r"llama_kv_cache: +CPU KV buffer size = +([\d.]+) MiB",
        "compute": r"sched_reserve: +CPU compute buffer size = +([\d.]+) MiB",
        "nodes": r"graph: nodes = (\d+)",
        "splits": r"splits = (\d+)",
    }
    return {name: float(re.findall(pattern, text)[-1]) for name, pattern in found.items()}


@pytest.mark.parametrize("which", ["real_server", "real_run"])
def test_the_footprint_is_what_the_server_takes(
    which: str, cpu_machine: omniplan.Machine, request: pytest.FixtureRequest
) -> None:
    """Model, KV cache and compute buffer to the last digit that the log prints, under two sets of arguments."""
    served: RealServer | RealRun = request.getfixturevalue(which)
    args = served.args if isinstance(served, RealServer) else served.plan.server_args
    priced = omniplan.footprint(served.model, cpu_machine, args)
    buffers = priced.buffers["CPU"]
    shown = sizes(served.log)

    assert priced.graph_splits is not None
    assert shown == {
        "model": round(buffers.model / MIB, 2),
        "context": round(buffers.context / MIB, 2),
        "compute": round(buffers.compute / MIB, 2),
        "nodes": priced.n_nodes,
        "splits": priced.graph_splits.decode,
    }


def test_the_update_check(real_server: RealServer, tmp_path: Path, capsys: Run) -> None:
    """Every section of a models.conf gets a short prompt and one of over 100 tokens."""
    conf = tmp_path / "models.conf"
    conf.write_text("# two models\n[tiny]\nMODEL=tiny.gguf\n\n[bench-tiny]\nCTX_SIZE=512\n", encoding="utf-8")
    code = main(["bench", real_server.url, "--smoke", "--models", str(conf), "--json"])
    report = json.loads(capsys.readouterr().out)

    jsonschema.validate(report, schema("smoke"))
    assert code == 0
    assert [(c["model"], c["prompt"], c["passed"]) for c in report["checks"]] == [
        (model, prompt, True) for model in ("tiny", "bench-tiny") for prompt in ("short", "over 100 tokens")
    ]
    assert all((c["n_prompt"] > 100) == (c["prompt"] != "short") for c in report["checks"])


def test_a_model_that_is_not_served_fails_the_update_check(real_server: RealServer) -> None:
    """A server of one model answers for any name; that is no answer of the model asked for."""
    report = omniplan.smoke(real_server.url, served=("tiny", "other"))

    assert [check.passed for check in report.checks] == [True, True, False, False]
    assert "it lists bench-tiny, tiny" in report.checks[2].problem


def test_rates_are_those_that_the_server_logged(real_run: RealRun) -> None:
    """Every request of a run stands in the log with the rates of its sample."""
    text = real_run.log.read_text(encoding="utf-8", errors="replace")
    rates = re.findall(r"\| (prompt)? +eval time = .*?, +([\d.]+) tokens per second\)", text)
    samples = real_run.report.samples

    assert [float(rate) for kind, rate in rates if kind] == [
        pytest.approx(sample.prompt_tokens_per_second, abs=0.006) for sample in samples
    ]
    assert [float(rate) for kind, rate in rates if not kind] == [
        pytest.approx(sample.decode_tokens_per_second, abs=0.006) for sample in samples
    ]


def test_a_prompt_beyond_the_context_is_cut_and_said(real_server: RealServer) -> None:
    """A slot of 2,048 tokens holds 2,048 tokens, answer included."""
    report = omniplan.bench(real_server.url, protocol=omniplan.BenchProtocol(lengths=(9000,), n_gen=4, runs=1))

    assert report.stability == 1
    assert any("9,000 tokens cut to" in note and "2,048" in note for note in report.notes)


def test_a_model_that_does_not_load_is_no_go(tiny_plan: Plan, tmp_path: Path) -> None:
    """The server's last words are the reason; its log stays."""
    log = tmp_path / "server.log"
    report = omniplan.bench(
        omniplan.ServerStart(plan=tiny_plan, server=SERVER, gguf=str(ROOT / "README.md"), log=str(log))
    )

    assert report.verdict is omniplan.GateVerdict.NO_GO
    assert "before it was ready" in report.stopped
    assert "README.md" in log.read_text(encoding="utf-8")


def test_a_run_is_a_measurement(real_run: RealRun) -> None:
    """Of the longest prompts, with the plan's arguments that have a part in speed."""
    (found,) = omniplan.measurements(real_run.report, real_run.plan)

    assert found.program == "llama-server"
    assert found.n_prompt == max(row.n_prompt or 0 for row in real_run.report.rows)
    assert found.decode is not None
    assert found.decode.value > 0
    assert str(real_run.model.parent) not in found.to_json()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interruption_leaves_a_partial_report_and_no_server(
    number: signal.Signals, tiny_plan: Plan, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM in the middle: 1, both reports written as far as they go, the process group ended."""
    plan, markdown, log = tmp_path / "plan.json", tmp_path / "report.md", tmp_path / "server.log"
    plan.write_text(tiny_plan.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "omniplan.cli.main", "bench", "--launch", str(plan), "--server", SERVER]
    command += ["--runs", "100000", "--lengths", "16", "--n-gen", "2", "-o", str(markdown), "--log", str(log), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        end = time.monotonic() + 30
        # The server logs a request before we have its answer: the third one's timings mean two samples.
        while not log.exists() or log.read_bytes().count(b" prompt eval time") < 3:
            assert time.monotonic() < end, shlex.join(command)
            time.sleep(0.02)
        process.send_signal(number)
        try:
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    report = json.loads(out)

    assert process.returncode == 1
    assert report["stopped"] == "interrupted"
    assert report["verdict"] == "WEIGH"
    assert 2 <= len(report["samples"]) < 100_000
    assert "stopped early: interrupted" in markdown.read_text(encoding="utf-8")
    assert not is_open(report["url"])

"""Whole benchmarks and update checks against small servers: what is counted, noted, stopped and said."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import omniplan
from omniplan.bench import launch
from omniplan.bench.gates import GateVerdict, Metric
from omniplan.bench.interrupt import interruptible
from omniplan.bench.launch import launched
from omniplan.bench.text import bench_markdown, bench_text, smoke_text
from omniplan.bench.values import BenchReport
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from tests.contracts.sources import ROOT
from tests.servers import TIMINGS, Answering, Handler, in_turn, raw, send, serving, status, streamed, whole

QUICK = omniplan.BenchProtocol(lengths=(16, 120), n_gen=4, runs=1, timeout=5, retries=1)


def measured(answering: Answering, **paths: Answering) -> BenchReport:
    with serving({"/v1/completions": answering, **{f"/{name}": more for name, more in paths.items()}}) as server:
        return omniplan.bench(server.url, protocol=QUICK)


def verdicts(report: BenchReport) -> dict[str, GateVerdict]:
    return {str(result.gate.metric): result.verdict for result in report.gates}


def test_slow_is_no_go_and_between_is_weighed() -> None:
    """The shipped limits: below 8 tokens/s no, 8 to 12 by hand, above 12 go."""
    found = {
        rate: measured(streamed(timings={**TIMINGS, "predicted_per_second": rate})).verdict
        for rate in (7.9, 10.0, 12.1)
    }

    assert found == {7.9: GateVerdict.NO_GO, 10.0: GateVerdict.WEIGH, 12.1: GateVerdict.GO}


def test_a_server_that_fails_now_and_then_is_no_go() -> None:
    """One failed attempt of six is 17 %, although its retry was answered."""
    report = measured(in_turn(streamed(timings=TIMINGS), status(500), streamed(timings={**TIMINGS})))

    assert sum(sample.attempts for sample in report.samples) == 6
    assert report.stability == pytest.approx(5 / 6)
    assert verdicts(report)["stability"] is GateVerdict.NO_GO
    assert "1 x HTTP 500" in bench_text(report)


def test_a_server_that_is_gone_is_not_asked_for_ever() -> None:
    """Three requests without an answer end the run; what was measured before stays."""
    protocol = omniplan.BenchProtocol(lengths=(16,), n_gen=4, runs=50, retries=0)
    with serving({"/v1/completions": in_turn(whole(timings=TIMINGS), status(500))}) as server:
        report = omniplan.bench(server.url, protocol=protocol)

    assert len(report.samples) == 4
    assert report.stopped == "3 requests in a row were not answered"
    assert report.verdict is GateVerdict.NO_GO
    assert "stopped early" in bench_markdown(report)


def test_what_is_not_measured_is_unknown() -> None:
    """No timings and no stream: no rates, no first token, so nothing to go ahead on."""
    report = measured(whole())

    assert verdicts(report)["decode_tokens_per_second"] is GateVerdict.UNKNOWN
    assert verdicts(report)["first_token_seconds"] is GateVerdict.UNKNOWN
    assert report.verdict is GateVerdict.WEIGH
    assert any("no pieces of text" in note for note in report.notes)
    assert "unknown" in bench_text(report)


def test_the_first_request_is_cold_and_counts_in_no_row() -> None:
    """A cold server runs at half of its speed."""
    cold, warm = ({**TIMINGS, "predicted_per_second": rate} for rate in (5.5, 10.6))
    report = measured(in_turn(streamed(timings=cold), streamed(timings=warm)))

    assert report.cold_tokens_per_second == 5.5
    assert {row.decode_tokens_per_second.mean for row in report.rows if row.decode_tokens_per_second} == {10.6}


def test_every_prompt_is_new() -> None:
    """Prompts share no beginning, so that no cache answers."""
    with serving({"/v1/completions": streamed(timings=TIMINGS)}) as server:
        omniplan.bench(server.url, protocol=QUICK)
        prompts = [str(body["prompt"]) for body in server.bodies("/v1/completions")]

    assert len({prompt.split()[0] for prompt in prompts}) == len(prompts) == 5


def test_the_server_s_own_tokenizer_sets_the_length() -> None:
    """Two tokens a word, of which the server says so."""

    def tokenize(handler: Handler, body: Mapping[str, Any]) -> None:
        send(handler, json.dumps({"tokens": [0] * (2 * len(body["content"].split()))}).encode())

    paths = {"/v1/completions": streamed(timings=TIMINGS), "/tokenize": tokenize, "/props": raw(b'{"total_slots": 1}')}
    with serving(paths) as server:
        omniplan.bench(server.url, protocol=QUICK)
        words = [len(str(body["prompt"]).split()) for body in server.bodies("/v1/completions")]

    assert sorted(set(words)) == [8, 60]


def test_a_context_too_small_for_any_answer_is_refused() -> None:
    """There is nothing to measure."""
    props = raw(b'{"default_generation_settings": {"n_ctx": 64}}')
    with pytest.raises(InputError, match="context of 64 tokens"):
        measured(whole(), props=props)


def test_a_model_the_server_does_not_list_is_refused() -> None:
    """It would answer with another one. What it lists may be garbled."""
    listed = raw(b'{"data": [{"id": "a", "aliases": 5}, {"id": "b", "aliases": ["c"]}, "d"]}')
    with serving({"/v1/completions": streamed(timings=TIMINGS), "/v1/models": listed}) as server:
        assert omniplan.bench(server.url, served="c", protocol=QUICK).model == "c"
        with pytest.raises(InputError, match="--model d: not what the server lists; name one of a, b"):
            omniplan.bench(server.url, served="d", protocol=QUICK)


@pytest.mark.parametrize(
    ("paths", "says"), [({"/health": status(503)}, "still loading"), ({"/health": raw(b"")}, "")], ids=["busy", "fine"]
)
def test_a_server_that_still_loads_is_not_measured(paths: dict[str, Answering], says: str) -> None:
    """Bad input, not a bad server."""
    with serving({**paths, "/v1/completions": whole(timings=TIMINGS)}) as server:
        if not says:
            assert omniplan.bench(server.url, protocol=QUICK).stability == 1
            return
        with pytest.raises(InputError, match=says):
            omniplan.bench(server.url, protocol=QUICK)


def needs_key(handler: Handler, body: Mapping[str, Any]) -> None:
    """A server behind a key."""
    answer = streamed(timings=TIMINGS) if handler.headers["Authorization"] == "Bearer key" else status(401, "no key")
    answer(handler, body)


def test_a_key_is_sent_where_one_is_given() -> None:
    """Without it the server refuses, which no retry mends."""
    with serving({"/v1/completions": needs_key}) as server:
        allowed = omniplan.bench(server.url, protocol=QUICK, api_key="key")
        refused = omniplan.bench(server.url, protocol=QUICK)

    assert allowed.stability == 1
    assert refused.stability == 0
    assert {error for sample in refused.samples for error in sample.errors} == {"HTTP 401: no key"}
    assert [sample.attempts for sample in refused.samples] == [1, 1, 1]


def crashes_on_long(handler: Handler, body: Mapping[str, Any]) -> None:
    """The build that answered short prompts and crashed on every one of over 100 tokens."""
    answer = status(500, "CUDA error") if len(str(body["prompt"]).split()) > 80 else streamed(timings=TIMINGS)
    answer(handler, body)


def test_the_update_check_finds_the_crash_that_a_short_prompt_hides() -> None:
    """Each model on its own: one that fails does not end the check."""
    with serving({"/v1/completions": crashes_on_long}) as server:
        report = omniplan.smoke(server.url, served=("a", "b"), protocol=QUICK)

    assert [check.passed for check in report.checks] == [True, False, True, False]
    assert not report.passed
    assert "CUDA error" in smoke_text(report)


def test_a_long_prompt_has_to_be_long_by_the_server_s_count() -> None:
    """40 tokens prove nothing about 100."""
    with serving({"/v1/completions": streamed(timings=TIMINGS)}) as server:
        report = omniplan.smoke(server.url, protocol=QUICK)

    assert [check.passed for check in report.checks] == [True, False]
    assert "of 40 tokens" in report.checks[1].problem


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan for a real model on a machine with a GPU."""
    path = ROOT / "tests/data/models/archs/llama-dense.gguf"
    return omniplan.plan(path, omniplan.load_machine("single-3090"), n_ctx=4096, n_prompt=120, n_gen=4)


def test_a_plan_brings_its_request_and_is_compared(plan: Plan) -> None:
    """Predicted and measured side by side, at the length nearest to the plan's."""
    with serving({"/v1/completions": streamed(timings=TIMINGS)}) as server:
        report = omniplan.bench(server.url, plan=plan, protocol=omniplan.BenchProtocol(runs=1))

    found = {row.figure: row for row in report.differences}
    predicted = plan.prediction.decode_tokens_per_second
    assert {row.n_wanted for row in report.rows} == {32, 120, 160}
    assert report.n_gen == 4
    assert found[Metric.DECODE].measured == pytest.approx(10)
    assert found[Metric.DECODE].difference == pytest.approx(10 / predicted.value - 1)
    assert found[Metric.DECODE].is_within is (predicted.low <= 10 <= predicted.high)
    assert any("compared at 40 + 4 tokens" in note for note in report.notes)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"server": "no-such-server"}, "no-such-server: not found"),
        ({"server": sys.executable}, "gguf"),
        ({"server": sys.executable, "gguf": "nowhere.gguf"}, "nowhere.gguf: no such file"),
        ({"server": sys.executable, "gguf": "README.md", "log": "/nowhere/server.log"}, "/nowhere/server.log"),
    ],
)
def test_what_cannot_be_launched_is_bad_input(more: dict[str, Any], says: str, plan: Plan) -> None:
    """A header without tensors needs the model's file."""
    with pytest.raises(InputError, match=says), launched(omniplan.ServerStart(plan=plan, **more)):
        pass


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("leaves", [None, RuntimeError, KeyboardInterrupt])
def test_the_whole_process_group_ends(
    leaves: type[BaseException] | None, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper that ignores SIGTERM and has a child of its own, on every way out."""
    monkeypatch.setattr(launch, "_GRACE", 0.1)
    script = tmp_path / "server.sh"
    script.write_text("trap '' TERM\nsleep 300 &\necho $$ $! > pids\nwait\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    pids: list[int] = []

    def use() -> None:
        with launched(omniplan.ServerStart(plan=plan, server=f"sh {script}", gguf=str(script), log="server.log")):
            while len(pids) < 2:
                time.sleep(0.01)
                pids[:] = [int(word) for word in _read("pids").split()]
            assert all(is_running(pid) for pid in pids)
            if leaves:
                raise leaves

    if leaves:
        with pytest.raises(leaves):
            use()
    else:
        use()
    end = time.monotonic() + 5
    while any(is_running(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.01)

    assert [pid for pid in pids if is_running(pid)] == []


def _read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8") if os.path.exists(name) else ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_interruption_is_lost(number: signal.Signals) -> None:
    """One that comes while a generator is finalised is only printed by Python; the next look finds it."""
    before = signal.getsignal(number)

    def pieces() -> Iterator[int]:
        try:
            yield 1
        finally:
            os.kill(os.getpid(), number)
            time.sleep(0)

    with interruptible() as stop_if_asked:
        stop_if_asked()
        next(pieces())
        with pytest.raises(KeyboardInterrupt):
            stop_if_asked()

    assert signal.getsignal(number) is before

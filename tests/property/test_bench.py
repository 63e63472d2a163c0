"""Laws of a benchmark's arithmetic: statistics, gates, and answers out of any bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.bench.answers import BadAnswer, parse_stream, parse_whole, read_answer
from omniplan.bench.gates import LESS_IS_BETTER, Gate, GateResult, GateVerdict, Metric, overall
from omniplan.bench.prompts import prompt
from omniplan.bench.protocol import BenchProtocol
from omniplan.bench.run import lengths_of, steps
from omniplan.bench.statistics import stability, summary
from omniplan.bench.values import Sample
from omniplan.errors import InputError
from tests.property.strategies import examples

RANK = {GateVerdict.NO_GO: 0, GateVerdict.WEIGH: 1, GateVerdict.GO: 2}
figures = st.floats(1e-6, 1e9)


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    metric = draw(st.sampled_from(Metric))
    go, no_go = draw(st.none() | figures), draw(st.none() | figures)
    if go is None and no_go is None:
        go = draw(figures)
    if go is not None and no_go is not None:
        no_go, go = sorted((go, no_go), reverse=metric in LESS_IS_BETTER)
    return Gate(metric=metric, go=go, no_go=no_go, source="drawn")


@st.composite
def results(draw: st.DrawFn) -> GateResult:
    gate = draw(gates())
    measured = draw(st.none() | figures)
    return GateResult(gate=gate, measured=measured, verdict=gate.judge(measured))


@given(found=st.lists(figures, min_size=1, max_size=30))
@examples(50)
def test_a_mean_lies_between_its_figures(found: list[float]) -> None:
    """low <= mean <= high, no spread below zero, and what is unknown left out."""
    figure = summary(found)

    assert figure is not None
    assert figure.low <= figure.mean <= figure.high
    assert 0 <= figure.deviation <= figure.high - figure.low
    assert figure.n == len(found)
    assert figure.deviation > 0 or len(found) == 1 or figure.high - figure.low <= 1e-9 * figure.high
    assert summary([None, *found, None]) == figure


@given(found=st.lists(figures, min_size=2, max_size=30), factor=st.sampled_from([0.5, 2.0, 4.0]))
@examples(50)
def test_statistics_scale_with_their_unit(found: list[float], factor: float) -> None:
    """Another unit changes every figure by the same factor."""
    one, other = summary(found), summary([factor * figure for figure in found])

    assert one is not None
    assert other is not None
    assert other.mean == pytest.approx(factor * one.mean)
    assert other.deviation == pytest.approx(factor * one.deviation)


def test_nothing_measured_has_no_mean() -> None:
    """Unknown stays unknown."""
    assert summary([]) is None
    assert summary([None, None]) is None
    assert stability([]) is None


@given(counts=st.lists(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1))
@examples(50)
def test_every_failed_attempt_costs_stability(counts: list[tuple[int, int]]) -> None:
    """The share of attempts answered, retries counted, is 1 only without a failure."""
    samples = [Sample(length="32", streaming=False, attempts=n, errors=("x",) * failed) for n, failed in counts]
    share = stability(samples)

    assert share is not None
    assert share == pytest.approx(sum(n - failed for n, failed in counts) / sum(n for n, _ in counts))
    assert (share == 1) == (not any(failed for _, failed in counts))


@given(gate=gates(), a=figures, b=figures)
@examples(50)
def test_a_better_figure_has_no_worse_verdict(gate: Gate, a: float, b: float) -> None:
    """Whichever way the metric is read."""
    worse, better = sorted((a, b), reverse=gate.metric in LESS_IS_BETTER)

    assert RANK[gate.judge(worse)] <= RANK[gate.judge(better)]


@given(gate=gates())
@examples(50)
def test_a_limit_itself_is_neither_side_of_it(gate: Gate) -> None:
    """Above 12 is GO and 12 is not; below 8 is NO-GO and 8 is not."""
    assert gate.go is None or gate.judge(gate.go) is not GateVerdict.GO
    assert gate.no_go is None or gate.go == gate.no_go or gate.judge(gate.no_go) is not GateVerdict.NO_GO
    assert gate.judge(None) is GateVerdict.UNKNOWN


@given(found=st.lists(results(), max_size=4), more=results())
@examples(50)
def test_one_verdict_of_all_gates(found: list[GateResult], more: GateResult) -> None:
    """One NO-GO decides; GO needs a complete run, no gate against it, and every required figure."""
    verdict = overall(found)
    verdicts = {result.verdict for result in found}

    assert (verdict is GateVerdict.NO_GO) == (GateVerdict.NO_GO in verdicts)
    assert verdict is overall(reversed(found))
    assert RANK[overall([*found, more])] <= RANK[verdict] or verdict is GateVerdict.WEIGH
    assert overall(found, is_complete=False) is not GateVerdict.GO
    if verdict is GateVerdict.GO:
        assert verdicts <= {GateVerdict.GO, GateVerdict.UNKNOWN}
        assert not any(r.gate.is_required for r in found if r.verdict is GateVerdict.UNKNOWN)


@given(go=figures, no_go=figures, metric=st.sampled_from(Metric))
@examples(50)
def test_limits_that_cross_are_refused(go: float, no_go: float, metric: Metric) -> None:
    """A figure cannot be worse than NO-GO and better than GO at once."""
    crosses = (no_go < go) if metric in LESS_IS_BETTER else (no_go > go)
    try:
        Gate(metric=metric, go=go, no_go=no_go, source="drawn")
    except InputError:
        assert crosses
    else:
        assert not crosses


# What servers put where a number, a text or a table belongs, right and wrong.
junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 1, 7, -3, 0.5, 1e300, float("inf"), float("nan"), "", "ab", [], {}, [1], ["x"]]
)


def tables(*keys: str) -> st.SearchStrategy[Any]:
    return junk | st.fixed_dictionaries({}, optional=dict.fromkeys(keys, junk))


choices = st.fixed_dictionaries(
    {},
    optional={
        "text": junk,
        "delta": tables("content", "reasoning_content"),
        "message": tables("content"),
        "finish_reason": junk,
    },
)
events = st.fixed_dictionaries(
    {},
    optional={
        "choices": junk | st.lists(choices, max_size=2),
        "usage": tables("prompt_tokens", "completion_tokens", "prompt_tokens_details"),
        "timings": tables("cache_n", "prompt_n", "predicted_n", "prompt_per_second", "predicted_per_second"),
        "error": junk,
        "system_fingerprint": junk,
    },
)


@given(found=st.lists(events, max_size=3), streaming=st.booleans())
@examples(100)
def test_any_answer_is_read_or_refused(found: list[Mapping[str, Any]], streaming: bool) -> None:
    """Whatever a server sends: a BadAnswer, or counts that count and rates that are finite and above zero."""
    try:
        answer = read_answer(enumerate(found), streaming=streaming, clock=lambda: 100.0)
    except BadAnswer:
        return
    rates = [answer.prompt_tokens_per_second, answer.decode_tokens_per_second]

    assert all(rate is None or (math.isfinite(rate) and rate > 0) for rate in rates)
    assert all(n is None or n >= 0 for n in (answer.n_prompt, answer.n_gen, answer.n_cached))
    assert answer.n_gen or answer.text


STREAM = b"".join(
    b"data: " + json.dumps(event).encode() + b"\n\n"
    for event in (
        {"choices": [{"text": "a", "finish_reason": None}]},
        {"choices": [{"text": "b", "finish_reason": "length"}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )
)


@given(cut=st.integers(0, len(STREAM)), at=st.integers(0, len(STREAM) - 1), byte=st.integers(0, 255))
@examples(100)
def test_a_garbled_or_cut_stream_is_read_or_refused(cut: int, at: int, byte: int) -> None:
    """Any prefix, and any byte changed; only a stream that says it is finished counts as an answer."""
    for data in (STREAM[:cut], STREAM[:at] + bytes([byte]) + STREAM[at + 1 :]):
        lines = [(float(index), line) for index, line in enumerate(data.split(b"\n"))]
        try:
            answer = read_answer(parse_stream(lines), streaming=True, clock=lambda: 9.0)
        except BadAnswer:
            continue
        assert answer.text
        assert b"finish_reason" in data


@given(body=st.binary(max_size=200))
@examples(100)
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    """An answer that is not a JSON object is no answer."""
    try:
        found = parse_whole(body)
    except BadAnswer:
        return
    assert isinstance(found, dict)


@given(gate=gates(), measured=figures)
@examples(50)
def test_a_veto_beside_a_limit_only_takes_away(gate: Gate, measured: float) -> None:
    """Taking the limit for NO-GO out of a gate with both turns WEIGH into NO-GO, and nothing into GO."""
    if gate.go is None or gate.no_go is None:
        return
    alone = replace(gate, no_go=None)

    assert RANK[alone.judge(measured)] <= RANK[gate.judge(measured)]
    assert (alone.judge(measured) is GateVerdict.GO) == (gate.judge(measured) is GateVerdict.GO)


@given(wanted=st.integers(1, 3000), per_word=st.integers(1, 6), more=st.integers(0, 5), seed=st.integers(10**8, 10**9))
@examples(50)
def test_prompts_have_the_length_that_the_server_counts(wanted: int, per_word: int, more: int, seed: int) -> None:
    """To half a word, whatever the tokenizer makes of one; another seed shares not even the first word."""

    def count(text: str) -> int:
        return per_word * len(text.split()) + more

    text = prompt(wanted, seed, count)

    assert abs(count(text) - max(wanted, per_word + more)) <= per_word
    assert text.split()[0] != prompt(wanted, seed + 1, count).split()[0]
    assert prompt(wanted, seed, lambda _text: None)


@given(lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=4), n_ctx=st.none() | st.integers(1, 6000))
@examples(50)
def test_a_protocol_fits_the_context(lengths: list[int], n_ctx: int | None) -> None:
    """No length twice, none beyond a slot's context, every cut noted, warm-ups first, and every mode as often."""
    notes: list[str] = []
    protocol = BenchProtocol(lengths=tuple(lengths), n_gen=8, runs=2, warmups=1).planned(None)
    try:
        found = lengths_of(protocol, n_ctx, notes)
    except InputError:
        assert n_ctx is not None
        assert n_ctx < 8 + 65
        return
    asked = list(steps(protocol, found))

    assert len(set(found.values())) == len(found)
    assert n_ctx is None or max(found.values()) + 8 < n_ctx
    assert len(notes) == sum(length not in found.values() for length in set(lengths))
    assert [step.is_cold for step in asked] == [True] + [False] * (4 * len(found))
    assert sum(step.streaming for step in asked) == 1 + 2 * len(found)

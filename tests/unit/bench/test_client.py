"""The client against servers that answer well, late, wrong or not at all: counted, bounded, never hanging."""

from __future__ import annotations

import socket
import time

import pytest

from omniplan.bench.client import Client, Question, Reply, is_loopback, server_url
from omniplan.errors import InputError
from tests.servers import (
    TIMINGS,
    Answering,
    dripping,
    hanging_up,
    in_turn,
    raw,
    serving,
    status,
    streamed,
    whole,
)

WHOLE = Question(prompt="a b c", n_gen=4, streaming=False)
STREAM = Question(prompt="a b c", n_gen=4, streaming=True)


def ask(answering: Answering, question: Question = WHOLE, *, timeout: float = 5.0, retries: int = 2) -> Reply:
    with serving({"/v1/completions": answering}) as server:
        with Client(server.url, timeout=timeout, retries=retries) as client:
            reply = client.ask(question)
        assert len(server.bodies("/v1/completions")) == reply.attempts
    return reply


def test_timings_of_the_server_win() -> None:
    """llama-server knows prompt and decoding apart, streamed or not."""
    for question in (WHOLE, STREAM):
        answer = ask(streamed(timings=TIMINGS), question).answer

        assert answer is not None
        assert (answer.prompt_tokens_per_second, answer.decode_tokens_per_second) == (100.0, 10.0)
        assert (answer.n_prompt, answer.n_gen, answer.n_cached) == (40, 4, 0)
        assert not answer.by_clock
        assert (answer.first_token_seconds is not None) == question.streaming


def test_without_timings_a_stream_is_clocked() -> None:
    """The prompt until the first token, decoding from there to the last: three pauses for three tokens."""
    answer = ask(streamed(pause=0.05), STREAM).answer

    assert answer is not None
    assert answer.by_clock
    assert answer.first_token_seconds is not None
    assert answer.first_token_seconds >= 0.05
    assert answer.decode_tokens_per_second is not None
    assert 5 < answer.decode_tokens_per_second <= 1 / 0.05
    assert answer.prompt_tokens_per_second == pytest.approx(40 / answer.first_token_seconds)


def test_without_timings_an_answer_in_one_piece_has_no_rates() -> None:
    """The time of a whole request tells neither rate; also where a stream was asked for."""
    for question in (WHOLE, STREAM):
        answer = ask(whole(), question).answer

        assert answer is not None
        assert answer.prompt_tokens_per_second is None
        assert answer.decode_tokens_per_second is None
        assert answer.first_token_seconds is None


def test_a_cached_prompt_has_no_rate() -> None:
    """Tokens out of a cache were not processed."""
    answer = ask(whole(timings={**TIMINGS, "prompt_n": 4, "cache_n": 36})).answer

    assert answer is not None
    assert answer.prompt_tokens_per_second is None
    assert answer.decode_tokens_per_second == 10.0


BROKEN = [
    pytest.param(raw(b"<html>busy</html>"), WHOLE, "not JSON", id="garbled"),
    pytest.param(raw(b"[]"), WHOLE, "not a JSON object", id="no-object"),
    pytest.param(raw(b'{"choices": []}'), WHOLE, "no tokens", id="empty"),
    pytest.param(raw(b'{"error": {"message": "sorry"}}'), WHOLE, "sorry", id="error-with-200"),
    pytest.param(raw(b"data: {broken\n\n", "text/event-stream"), STREAM, "not JSON", id="garbled-stream"),
    pytest.param(raw(b"error: out of slots\n\n", "text/event-stream"), STREAM, "out of slots", id="error-in-stream"),
    pytest.param(streamed(finish=False), STREAM, "broke off", id="cut-stream"),
    pytest.param(status(500, "CUDA error: an illegal memory access"), STREAM, "illegal memory", id="crash"),
    pytest.param(status(503, "busy"), WHOLE, "HTTP 503", id="unavailable"),
    pytest.param(hanging_up, WHOLE, "disconnected", id="hangs-up"),
]


@pytest.mark.parametrize(("answering", "question", "says"), BROKEN)
def test_every_failed_attempt_is_an_error_and_retries_are_bounded(
    answering: Answering, question: Question, says: str
) -> None:
    """One retry asked for means two attempts and two errors, each with its reason."""
    reply = ask(answering, question, retries=1)

    assert reply.answer is None
    assert reply.attempts == 2
    assert len(reply.errors) == 2
    assert all(says in error for error in reply.errors)


def test_an_answer_after_a_failure_keeps_the_failure() -> None:
    """The retry gives a sample, the error still counts."""
    reply = ask(in_turn(status(500), whole()))

    assert reply.answer is not None
    assert (reply.attempts, len(reply.errors)) == (2, 1)


def test_a_refusal_is_not_asked_again() -> None:
    """A request that is wrong stays wrong."""
    reply = ask(status(400, "the prompt exceeds the context"))

    assert reply.attempts == 1
    assert "exceeds the context" in reply.errors[0]


@pytest.mark.parametrize("slow", [dripping, lambda _handler, _body: time.sleep(1.0)], ids=["drips", "silent"])
def test_the_time_limit_holds_for_the_whole_answer(slow: Answering) -> None:
    """Also for a server that sends a little all the time; a time-out is not tried again."""
    start = time.monotonic()
    reply = ask(slow, STREAM, timeout=0.2)

    assert reply.attempts == 1
    assert "0.2 s" in reply.errors[0] or "Timeout" in reply.errors[0]
    assert time.monotonic() - start < 3


def test_an_answer_without_end_is_cut_off() -> None:
    """No server fills our memory."""
    reply = ask(raw(b"x" * (17 << 20)))

    assert "larger than" in reply.errors[0]


def test_chat_only_servers_are_asked_by_chat() -> None:
    """Finding out costs no failed attempt, and is found out once."""
    message = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
    with (
        serving({"/v1/chat/completions": whole(**message)}) as server,
        Client(server.url, timeout=5, retries=0) as client,
    ):
        replies = [client.ask(WHOLE) for _ in range(2)]

    assert [(reply.attempts, reply.errors) for reply in replies] == [(1, ()), (1, ())]
    assert len(server.bodies("/v1/completions")) == 1
    assert server.bodies("/v1/chat/completions")[0]["messages"] == [{"role": "user", "content": "a b c"}]


def test_only_llama_server_gets_its_own_fields() -> None:
    """Strict servers refuse unknown fields; llama-server must neither reuse its cache nor end early."""
    for props, expected in (({}, False), ({"/props": raw(b'{"total_slots": 1}')}, True)):
        with serving({"/v1/completions": whole(), **props}) as server:
            with Client(server.url, timeout=5, retries=0) as client:
                assert client.facts().is_llama_server is expected
                client.ask(WHOLE)
            assert ("cache_prompt" in server.bodies("/v1/completions")[0]) is expected


def test_proxies_are_passed_by_on_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment cannot know this host's loopback."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert ask(whole()).answer is not None


def test_nobody_there() -> None:
    """A closed port says so at once, as often as asked."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with Client(url, timeout=5, retries=1) as client:
        assert "refused" in client.state()
        reply = client.ask(WHOLE)

    assert reply.attempts == len(reply.errors) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://host:8080/v1/", "http://host:8080"),
        ("https://host/llm/v1", "https://host/llm"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_urls(text: str, expected: str) -> None:
    """With or without scheme and /v1."""
    assert server_url(text) == expected


@pytest.mark.parametrize("text", ["", "ftp://host", "http://", "http://host:port", "http://host:99999", "http://[::1"])
def test_what_is_no_url(text: str) -> None:
    """One line that shows how to write it."""
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:8080"):
        server_url(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.0.0.1:1", True), ("http://[::1]:1", True), ("http://localhost", True), ("http://10.0.0.1", False)],
)
def test_this_host(url: str, expected: bool) -> None:
    """By its address alone."""
    assert is_loopback(url) is expected

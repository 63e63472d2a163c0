"""Answers of an OpenAI-compatible server, whole or streamed, as counts, times and rates; garbled ones are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_DONE: Final = b"[DONE]"
# More cached tokens than this share of a prompt, and its rate says nothing of prompt processing.
_CACHED: Final = 0.1


class BadAnswer(Exception):
    """An answer that is none; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request gave; see ``Sample`` for the fields they share."""

    text: str = ""
    n_prompt: int | None = None
    n_gen: int | None = None
    n_cached: int | None = None
    seconds: float
    first_token_seconds: float | None = None
    prompt_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    by_clock: bool = False
    server: str = ""


def parse_whole(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer that was not streamed."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is not JSON: {_shown(body)}") from error
    if not isinstance(found, dict):
        raise BadAnswer(f"the answer is not a JSON object: {_shown(body)}")
    return found


def parse_stream(lines: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """The events of a stream with the seconds at which each came; the stream must say that it is at its end."""
    is_finished = False
    for at, line in lines:
        name, _, data = line.strip().partition(b":")
        if name == b"error":
            raise BadAnswer(f"the server reports {_shown(data)}")
        if name != b"data":
            # Blank lines, comments that keep the connection alive, and fields such as "event:".
            continue
        if data.strip() == _DONE:
            return
        event = parse_whole(data)
        is_finished = is_finished or any(choice.get("finish_reason") for choice in _choices(event))
        yield at, event
    if not is_finished:
        raise BadAnswer("the stream broke off")


def read_answer(
    events: Iterable[tuple[float, Mapping[str, Any]]], *, streaming: bool, clock: Callable[[], float]
) -> Answer:
    """Counts, times and rates of one answer; ``clock()`` is the seconds since the request.

    Rates are the server's ``timings`` where it sends them. By the clock a stream's prompt takes until the first token
    and its decoding from there to the last; an answer in one piece tells neither apart, so its rates stay unknown.
    """
    texts: list[str] = []
    times: list[float] = []
    usage: Mapping[str, Any] = {}
    timings: Mapping[str, Any] = {}
    server = ""
    for at, event in events:
        if event.get("error"):
            raise BadAnswer(f"the server reports {json.dumps(event['error'])[:200]}")
        if piece := "".join(_text(choice) for choice in _choices(event)):
            texts.append(piece)
            times.append(at)
        usage = _table(event.get("usage")) or usage
        timings = _table(event.get("timings")) or timings
        server = str(event.get("system_fingerprint") or server)
    answer = _counted(usage, timings, "".join(texts), clock())
    if not answer.n_gen and not answer.text:
        raise BadAnswer("the answer has no tokens")
    first = times[0] if streaming and times else None
    return _rated(answer, timings, first, times[-1] if times else 0.0, server)


def _counted(usage: Mapping[str, Any], timings: Mapping[str, Any], text: str, seconds: float) -> Answer:
    cached = _count(timings, "cache_n")
    if cached is None:
        cached = _count(_table(usage.get("prompt_tokens_details")), "cached_tokens")
    n_prompt = _count(usage, "prompt_tokens")
    evaluated = _count(timings, "prompt_n")
    if n_prompt is None and evaluated is not None:
        n_prompt = evaluated + (cached or 0)
    n_gen = _count(usage, "completion_tokens")
    return Answer(
        text=text,
        n_prompt=n_prompt,
        n_gen=_count(timings, "predicted_n") if n_gen is None else n_gen,
        n_cached=cached,
        seconds=seconds,
    )


def _rated(answer: Answer, timings: Mapping[str, Any], first: float | None, last: float, server: str) -> Answer:
    prompt, decode = _rate(timings, "prompt_per_second"), _rate(timings, "predicted_per_second")
    by_clock = decode is None and first is not None
    if by_clock and first is not None:
        prompt = answer.n_prompt / first if answer.n_prompt and first > 0 else None
        decode = (answer.n_gen - 1) / (last - first) if answer.n_gen and answer.n_gen > 1 and last > first else None
    if answer.n_prompt and (answer.n_cached or 0) > _CACHED * answer.n_prompt:
        prompt = None
    if answer.n_gen is not None and answer.n_gen < 2:
        decode = None
    return replace(
        answer,
        first_token_seconds=first,
        prompt_tokens_per_second=prompt,
        decode_tokens_per_second=decode,
        by_clock=by_clock,
        server=server,
    )


def _choices(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = event.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _text(choice: Mapping[str, Any]) -> str:
    """What a choice adds: of a completion, of a chat message or of its delta, thinking included."""
    message = _table(choice.get("delta")) or _table(choice.get("message"))
    parts = (choice.get("text"), message.get("reasoning_content"), message.get("content"))
    return "".join(part for part in parts if isinstance(part, str))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(table: Mapping[str, Any], key: str) -> int | None:
    value = table.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _rate(table: Mapping[str, Any], key: str) -> float | None:
    """A rate that can be one: finite and above zero."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def _shown(data: bytes) -> str:
    return repr(data[:80].decode("utf-8", "replace").strip())

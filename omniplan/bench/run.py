"""The protocol: warm up, then ask every length streamed and not; whatever ends it early leaves what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from omniplan.bench.client import Client, Question, ServerFacts
from omniplan.bench.memory import MemoryReader
from omniplan.bench.prompts import new_seed, prompt
from omniplan.bench.protocol import BenchProtocol
from omniplan.bench.values import DeviceMemory, Sample
from omniplan.domain.progress import Progress
from omniplan.errors import InputError

# So many requests in a row without an answer, and the server is taken for gone.
_GONE: Final = 3
# Tokens a context has to have beyond prompt and answer: a template's, and a prompt a little longer than wanted.
_SPARE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of the protocol: prompts of about ``n_tokens``, called ``length``."""

    length: str
    n_tokens: int
    streaming: bool
    is_cold: bool = False


@dataclass(slots=True)
class Measured:
    """What a run has found so far; ``stopped`` says why it ended early, ``log`` where a started server's output is."""

    log: str = ""
    samples: list[Sample] = field(default_factory=list)
    memory: tuple[DeviceMemory, ...] = ()
    memory_unknown: str = ""
    server: str = ""
    stopped: str = ""
    notes: list[str] = field(default_factory=list)
    disturbances: list[str] = field(default_factory=list)


def lengths_of(protocol: BenchProtocol, n_ctx: int | None, notes: list[str]) -> dict[str, int]:
    """Prompt lengths in tokens by name, cut to what a slot's context holds beside the answer."""
    most = None if n_ctx is None else n_ctx - protocol.n_gen - _SPARE
    if most is not None and most < 1:
        raise InputError(
            f"a slot's context of {n_ctx} tokens does not hold answers of {protocol.n_gen}; try 16",
            field="n_gen",
            value=protocol.n_gen,
        )
    found: dict[str, int] = {}
    for wanted in protocol.lengths:
        n_tokens = wanted if most is None else min(wanted, most)
        if n_tokens < wanted:
            notes.append(f"prompts of {wanted:,} tokens cut to {n_tokens:,}: a slot has a context of {n_ctx:,}")
        if n_tokens not in found.values():
            found[f"{n_tokens:,}"] = n_tokens
    return found


def steps(protocol: BenchProtocol, lengths: dict[str, int]) -> Iterator[Step]:
    """Every request in order: warm-ups with the shortest prompt, then length by length, streamed or not in turn."""
    first = next(iter(lengths))
    for _ in range(protocol.warmups):
        yield Step(length=first, n_tokens=lengths[first], streaming=True, is_cold=True)
    for length, n_tokens in lengths.items():
        for _ in range(protocol.runs):
            yield Step(length=length, n_tokens=n_tokens, streaming=False)
            yield Step(length=length, n_tokens=n_tokens, streaming=True)


def run(
    client: Client,
    facts: ServerFacts,
    protocol: BenchProtocol,
    measured: Measured,
    *,
    model: str,
    memory: MemoryReader,
    progress: Progress,
) -> dict[str, int]:
    """Make every request and put what it gives into ``measured``; returns the lengths asked for, by name."""
    lengths = lengths_of(protocol, facts.n_ctx, measured.notes)
    try:
        plan = list(steps(protocol, lengths))
        seed = new_seed()
        for done, step in enumerate(plan):
            progress(done, len(plan), _label(step))
            text = prompt(step.n_tokens, seed + done, lambda text: client.count_tokens(text, model))
            question = Question(prompt=text, n_gen=protocol.n_gen, streaming=step.streaming, model=model)
            _note(measured, step, *_asked(client, question, step))
            if done == len(plan) - 1 or plan[done + 1].length != step.length or step.is_cold:
                memory.read()
            if len(measured.samples) >= _GONE and not any(s.is_answered for s in measured.samples[-_GONE:]):
                measured.stopped = f"{_GONE} requests in a row were not answered"
                break
        progress(len(plan), len(plan), "")
    except KeyboardInterrupt:
        measured.stopped = "interrupted"
    measured.memory, measured.memory_unknown = memory.most, memory.unknown
    return lengths


def _label(step: Step) -> str:
    mode = "streamed" if step.streaming else "whole"
    return f"warming up, {step.length} tokens" if step.is_cold else f"{step.length} tokens, {mode}"


def _asked(client: Client, question: Question, step: Step) -> tuple[Sample, str]:
    reply = client.ask(question)
    sample = Sample(
        length=step.length,
        streaming=step.streaming,
        is_cold=step.is_cold,
        attempts=reply.attempts,
        errors=reply.errors,
    )
    answer = reply.answer
    if answer is None:
        return sample, ""
    measured = replace(
        sample,
        n_prompt=answer.n_prompt,
        n_gen=answer.n_gen,
        n_cached=answer.n_cached,
        seconds=answer.seconds,
        first_token_seconds=answer.first_token_seconds,
        prompt_tokens_per_second=answer.prompt_tokens_per_second,
        decode_tokens_per_second=answer.decode_tokens_per_second,
        by_clock=answer.by_clock,
    )
    return measured, answer.server


def _note(measured: Measured, step: Step, sample: Sample, server: str) -> None:
    measured.samples.append(sample)
    measured.server = server or measured.server
    note = "asked to stream, the server sent no pieces of text: no time of a first token"
    if step.streaming and sample.is_answered and sample.first_token_seconds is None and note not in measured.notes:
        measured.notes.append(note)

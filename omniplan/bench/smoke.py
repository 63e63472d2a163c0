"""The update check: a short prompt and one of over 100 tokens for every model, as builds have crashed on the second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.bench.client import Client, Question, ServerFacts
from omniplan.bench.prompts import new_seed, prompt
from omniplan.bench.protocol import OVER_100, SHORT
from omniplan.bench.values import SmokeCheck
from omniplan.domain.progress import Progress

_PROMPTS: Final = {"short": SHORT, "over 100 tokens": OVER_100}
_MUST_EXCEED: Final = 100
# The crash came with the first generated token; a few more show that decoding goes on.
_N_GEN: Final = 16


def checks(client: Client, facts: ServerFacts, models: Sequence[str], progress: Progress) -> Iterator[SmokeCheck]:
    """Every prompt to every model, in order; a model that fails does not keep the next from being asked.

    No models: those that the server lists.
    """
    asked = [(model, name) for model in models or facts.models or ("",) for name in _PROMPTS]
    for done, (model, name) in enumerate(asked):
        progress(done, len(asked), f"{model or 'the model'}, {name}")
        yield _check(client, model, name) if facts.serves(model) else _unknown(facts, model, name)
    progress(len(asked), len(asked), "")


def _unknown(facts: ServerFacts, model: str, name: str) -> SmokeCheck:
    """A model that the server does not list: a server of one model answers with that one, whatever it is asked for."""
    listed = ", ".join(sorted({*facts.models, *facts.aliases}))
    problem = f"the server does not list it, so another model would answer; it lists {listed}"
    return SmokeCheck(model=model, prompt=name, passed=False, n_prompt=None, n_gen=None, seconds=None, problem=problem)


def _check(client: Client, model: str, name: str) -> SmokeCheck:
    text = prompt(_PROMPTS[name], new_seed(), lambda text: client.count_tokens(text, model))
    question = Question(prompt=text, n_gen=_N_GEN, streaming=True, model=model)
    reply = client.ask(question)
    answer = reply.answer
    problems = list(reply.errors)
    if answer is not None and name != "short" and (answer.n_prompt or 0) <= _MUST_EXCEED:
        counted = "of unknown length" if answer.n_prompt is None else f"of {answer.n_prompt} tokens"
        problems.append(f"the prompt was {counted}, which proves nothing about longer ones")
    return SmokeCheck(
        model=model,
        prompt=name,
        passed=not problems,
        n_prompt=answer.n_prompt if answer else None,
        n_gen=answer.n_gen if answer else None,
        seconds=answer.seconds if answer else None,
        problem="; ".join(problems),
    )

"""Prompts of a stated number of tokens, each new from its first word on, so that no cache answers for the model."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

_WORDS: Final = (
    "river stone window garden paper market engine bridge winter letter mountain signal harbour teacher copper island "
    "window lantern forest station orange village matter number morning river pencil weather kitchen silver captain "
    "measure reason history travel corner evening question answer library machine carpet thunder velvet summer shadow"
).split()
# Tokens of an English word with common tokenizers; only where the server does not count them itself.
_TOKENS_PER_WORD: Final = 1.3
_ROUNDS: Final = 6
# Seeds have nine digits, so that the first word takes about as many tokens in every prompt.
_SEEDS: Final = range(10**8, 10**9)


def prompt(n_words: int, seed: int) -> str:
    """``n_words`` words drawn with ``seed``; prompts of different seeds differ from the first word on."""
    # The first word is the seed's alone: a shared beginning would be taken from the server's prompt cache.
    words = random.Random(seed).choices(_WORDS, k=max(n_words, 1) - 1)
    return " ".join([f"{seed}:", *words])


def new_seed() -> int:
    """A seed that no earlier benchmark has used, as good as certainly."""
    return random.SystemRandom().choice(_SEEDS)


def words_for(n_tokens: int, count: Callable[[str], int | None]) -> int:
    """How many words make about ``n_tokens`` tokens, by the server's own ``count`` where it has one."""
    n_words = max(1, round(n_tokens / _TOKENS_PER_WORD))
    for _ in range(_ROUNDS):
        counted = count(prompt(n_words, _SEEDS[0]))
        if not counted or counted == n_tokens:
            break
        nearer = max(1, round(n_words * n_tokens / counted))
        if nearer == n_words:
            break
        n_words = nearer
    return n_words

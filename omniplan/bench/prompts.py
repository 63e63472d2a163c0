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


def new_seed() -> int:
    """A seed that no earlier benchmark has used, as good as certainly."""
    return random.SystemRandom().choice(_SEEDS)


def prompt(n_tokens: int, seed: int, count: Callable[[str], int | None]) -> str:
    """A prompt of about ``n_tokens`` tokens, by the server's own ``count`` where it has one.

    Prompts of different seeds differ from the first word on.
    """
    n_words = max(1, round(n_tokens / _TOKENS_PER_WORD))
    for _ in range(_ROUNDS):
        counted = count(_words(n_words, seed))
        if not counted:
            break
        nearer = max(1, round(n_words * n_tokens / counted))
        if nearer == n_words:
            break
        n_words = nearer
    return _words(n_words, seed)


def _words(n_words: int, seed: int) -> str:
    # The first word is the seed's alone: a shared beginning would be taken from the server's prompt cache.
    return " ".join([f"{seed}:", *random.Random(seed).choices(_WORDS, k=n_words - 1)])

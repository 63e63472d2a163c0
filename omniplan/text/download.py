"""How a model that lies on the hub comes here."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.text.argv import download_words
from omniplan.text.screen import Block, Prose, ShellCommand


def download(model_path: str) -> Iterator[Block]:
    """The command that downloads it, below the one that does so by itself; nothing for what does not lie there."""
    if words := download_words(model_path):
        yield Prose("It downloads the model; so does:")
        yield ShellCommand(words)

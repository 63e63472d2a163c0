"""What is taken where nobody says, as plain numbers: signatures show them, and importing them imports nothing else."""

from __future__ import annotations

from typing import Final

# The llama.cpp whose bytes count.
DEFAULT_BUILD: Final = 11434
# Stands for the build of the llama-server at hand.
AUTO_BUILD: Final = "auto"
# Tokens of context of a request that names none, unless the model was trained for less.
DEFAULT_CONTEXT: Final = 32768
# Tokens of the prompt and of the answer that a plan and a prediction are for.
DEFAULT_PROMPT: Final = 2048
DEFAULT_ANSWER: Final = 256

# The machine where none is named: the one at hand, which is probed.
THIS_HOST: Final = "this-host"
# Where a server listens whom only programs of this host may ask.
LOOPBACK: Final = "127.0.0.1"

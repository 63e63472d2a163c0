"""The start script around ``models.conf``: section -> ``.env`` -> Compose -> llama-server's arguments.

The order of the arguments is fixed and EXTRA_ARGS come last, so that a flag there wins. The script runs
``llama-server ${ARGS}`` unquoted: white space splits, and quotes are not honoured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.formats.command import Command, Word
from omniplan.formats.sections import Section

# Keys of a section that reach .env, with what the script writes when the section has none; other keys do nothing.
SECTION_KEYS: Final[Mapping[str, str]] = {
    "MODEL": "",
    "CTX_SIZE": "131072",
    "N_GPU_LAYERS": "auto",
    "FIT": "on",
    "FIT_TARGET": "",
    "EXTRA_ARGS": "",
}

# Variables of .env in the order of their flags; an empty default leaves the flag out while the variable is empty.
VARIABLES: Final[Mapping[str, tuple[str, str]]] = {
    "MODEL": ("--model", ""),
    "CTX_SIZE": ("--ctx-size", "131072"),
    "N_GPU_LAYERS": ("--n-gpu-layers", "auto"),
    "HOST": ("--host", "0.0.0.0"),  # noqa: S104 - the address inside the container
    "PORT": ("--port", "8080"),
    "SPLIT_MODE": ("--split-mode", "layer"),
    "TENSOR_SPLIT": ("--tensor-split", ""),
    "MAIN_GPU": ("--main-gpu", "0"),
    "FLASH_ATTN": ("--flash-attn", "1"),
    "KV_CACHE_TYPE_K": ("--cache-type-k", "q8_0"),
    "KV_CACHE_TYPE_V": ("--cache-type-v", "q8_0"),
    "FIT": ("--fit", "on"),
    "FIT_TARGET": ("--fit-target", "128,1024"),
    "FIT_CTX": ("--fit-ctx", ""),
    "EXTRA_ARGS": ("", ""),
}
_FIXED: Final = frozenset({"HOST", "PORT"})
_WORD: Final = re.compile("[^ \t\n]+")
MODELS: Final = "/models/"


def is_wrapper_env(names: Mapping[str, object]) -> bool:
    """Whether a ``.env`` with these variables is the start script's."""
    return "MODEL" in names and any(name in names for name in VARIABLES if name not in {"MODEL", "PORT", "HOST"})


def variables_of(section: Section) -> dict[str, Word]:
    """What the script writes into ``.env`` for ``section``; what the section lacks stands on its header's line."""
    return {key: section.word_of(key, default) for key, default in SECTION_KEYS.items()}


def section_command(section: Section) -> Command:
    """llama-server's command for ``section``."""
    return Command(name=section.id, line=section.line, words=tuple(_words(variables_of(section), section.line)))


def variables_command(variables: Mapping[str, Word], *, name: str = "", line: int = 1) -> Command:
    """llama-server's command for the variables of a ``.env``."""
    return Command(name=name, line=line, words=tuple(_words(variables, line)))


def _words(variables: Mapping[str, Word], line: int) -> Iterator[Word]:
    for name, (flag, default) in VARIABLES.items():
        given = variables.get(name)
        fallback = Word(text=default, line=line)
        word = fallback if given is None or name in _FIXED or not given.text else given
        value = _value(name, word)
        if value.text and flag:
            yield Word(text=flag, line=word.line)
        yield from _split(value)


def _value(name: str, word: Word) -> Word:
    if name == "FLASH_ATTN":
        return Word(text="on" if word.text == "1" else "", line=word.line)
    return Word(text=MODELS + word.text, line=word.line) if name == "MODEL" and word.text else word


def _split(word: Word) -> Iterator[Word]:
    for match in _WORD.finditer(word.text):
        at = word.span[0] if word.span and word.span[1] - word.span[0] == len(word.text) else None
        span = None if at is None else (at + match.start(), at + match.end())
        yield Word(text=match[0], line=word.line, span=span, is_open=word.is_open and "$" in match[0])

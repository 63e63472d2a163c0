"""Names that a library holds as text: architectures, and flags where its command line is inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.certify.library import Library
from omniplan.gguf.model.architectures import known
from omniplan.llamacpp.flags.table import spellings

_TEXT: Final = re.compile(rb"[\x20-\x7e]{2,200}(?=\x00)")
# llama-arch.cpp: LLM_ARCH_NAMES stands in one piece, from the first name to the last.
_FIRST, _LAST = b"clip", b"(unknown)"
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]*")
_FLAG: Final = re.compile(rb"--[a-z][a-z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a library knows by name and omniplan does not."""

    architectures: tuple[str, ...]
    flags: tuple[str, ...]


def names(asked: Library) -> Names:
    """Architectures and flags in the texts of a library's objects that omniplan's tables lack."""
    data = b"".join(path.read_bytes() for path in sorted(Path(asked.path).parent.glob("*.so*")))
    texts = _TEXT.findall(data)
    ours = known()
    return Names(
        architectures=tuple(sorted(set(_architectures(texts)) - ours)),
        flags=tuple(sorted({flag.decode() for flag in set(texts) if _FLAG.fullmatch(flag)} - set(spellings()))),
    )


def _architectures(texts: list[bytes]) -> Iterator[str]:
    if _LAST not in texts:
        return
    end = texts.index(_LAST)
    starts = [i for i in range(end) if texts[i] == _FIRST]
    for text in texts[starts[-1] if starts else end : end]:
        if _NAME.fullmatch(name := text.decode()):
            yield name

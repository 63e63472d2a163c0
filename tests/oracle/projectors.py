"""Projectors that llama.cpp's own library has counted (``tests/data/oracle/projectors.jsonl``), on one RTX 3090."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from omniplan.domain.header import Header
from omniplan.gguf import read_header
from tests.contracts.sources import ROOT
from tests.projectors import TOWERS, Tower, write_projector

RECORDED: Final = ROOT / "tests" / "data" / "oracle" / "projectors.jsonl"
# Files for images and for sound, which make two encoders.
MIXED: Final = {
    "qwen2.5-omni": ("qwen2.5-vl", "qwen2-audio"),
    "gemma4-12b-unified": ("gemma4-unified", "gemma4-unified-audio"),
}
QUANTISED: Final = "q8_0 of "
Case = tuple[str, tuple[str, ...]]


def _cases() -> Iterator[Case]:
    names = (*TOWERS, *MIXED)
    for name in names:
        yield name, ()
        yield name, ("-fa", "off")
    for name in ("qwen3-vl-8b", "gemma3-4b", "qwen2-audio"):
        yield name, ("--no-mmproj-offload",)
        yield name, ("-fa", "on", "--no-mmproj-offload")
    for name in ("qwen2-vl", "pixtral-12b", "qwen2-audio"):
        yield QUANTISED + name, ()
    for name in ("qwen2.5-vl", "kimi-vl", "lfm2-vl-1.6b", "gemma4-31b"):
        for most in (100, 3000):
            yield name, ("--image-max-tokens", str(most))


CASES: Final = tuple(_cases())


def towers_of(name: str) -> Sequence[Tower]:
    """The encoders of a file."""
    if name.startswith(QUANTISED):
        return [replace(tower, weights="q8_0") for tower in towers_of(name.removeprefix(QUANTISED))]
    towers = [TOWERS[part] for part in MIXED.get(name, (name,))]
    # llama.cpp wants all encoders of a file to end in the same width.
    return [replace(tower, output=towers[0].output) for tower in towers]


def header_of(name: str, folder: Path) -> Header:
    """A file's header, written anew."""
    return read_header(write_projector(folder / f"{name}.gguf", *towers_of(name)))


@cache
def recorded() -> Sequence[dict[str, Any]]:
    """What the library said of each case."""
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]

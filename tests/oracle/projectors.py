"""Projectors that llama.cpp's own library has counted (``tests/data/oracle/projectors.jsonl``), on one RTX 3090.

``python -m tests.oracle.projectors [NAME ...]`` has it count them again, those whose file's name contains a NAME, and
writes the file when no name is given. ``make certify`` compares without writing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from omniplan.certify.simulate import simulate
from omniplan.domain.footprint import ContextKind
from omniplan.domain.header import Header
from omniplan.domain.model import Companions, Model
from omniplan.gguf import read_header
from omniplan.machines.files import load_machine
from tests.contracts.sources import ROOT
from tests.oracle import cases
from tests.projectors import Tower, write_projector
from tests.towers import TOWERS

MACHINE: Final = "single-3090"
# A busy machine is no verdict.
SECONDS: Final = 600.0
RECORDED: Final = ROOT / "tests" / "data" / "oracle" / "projectors.jsonl"
# Files for images and for sound, which make two encoders.
MIXED: Final = {
    "qwen2.5-omni": ("qwen2.5-vl", "qwen2-audio"),
    "gemma4-12b-unified": ("gemma4-unified", "gemma4-unified-audio"),
    "gemma4-e4b": ("gemma4-31b", "gemma4-audio"),
    "qwen3-omni": ("qwen3.6-27b", "qwen3-asr"),
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


def served(name: str, folder: Path) -> Model:
    """A small model with the file beside it."""
    return replace(cases.model("llama-dense"), companions=Companions(projector=header_of(name, folder)))


def count(case: Case) -> dict[str, int]:
    """The library's bytes by device."""
    name, args = case
    with TemporaryDirectory(prefix="omniplan-") as folder:
        model = served(name, Path(folder))
        words = ("-c", "512", "--mmproj", name, *args)
        counted = simulate(model, load_machine(MACHINE), words, env={}, timeout=SECONDS)
    return {device: size.total for device, size in counted.beside[ContextKind.PROJECTOR].items()}


@cache
def recorded() -> Sequence[dict[str, Any]]:
    """What the library said of each case."""
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def report(pool: Executor) -> bool:
    """Print how many the library counts as recorded, and which it does not; whether it does all."""
    counted = list(pool.map(count, CASES))
    moved = [row for row, found in zip(recorded(), counted, strict=True) if row["bytes"] != found]
    print(f"projectors: {len(counted) - len(moved)} of {len(counted)} as recorded")
    for row in moved:
        print(f"{row['file']} {' '.join(row['args'])}")
    return not moved


def main() -> None:
    """Count, show, and write what was counted."""
    names = sys.argv[1:]
    chosen = [case for case in CASES if not names or any(name in case[0] for name in names)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = [
            json.dumps({"file": name, "args": args, "bytes": found})
            for (name, args), found in zip(chosen, pool.map(count, chosen), strict=True)
        ]
    print("\n".join(rows))
    if not names:
        RECORDED.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()

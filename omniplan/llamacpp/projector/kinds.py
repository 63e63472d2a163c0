"""Rows of ``data/projectors.toml``: what the loader of b11434 hard-codes for each type of projector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from omniplan.documents.column import Name, Words
from omniplan.documents.source import read_table

_FILE: Final = "projectors.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorKind:
    """One type; the fields are explained at the head of the table."""

    name: Name
    source: str
    graph: str = ""
    tensors: Words = ()
    stands_for: Mapping[str, str] = field(default_factory=dict)
    patch_size: int = 0
    image_size: int = 0
    merge: int = 1
    merge_key: str = ""
    merges_in_patch: bool = False
    image_tokens: tuple[int, ...] = ()
    reads_pixels: bool = False
    prefers_pixels: bool = False
    takes_tokens: bool = False
    warmup_tokens: int = 0
    rms_norm: bool = False
    non_causal: bool = False
    causal_widths: tuple[int, ...] = ()
    clamps: bool = False
    normalises_v: bool = False
    pools_audio: bool = False
    swaps_ffn: bool = False
    skips_audio: bool = False
    plain_layers: bool = True
    mel_bins: int = 0
    loads: bool = True


@cache
def kinds() -> Mapping[str, ProjectorKind]:
    """Every type that the loader knows, by the name that headers give it."""
    return read_table(_FILE, Mapping[str, ProjectorKind])  # type: ignore[type-abstract]

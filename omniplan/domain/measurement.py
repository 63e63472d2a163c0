"""One measured request as a file that may be given away: what ran on which hardware, how fast, and nobody's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from omniplan.documents.column import Amount, Column, Count, Positive
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import Record
from omniplan.domain.footprint import GraphSplits
from omniplan.domain.machine import Machine
from omniplan.domain.params import ServerParams

MEASUREMENT_VERSION: Final = 1
# What llama-server and llama-bench call themselves.
PROGRAMS: Final = ("llama-server", "llama-bench")

_Build = Annotated[str, Column(pattern=r"b\d{1,6}", example="b11434")]
_Day = Annotated[str, Column(pattern=r"\d{4}-\d{2}-\d{2}", example="2026-01-30")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRate:
    """Tokens per second in ``n_runs`` requests, and how far single ones lie from that, as a share."""

    value: Positive
    scatter: Amount = 0.0
    n_runs: Annotated[Count, Column(key="runs")] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """Which model ran: what its header calls it, and what tells it from others of that name."""

    name: str
    architecture: str
    n_layer: Count
    tensor_bytes: Count

    @property
    def title(self) -> str:
        """What people call it: its own name, else its architecture."""
        return self.name or self.architecture

    def is_same(self, other: MeasuredModel) -> bool:
        """Whether both are of one file, whatever it is called."""
        own = (self.architecture, self.n_layer, self.tensor_bytes)
        return own == (other.architecture, other.n_layer, other.tensor_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Record):
    """How fast ``llama_cpp``, "" where it did not say, ran ``args`` on the hardware of ``machine``.

    ``args`` are those of llama-server that have a part in speed, ``environment`` ggml's variables. A prompt of
    ``n_prompt`` tokens was read into an empty cache, and ``n_gen`` tokens were generated behind it; a rate is None
    where that phase was not measured. ``is_disturbed`` says that something else had a part in it. ``version`` is
    omniplan's.
    """

    version: str
    date: _Day
    program: Annotated[str, Column(choices=PROGRAMS)]
    llama_cpp: _Build
    model: MeasuredModel
    machine: Machine
    args: tuple[str, ...]
    environment: Mapping[str, str] = FrozenMapping()
    splits: GraphSplits | None = None
    n_prompt: Count
    n_gen: Count
    prompt: MeasuredRate | None = None
    decode: MeasuredRate | None = None
    is_disturbed: Annotated[bool, Column(key="disturbed")] = False
    schema_version: int = MEASUREMENT_VERSION

    def faults(self) -> Iterator[tuple[str, str]]:
        """A measurement of nothing."""
        if self.prompt is None and self.decode is None:
            yield "prompt", "is missing, and so is decode: a measurement has one of them"

    @property
    def file_name(self) -> str:
        """What to call it among others: the same name for the same measurement."""
        import hashlib
        import re

        model = re.sub(r"[^A-Za-z0-9._-]+", "-", self.model.title)[:60].strip(".-")
        return f"{self.date}-{model}-{hashlib.sha256(self.to_json().encode()).hexdigest()[:8]}.json"


# Fields of the arguments that have a part in how fast one sequence runs, and hold neither paths nor addresses.
_SETTINGS: Final = (
    "n_batch", "n_ubatch", "flash_attn", "cache_type_k", "cache_type_v", "offload_kqv", "swa_full", "n_gpu_layers",
    "split_mode", "tensor_split", "main_gpu", "devices", "overrides", "op_offload", "moe_cache", "load_mode",
    "lazy_mode", "no_host", "repack", "n_threads", "n_threads_batch", "numa", "spec_types", "draft", "ngram",
)  # fmt: skip


def settings_of(params: ServerParams) -> ServerParams:
    """``params`` as far as they have a part in speed: equal where two commands run as fast as each other.

    Of the environment these are ggml's own numbers; which devices are seen is in the machine, and may name them.
    """
    kept = {name: getattr(params, name) for name in _SETTINGS}
    env = tuple(sorted(item for item in params.env if item[0].startswith("GGML_") and item[1].isdecimal()))
    return ServerParams(build=params.build, fork=params.fork, fit=False, env=env, **kept)

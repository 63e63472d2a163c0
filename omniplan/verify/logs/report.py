"""What a llama.cpp log says about a run: build, devices, buffers, splits, failures and speed, each with its line.

Sizes are bytes, as far as the log prints them (two decimals of a MiB, whole MiB in tables). ``line`` counts from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from omniplan.documents.record import Record
from omniplan.domain.prediction import Phase


class BufferKind(StrEnum):
    """What a buffer holds."""

    MODEL = "model"
    KV = "kv"
    RECURRENT = "recurrent"
    COMPUTE = "compute"
    OUTPUT = "output"
    LORA = "lora"
    EXPERT_CACHE = "expert cache"
    ROTATION = "rotation"
    LAYER_INPUT = "layer input"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBuild:
    """The build that wrote the log; ``number`` 0 is a build without a version."""

    number: int
    commit: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDevice:
    """A device as the log names it; ``free`` is what was free before anything was loaded, None where not printed."""

    name: str
    description: str = ""
    total: int | None = None
    free: int | None = None
    compute_capability: str = ""
    has_vmm: bool | None = None
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBuffer:
    """One buffer, under llama.cpp's own name of the device; ``part`` tells states of one kind apart."""

    device: str
    kind: BufferKind
    size: int
    line: int
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCache(Record):
    """One cache: its size over all devices, cells, layers, sequences and streams, and the type of each part."""

    size: int
    types: Mapping[str, str]
    line: int
    is_recurrent: bool = False
    cells: int | None = None
    n_layer: int | None = None
    n_seq: int | None = None
    n_stream: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A compute buffer when it was given back: what it had grown to, and what was reserved."""

    device: str
    size: int
    reserved: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogContext(Record):
    """One context: its settings as printed, its buffers, and how its graph was cut.

    ``flash_attn`` is what was decided, None where the log does not say. ``splits_decode`` equals ``splits_prefill``
    where one figure was printed for both.
    """

    line: int
    settings: Mapping[str, str] = field(default_factory=dict)
    buffers: tuple[LogBuffer, ...] = ()
    caches: tuple[LogCache, ...] = ()
    released: tuple[Released, ...] = ()
    cache_layers: Mapping[int, str] = field(default_factory=dict)
    flash_attn: bool | None = None
    flash_attn_line: int = 0
    n_nodes: int | None = None
    splits_prefill: int | None = None
    splits_decode: int | None = None
    splits_line: int = 0
    sched_copies: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitDevice:
    """What ``--fit`` left on one device: its layers, and bytes used and free by its own count."""

    device: str
    n_layer: int
    n_overflowing: int
    used: int
    free: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFit:
    """The decisions of ``--fit``; ``context_before`` and ``context_after`` are set where it shrank the context."""

    line: int
    projected: int | None = None
    available: int | None = None
    context_before: int | None = None
    context_after: int | None = None
    context_line: int = 0
    devices: tuple[FitDevice, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownRow:
    """One row of llama.cpp's memory breakdown; the host has no total, free and unaccounted memory.

    ``unaccounted`` is None as well where the table was printed before anything was loaded.
    """

    device: str
    model: int
    context: int
    compute: int
    line: int
    total: int | None = None
    free: int | None = None
    unaccounted: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfMemory:
    """An allocation that was refused: the bytes asked for, where, for what, and whether the load went on."""

    device: str
    size: int
    kind: BufferKind | None
    line: int
    is_survived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogModel(Record):
    """The model file as the log shows it; ``hparams`` and ``metadata`` are texts under their printed names."""

    path: str = ""
    architecture: str = ""
    name: str = ""
    file_size: str = ""
    n_tensors: int | None = None
    hparams: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tensor_types: Mapping[str, int] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Record):
    """One model loaded by one process: its weights, and the contexts made of it.

    ``process`` tells interleaved processes apart, "" where lines name none. ``is_dry`` marks a rehearsal that
    allocated nothing. ``layers`` is the device of each layer (printed at verbosity 5), ``overrides`` how many tensors
    were forced where, ``projector`` the bytes of a vision or audio model beside it, ``expert_cache`` those of a cache
    of experts.
    """

    process: str
    line: int
    model: LogModel
    is_dry: bool = False
    is_draft: bool = False
    offloaded: int | None = None
    offloadable: int | None = None
    buffers: tuple[LogBuffer, ...] = ()
    contexts: tuple[LogContext, ...] = ()
    layers: Mapping[int, str] = field(default_factory=dict)
    overrides: Mapping[str, int] = field(default_factory=dict)
    fit: LogFit | None = None
    breakdown: tuple[BreakdownRow, ...] = ()
    projected: tuple[BreakdownRow, ...] = ()
    refused: tuple[OutOfMemory, ...] = ()
    failure: str = ""
    failure_line: int = 0
    projector: tuple[LogBuffer, ...] = ()
    expert_cache: tuple[LogBuffer, ...] = ()
    command: tuple[str, ...] = ()
    n_slots: int | None = None
    n_ctx_slot: int | None = None

    @property
    def has_buffers(self) -> bool:
        """Whether any buffer was printed with a size."""
        return any(buffer.size for buffer in self.all_buffers())

    def all_buffers(self) -> Iterator[LogBuffer]:
        """Buffers of the weights and of the main context."""
        yield from self.buffers
        if self.contexts:
            yield from self.contexts[0].buffers

    def sizes(self, kind: BufferKind) -> dict[str, int]:
        """Bytes per device of one kind, repeated lines added up, contexts but the main one left out."""
        found: dict[str, int] = {}
        for buffer in self.all_buffers():
            if buffer.kind is kind:
                found[buffer.device] = found.get(buffer.device, 0) + buffer.size
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One measured speed; ``depth`` are the tokens already in the cache."""

    phase: Phase
    tokens: int
    seconds: float
    rate: float
    line: int
    depth: int = 0
    source: str = "llama-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport(Record):
    """Everything a log says.

    ``main`` is the index in ``loads`` of the load that served, None without one. ``facts`` counts the lines taken by
    what they state, so that nothing is taken unseen; ``timings`` keeps the first and last thousands.
    """

    source: str
    n_lines: int
    facts: Mapping[str, int]
    build: LogBuild | None = None
    verbosity: int | None = None
    devices: tuple[LogDevice, ...] = ()
    loads: tuple[Load, ...] = ()
    main: int | None = None
    timings: tuple[Timing, ...] = ()
    n_threads: int | None = None
    numa_nodes: int | None = None
    numa_line: int = 0
    has_numa_balancing: bool = False
    fitted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_recognised(self) -> int:
        """Lines that said something."""
        return sum(self.facts.values())

    @property
    def load(self) -> Load | None:
        """The load that served."""
        return None if self.main is None else self.loads[self.main]

    def device(self, name: str) -> LogDevice | None:
        """The device called ``name``, None where the log does not describe it."""
        return next((device for device in self.devices if device.name == name), None)

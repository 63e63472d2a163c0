"""A load and its contexts while their lines come in, in any order and with any of them missing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from omniplan.verify.logs.report import (
    BreakdownRow,
    BufferKind,
    FitDevice,
    Load,
    LogBuffer,
    LogCache,
    LogContext,
    LogFit,
    LogModel,
    OutOfMemory,
    Released,
)

_CACHES: Final = frozenset((BufferKind.KV, BufferKind.RECURRENT, BufferKind.OUTPUT))
_SINGLE: Final = frozenset((BufferKind.COMPUTE, BufferKind.OUTPUT))
# No log says more about one thing; what comes beyond is garbled.
MOST: Final = 512
_MOST_CONTEXTS: Final = 64


@dataclass(slots=True)
class ContextBuilder:
    """One context."""

    line: int
    settings: dict[str, str] = field(default_factory=dict)
    held: list[LogBuffer] = field(default_factory=list)
    single: dict[tuple[BufferKind, str], LogBuffer] = field(default_factory=dict)
    caches: list[LogCache] = field(default_factory=list)
    released: list[Released] = field(default_factory=list)
    cache_layers: dict[int, str] = field(default_factory=dict)
    flash_attn: bool | None = None
    flash_attn_line: int = 0
    n_nodes: int | None = None
    splits: tuple[int, int] | None = None
    splits_line: int = 0
    sched_copies: int | None = None

    is_reserved: bool = False

    @property
    def has_buffers(self) -> bool:
        """Whether any of its buffers was printed."""
        return bool(self.held or self.single)

    @property
    def is_begun(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.settings) or self.has_buffers

    def add(self, buffer: LogBuffer) -> None:
        """A buffer; a compute or output buffer printed again replaces the earlier one."""
        if buffer.kind in _SINGLE:
            if len(self.single) < MOST:
                self.single[buffer.kind, buffer.device] = buffer
            self.is_reserved |= buffer.kind is BufferKind.COMPUTE
        elif len(self.held) < MOST:
            self.held.append(buffer)

    def build(self) -> LogContext:
        """What is known."""
        return LogContext(
            line=self.line,
            settings=self.settings,
            buffers=(*self.held, *self.single.values()),
            caches=tuple(self.caches),
            released=tuple(self.released),
            cache_layers=self.cache_layers,
            flash_attn=self.flash_attn if self.flash_attn is not None else _flash(self.settings.get("flash_attn", "")),
            flash_attn_line=self.flash_attn_line,
            n_nodes=self.n_nodes,
            splits_prefill=self.splits[0] if self.splits else None,
            splits_decode=self.splits[1] if self.splits else None,
            splits_line=self.splits_line,
            sched_copies=self.sched_copies,
        )


def _flash(text: str) -> bool | None:
    """What was asked for, where that is a decision; ``auto`` is none."""
    return {"1": True, "enabled": True, "0": False, "disabled": False}.get(text)


@dataclass(slots=True)
class Run:
    """What all loads of one start of a server share: decisions of --fit, the command, memory tables."""

    fit: LogFit | None = None
    fit_devices: list[FitDevice] = field(default_factory=list)
    command: tuple[str, ...] = ()
    projected: list[BreakdownRow] = field(default_factory=list)
    breakdown: list[BreakdownRow] = field(default_factory=list)
    next_is_draft: bool = False

    def decided(self, line: int) -> LogFit:
        """The decisions of --fit so far."""
        return self.fit or LogFit(line=line)

    def full_fit(self) -> LogFit | None:
        """The decisions with the last figure of every device; a rehearsal prints earlier ones."""
        last = {device.device: device for device in self.fit_devices}
        return None if self.fit is None else replace(self.fit, devices=tuple(last.values()))


@dataclass(slots=True)
class LoadBuilder:
    """One load."""

    process: str
    line: int
    run: Run
    is_draft: bool = False
    path: str = ""
    n_tensors: int | None = None
    loaded_line: int = 0
    hparams: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tensor_types: dict[str, int] = field(default_factory=dict)
    offloaded: tuple[int, int] | None = None
    buffers: list[LogBuffer] = field(default_factory=list)
    contexts: list[ContextBuilder] = field(default_factory=list)
    layers: dict[int, str] = field(default_factory=dict)
    overrides: dict[str, int] = field(default_factory=dict)
    refused: list[OutOfMemory] = field(default_factory=list)
    failure: str = ""
    failure_line: int = 0
    projector: list[LogBuffer] = field(default_factory=list)
    expert_cache: list[LogBuffer] = field(default_factory=list)
    slots: tuple[int, int | None] | None = None
    has_memory: bool = False

    @property
    def is_begun(self) -> bool:
        """Whether the file was read or anything allocated: another such line belongs to another load."""
        return bool(self.loaded_line or self.buffers or self.contexts)

    def add(self, buffer: LogBuffer) -> None:
        """A buffer of weights."""
        if len(self.buffers) < MOST:
            self.buffers.append(buffer)
        self.has_memory |= buffer.size > 0

    def context(self, line: int) -> ContextBuilder:
        """The context being built."""
        return self.contexts[-1] if self.contexts else self.new_context(line)

    def new_context(self, line: int) -> ContextBuilder:
        """Another context; beyond any plausible number the last one takes it all."""
        if len(self.contexts) < _MOST_CONTEXTS:
            self.contexts.append(ContextBuilder(line))
        return self.contexts[-1]

    def context_for(self, kind: BufferKind, line: int) -> ContextBuilder:
        """The context that a buffer of ``kind`` belongs to: caches come before compute buffers."""
        current = self.context(line)
        return self.new_context(line) if kind in _CACHES and current.is_reserved else current

    def build(self) -> Load:
        """What is known."""
        contexts = tuple(context.build() for context in self.contexts)
        is_dry = self.hparams.get("no_alloc") == "1" or (bool(self.buffers) and not self.has_memory)
        return Load(
            process=self.process,
            line=self.line,
            model=self._model(),
            is_dry=is_dry,
            is_draft=self.is_draft,
            offloaded=self.offloaded[0] if self.offloaded else None,
            offloadable=self.offloaded[1] if self.offloaded else None,
            buffers=tuple(self.buffers),
            contexts=contexts,
            layers=self.layers,
            overrides=self.overrides,
            fit=self.run.full_fit(),
            breakdown=tuple(self.run.breakdown),
            projected=tuple(self.run.projected),
            refused=tuple(replace(item, is_survived=self._survived(item, contexts)) for item in self.refused),
            failure=self.failure,
            failure_line=self.failure_line,
            projector=tuple(self.projector),
            expert_cache=tuple(self.expert_cache),
            command=self.run.command,
            n_slots=self.slots[0] if self.slots else None,
            n_ctx_slot=self.slots[1] if self.slots else None,
        )

    def _survived(self, item: OutOfMemory, contexts: tuple[LogContext, ...]) -> bool:
        """Whether the same kind of buffer was allocated after all."""
        later = [*self.buffers, *(buffer for context in contexts for buffer in context.buffers)]
        return not self.failure and any(b.line > item.line and b.kind is BufferKind.COMPUTE for b in later)

    def _model(self) -> LogModel:
        h, metadata = self.hparams, self.metadata
        return LogModel(
            path=self.path,
            architecture=h.get("arch") or metadata.get("general.architecture", ""),
            name=h.get("general.name") or metadata.get("general.name", ""),
            file_size=h.get("file size") or h.get("model size", ""),
            n_tensors=self.n_tensors,
            hparams=h,
            metadata=metadata,
            tensor_types=self.tensor_types,
            line=self.loaded_line or self.line,
        )

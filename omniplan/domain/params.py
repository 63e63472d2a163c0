"""llama-server's parameters as one value, under llama.cpp's own names and with llama-server's own defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from omniplan.documents.record import Record
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.evidence import Assumption
from omniplan.units import MIB

# llama.cpp b11434: llama_max_devices(), llama_max_tensor_buft_overrides(), LLAMA_MAX_SEQ.
MAX_DEVICES: Final = 16
MAX_OVERRIDES: Final = 4096
MAX_SEQUENCES: Final = 256


# The least context --fit shrinks to (common.h: fit_params_min_ctx); below it a chat model is of little use anyway.
LEAST_CONTEXT: Final = 4096

# ``-c 0`` stores this in the context that --fit may shrink to: the whole context was asked for, leave it alone.
NEVER_SHRINK: Final = 2**32 - 1

# ``--spec-type``: the model's own MTP heads draft.
MTP: Final = "draft-mtp"

# Variable of the environment that back ends read when they start (getenv in ggml-cuda.cu and others).
OFFLOAD_MIN_BATCH: Final = "GGML_OP_OFFLOAD_MIN_BATCH"

# Slots of llama-server when ``-np`` is negative (tools/server/server.cpp).
AUTO_PARALLEL: Final = 4


class FlashAttn(StrEnum):
    """``--flash-attn``."""

    ON = "on"
    OFF = "off"
    AUTO = "auto"


class SplitMode(StrEnum):
    """``--split-mode``."""

    NONE = "none"
    LAYER = "layer"
    ROW = "row"
    TENSOR = "tensor"


class LoadMode(StrEnum):
    """``--load-mode``; ``auto`` is mmap unless a device cannot."""

    AUTO = "auto"
    NONE = "none"
    MMAP = "mmap"
    MLOCK = "mlock"
    MMAP_MLOCK = "mmap+mlock"
    DIO = "dio"


class LazyMode(StrEnum):
    """``--lazy-mode``; ``auto`` reads only tensors over 4 GiB on demand."""

    ON = "on"
    AUTO = "auto"
    OFF = "off"


class Pooling(StrEnum):
    """``--pooling``, in the order of a header's ``pooling_type``."""

    NONE = "none"
    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    RANK = "rank"


class Numa(StrEnum):
    """``--numa``; unset is ``disabled``."""

    DISABLED = "disabled"
    DISTRIBUTE = "distribute"
    ISOLATE = "isolate"
    NUMACTL = "numactl"


@dataclass(frozen=True, slots=True)
class Override(Record):
    """Tensors whose name contains a match of ``pattern`` (ECMAScript) go to ``buffer_type``."""

    pattern: str
    buffer_type: str


@dataclass(frozen=True, slots=True)
class KvOverride:
    """``--override-kv``: metadata ``key`` reads as ``value`` instead of what the header says."""

    key: str
    value: int | float | bool | str


@dataclass(frozen=True, slots=True)
class ScaledFile:
    """A file that changes the model at run time by ``scale``: an adapter of low rank, or a control vector."""

    path: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftParams:
    """The draft model of speculative decoding (common/common.h: ``common_params_speculative_draft``)."""

    model: str | None = None
    n_gpu_layers: int = -1
    devices: tuple[str, ...] | None = None
    overrides: tuple[Override, ...] = ()
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    n_max: int = 3
    n_min: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramParams:
    """Most tokens that each kind of drafting by n-grams proposes (common/common.h: ``size_m``, ``n_max``)."""

    simple_size_m: int = 48
    map_k_size_m: int = 48
    map_k4v_size_m: int = 48
    mod_n_max: int = 64


# Tokens that a cache of n-grams proposes (common/speculative.cpp: common_speculative_n_max).
_NGRAM_CACHE_DRAFT: Final = 8
# Kinds whose target keeps earlier recurrent states to go back to (common/common.h: need_n_rs_seq).
_ROLLED_BACK: Final = frozenset({MTP, "draft-eagle3", "draft-dflash", "draft-dspark"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParams:
    """What a llama-server command line says (common/common.h: ``common_params``), before a model is seen.

    ``build`` is the llama.cpp that reads it. Counts are tokens, layers or threads; ``fit_target`` is bytes,
    ``cache_ram`` and ``moe_cache`` MiB as on the command line.

    ``n_ctx`` 0 is the model's training context. ``n_ctx_given`` tells ``-c 0`` from no ``-c``.
    ``fit_ctx`` is the smallest context --fit may choose, ``NEVER_SHRINK`` after ``-c 0``.
    ``n_parallel`` below 0 and ``kv_unified`` None are llama-server's choice: see ``n_seq_max`` and ``is_kv_unified``.
    ``n_gpu_layers`` -1 is auto (--fit may change it), any other negative number is all layers.
    ``tensor_split`` holds float32 values as given; () divides by free memory.
    ``devices`` None is every GPU, () is none of them; ``overrides`` is in command-line order, first match wins.
    ``n_threads`` -1 is the physical cores, 0 every hardware thread; ``n_threads_batch`` -1 follows ``n_threads``.
    ``fit_target`` has one margin per device. ``spec_types`` leaves out ``none``.
    ``lora_init_without_apply``: ``adapters`` are only loaded, for requests to ask for.
    ``extra`` lists flags that are recognised but not modelled, in order, by their first long name.
    ``env`` lists the environment variables that were given and that llama.cpp or ggml reads. ``remarks`` say how words
    of another build's command line were read. ``fork`` is the fork of llama.cpp whose command it is, "" for llama.cpp.
    """

    build: int = DEFAULT_BUILD
    model: str | None = None

    n_ctx: int = 0
    n_ctx_given: bool = False
    n_batch: int = 2048
    n_ubatch: int = 512
    n_parallel: int = -1
    kv_unified: bool | None = None
    kv_unified_per_slot: int = 0
    flash_attn: FlashAttn = FlashAttn.AUTO
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    offload_kqv: bool = True
    swa_full: bool = False

    n_gpu_layers: int = -1
    split_mode: SplitMode = SplitMode.LAYER
    tensor_split: tuple[float, ...] = ()
    main_gpu: int = 0
    devices: tuple[str, ...] | None = None
    rpc: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    fit: bool = True
    fit_target: tuple[int, ...] = (1024 * MIB,) * MAX_DEVICES
    fit_ctx: int = LEAST_CONTEXT
    op_offload: bool = True
    moe_cache: int = 0

    load_mode: LoadMode = LoadMode.AUTO
    lazy_mode: LazyMode = LazyMode.AUTO
    no_host: bool = False
    repack: bool = True
    n_threads: int = -1
    n_threads_batch: int = -1
    numa: Numa = Numa.DISABLED
    cache_ram: int = 8192
    ctx_checkpoints: int = 32

    mmproj: str | None = None
    mmproj_auto: bool = True
    mmproj_offload: bool = True
    mmproj_device: str | None = None
    image_min_tokens: int = -1
    image_max_tokens: int = -1

    spec_types: tuple[str, ...] = ()
    draft: DraftParams = DraftParams()
    ngram: NgramParams = NgramParams()
    backend_sampling: bool = False

    adapters: tuple[ScaledFile, ...] = ()
    lora_init_without_apply: bool = False
    control_vectors: tuple[ScaledFile, ...] = ()

    override_kv: tuple[KvOverride, ...] = ()
    embedding: bool = False
    pooling: str | None = None

    extra: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    remarks: tuple[Assumption, ...] = ()
    fork: str = ""

    @property
    def offload_min_batch(self) -> int | None:
        """Tokens from which a device asks for work on weights in RAM, None for its back end's own; read by atoi."""
        text = dict(self.env).get(OFFLOAD_MIN_BATCH)
        return None if text is None else int(match[0]) if (match := re.match(r"\s*[+-]?\d+", text)) else 0

    @property
    def is_fitted(self) -> bool:
        """Whether ``--fit`` looks at them at all: not where tensors are divided (``common_params_fit_impl``)."""
        return self.fit and self.split_mode is not SplitMode.TENSOR

    @property
    def samples_on_devices(self) -> bool:
        """Whether samplers are part of the graph: not where tensors are divided (``llama_context::set_sampler``)."""
        return self.backend_sampling and self.split_mode is not SplitMode.TENSOR

    @property
    def n_seq_max(self) -> int:
        """Slots: ``n_parallel``, or llama-server's four when it is negative."""
        return self.n_parallel if self.n_parallel > 0 else AUTO_PARALLEL

    @property
    def is_kv_unified(self) -> bool:
        """Whether all slots share one KV cache; an automatic slot count forces it on, whatever ``-no-kvu`` says."""
        return self.n_parallel < 0 or bool(self.kv_unified)

    @property
    def n_ctx_asked(self) -> int:
        """Context to ask for, 0 for the model's own: ``n_ctx``, or without ``-c`` the pool of --kv-unified-per-slot."""
        if self.kv_unified_per_slot > 0 and self.n_ctx == 0 and self.fit_ctx != NEVER_SHRINK:
            return self.n_seq_max * self.kv_unified_per_slot
        return self.n_ctx

    @property
    def load_mtp(self) -> bool:
        """Whether nextn (MTP) layers are loaded (common/common.cpp: ``load_mtp``)."""
        return MTP in self.spec_types

    @property
    def n_draft_max(self) -> int:
        """Most tokens that one draft may have, over all kinds (common/speculative.cpp: common_speculative_n_max)."""
        by_ngrams = {
            "ngram-simple": self.ngram.simple_size_m,
            "ngram-map-k": self.ngram.map_k_size_m,
            "ngram-map-k4v": self.ngram.map_k4v_size_m,
            "ngram-mod": self.ngram.mod_n_max,
            "ngram-cache": _NGRAM_CACHE_DRAFT,
        }
        return max((by_ngrams.get(kind, self.draft.n_max) for kind in self.spec_types), default=0)

    @property
    def n_rs_seq(self) -> int:
        """Earlier recurrent states that the target is asked to keep per sequence."""
        return self.draft.n_max if _ROLLED_BACK.intersection(self.spec_types) else 0

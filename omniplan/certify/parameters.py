"""llama-server's parameters as the structs that llama.cpp's C API takes (common.cpp: common_*_params_to_llama)."""

from __future__ import annotations

from typing import Any, Final

from omniplan.certify.devices import SimulatedBackend
from omniplan.certify.job import Asked
from omniplan.domain.params import MAX_DEVICES, FlashAttn, KvOverride, LazyMode, Pooling, ServerParams, SplitMode
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.units import MIB

_SPLIT_MODES: Final = {SplitMode.NONE: 0, SplitMode.LAYER: 1, SplitMode.ROW: 2, SplitMode.TENSOR: 3}
_LAZY_MODES: Final = {LazyMode.OFF: 0, LazyMode.AUTO: 1, LazyMode.ON: 2}
FLASH_ATTN: Final = {FlashAttn.AUTO: -1, FlashAttn.OFF: 0, FlashAttn.ON: 1}
_LOAD_NONE: Final = 0
_POOLING_OF_HEADER: Final = -1
# llama.h: llama_model_kv_override_type
_KV_TAGS: Final = {int: (0, "i"), float: (1, "f"), bool: (2, "b"), str: (3, "s")}


class Structs:
    """Both structs of one set of parameters, and everything they point to.

    Weights are taken as loaded without mmap and without repacking, as omniplan prices them.
    """

    def __init__(self, ffi: Any, lib: Any, backend: SimulatedBackend) -> None:
        self.ffi = ffi
        self.lib = lib
        self.backend = backend
        self._alive: list[Any] = []

    def _keep(self, what: str, value: Any) -> Any:
        self._alive.append(self.ffi.new(what, value))
        return self._alive[-1]

    def model(self, params: ServerParams, *, no_alloc: bool = True) -> Any:
        """``llama_model_params`` that load, or with ``no_alloc`` measure instead."""
        struct = self.lib.llama_model_default_params()
        names = self.backend.devices if params.devices is None else params.devices
        struct.devices = self._keep("dev_t[]", [*(self.backend.devices[name] for name in names), self.ffi.NULL])
        struct.n_gpu_layers = params.n_gpu_layers
        struct.split_mode = _SPLIT_MODES[params.split_mode]
        struct.main_gpu = params.main_gpu
        struct.load_mode, struct.lazy_mode = _LOAD_NONE, _LAZY_MODES[params.lazy_mode]
        struct.no_alloc, struct.use_extra_bufts = no_alloc, False
        struct.no_host, struct.load_mtp = params.no_host, params.load_mtp
        shares = [*params.tensor_split, *[0.0] * MAX_DEVICES][:MAX_DEVICES]
        struct.tensor_split = self._keep("float[]", shares)
        if params.overrides:
            rows = [
                (self._keep("char[]", o.pattern.encode()), self.backend.types[o.buffer_type]) for o in params.overrides
            ]
            struct.tensor_buft_overrides = self._keep("struct buft_override[]", [*rows, (self.ffi.NULL, self.ffi.NULL)])
        if params.override_kv:
            struct.kv_overrides = self._keep("struct kv_override[]", [*map(self._kv, params.override_kv), {}])
        return struct

    def _kv(self, override: KvOverride) -> dict[str, object]:
        tag, field = _KV_TAGS[type(override.value)]
        value = override.value.encode() if isinstance(override.value, str) else override.value
        return {"tag": tag, "key": override.key.encode(), "value": {field: value}}

    def context(self, params: ServerParams, asked: Asked, other: Any) -> Any:
        """``llama_context_params`` of ``asked``; ``other`` is the main context, NULL for that itself."""
        struct = self.lib.llama_context_default_params()
        struct.n_ctx, struct.n_outputs_max, struct.n_rs_seq = asked.n_ctx, asked.n_outputs_max, asked.n_rs_seq
        struct.ctx_type, struct.ctx_other = int(asked.is_mtp), other
        struct.n_batch, struct.n_ubatch, struct.n_seq_max = params.n_batch, params.n_ubatch, params.n_seq_max
        struct.flash_attn_type = FLASH_ATTN[params.flash_attn]
        struct.type_k, struct.type_v = TYPE_BY_NAME[params.cache_type_k].id, TYPE_BY_NAME[params.cache_type_v].id
        struct.embeddings, struct.swa_full, struct.kv_unified = params.embedding, params.swa_full, params.is_kv_unified
        struct.pooling_type = tuple(Pooling).index(Pooling(params.pooling)) if params.pooling else _POOLING_OF_HEADER
        struct.offload_kqv, struct.op_offload = params.offload_kqv, params.op_offload
        struct.moe_cache_size = params.moe_cache * MIB
        return struct

"""llama-server's parameters as the structs that llama.cpp's C API takes (common.cpp: common_*_params_to_llama)."""

from __future__ import annotations

from collections.abc import Mapping
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

    Weights are taken as loaded without mmap, as omniplan prices them. With ``repack`` they are laid out anew as the
    library does for the processor of this host.
    """

    def __init__(self, ffi: Any, lib: Any, backend: SimulatedBackend, *, repack: bool = False) -> None:
        self.ffi = ffi
        self.lib = lib
        self.backend = backend
        self.repack = repack
        self._alive: list[Any] = []

    def _keep(self, what: str, value: Any) -> Any:
        self._alive.append(self.ffi.new(what, value))
        return self._alive[-1]

    def _fill(self, struct: Any, values: Mapping[str, object]) -> Any:
        """``struct`` with those of ``values`` that its build has a field for."""
        for name, _ in self.ffi.typeof(struct).fields:
            if name in values:
                setattr(struct, name, values[name])
        return struct

    def model(self, params: ServerParams, *, no_alloc: bool = True) -> Any:
        """``llama_model_params`` that load, or with ``no_alloc`` measure instead."""
        names = self.backend.devices if params.devices is None else params.devices
        shares = [*params.tensor_split, *[0.0] * MAX_DEVICES][:MAX_DEVICES]
        values = {
            "devices": self._keep("dev_t[]", [*(self.backend.devices[name] for name in names), self.ffi.NULL]),
            "n_gpu_layers": params.n_gpu_layers,
            "split_mode": _SPLIT_MODES[params.split_mode],
            "main_gpu": params.main_gpu,
            "load_mode": _LOAD_NONE,
            "use_mmap": False,
            "lazy_mode": _LAZY_MODES[params.lazy_mode],
            "no_alloc": no_alloc,
            "use_extra_bufts": self.repack and params.repack,
            "no_host": params.no_host,
            "load_mtp": params.load_mtp,
            "tensor_split": self._keep("float[]", shares),
        }
        if params.overrides:
            rows = [
                (self._keep("char[]", o.pattern.encode()), self.backend.types[o.buffer_type]) for o in params.overrides
            ]
            ends = [*rows, (self.ffi.NULL, self.ffi.NULL)]
            values["tensor_buft_overrides"] = self._keep("struct buft_override[]", ends)
        if params.override_kv:
            values["kv_overrides"] = self._keep("struct kv_override[]", [*map(self._kv, params.override_kv), {}])
        return self._fill(self.lib.llama_model_default_params(), values)

    def _kv(self, override: KvOverride) -> dict[str, object]:
        tag, field = _KV_TAGS[type(override.value)]
        value = override.value.encode() if isinstance(override.value, str) else override.value
        return {"tag": tag, "key": override.key.encode(), "value": {field: value}}

    def context(self, params: ServerParams, asked: Asked, other: Any) -> Any:
        """``llama_context_params`` of ``asked``; ``other`` is the main context, NULL for that itself."""
        pooling = tuple(Pooling).index(Pooling(params.pooling)) if params.pooling else _POOLING_OF_HEADER
        values = {
            "n_ctx": asked.n_ctx,
            "n_outputs_max": asked.n_outputs_max,
            "n_rs_seq": asked.n_rs_seq,
            "ctx_type": int(asked.is_mtp),
            "ctx_other": other,
            "n_batch": params.n_batch,
            "n_ubatch": params.n_ubatch,
            "n_seq_max": params.n_seq_max,
            "flash_attn_type": FLASH_ATTN[params.flash_attn],
            "type_k": TYPE_BY_NAME[params.cache_type_k].id,
            "type_v": TYPE_BY_NAME[params.cache_type_v].id,
            "embeddings": params.embedding,
            "swa_full": params.swa_full,
            "kv_unified": params.is_kv_unified,
            "pooling_type": pooling,
            "offload_kqv": params.offload_kqv,
            "op_offload": params.op_offload,
            "moe_cache_size": params.moe_cache * MIB,
        }
        return self._fill(self.lib.llama_context_default_params(), values)

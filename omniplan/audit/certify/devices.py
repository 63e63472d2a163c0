"""Simulated GPUs for the library's scheduler: the host side of the CUDA backend, as callbacks.

Which operations have kernels, what is offloaded, how results are padded and which nodes are tied comes from
``omniplan.llamacpp.cuda`` and ``fusion``; buffers hold no bytes and nothing is ever computed.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from omniplan.audit.certify.job import Simulated
from omniplan.audit.certify.optimize import optimize
from omniplan.audit.certify.tensors import Tensors
from omniplan.llamacpp import buffers, cuda, cuda_attention
from omniplan.llamacpp.graph.node import Node

_GPU: Final = 1  # ggml-backend.h: GGML_BACKEND_DEVICE_TYPE_GPU
_IGPU: Final = 2
# Where buffers without bytes begin; nothing is read or written there.
_BASE: Final = 1 << 20
_CAPABILITIES: Final = {"async": True, "host_buffer": True, "buffer_from_host_ptr": False, "events": True}


class Backend:
    """The registered backend; keeps every struct and callback alive, and the first error a callback raised."""

    def __init__(self, ffi: Any, lib: Any, gpus: Sequence[Simulated]) -> None:
        self.ffi = ffi
        self.lib = lib
        self.tensors = Tensors(ffi, lib)
        self.error: str = ""
        self._alive: list[Any] = []
        self._runs: dict[object, bool] = {}
        self._names: dict[str, Any] = {}
        self.empty = self._empty_buffer()
        # Nor does the CPU hold bytes: recurrent states and logits are allocated and cleared even when only measured.
        self._set(lib.ggml_backend_cpu_buffer_type(), alloc_buffer=self._allocate)
        self.host = self._host_type()
        self.reg = self._new("struct ggml_backend_reg")
        self.devices = [self._device(gpu) for gpu in gpus]
        self.types = [self._buffer_type(gpu, device) for gpu, device in zip(gpus, self.devices, strict=True)]
        self._owners = {self.tensors.address(t): d for t, d in zip(self.types, self.devices, strict=True)}
        self.streams = [self._stream(gpu, device) for gpu, device in zip(gpus, self.devices, strict=True)]
        if self.devices:
            self.host.device = self.devices[0]
            self._register(len(gpus))

    def _new(self, what: str) -> Any:
        self._alive.append(self.ffi.new(f"{what} *"))
        return self._alive[-1]

    def _text(self, text: str) -> Any:
        if text not in self._names:
            self._names[text] = self.ffi.new("char[]", text.encode())
        return self._names[text]

    def _set(self, struct: Any, **callbacks: Callable[..., Any]) -> None:
        """Point fields of ``struct`` at Python functions."""
        fields = dict(self.ffi.typeof(struct).item.fields)
        for name, function in callbacks.items():
            callback = self.ffi.callback(fields[name].type, function, onerror=self._failed)
            self._alive.append(callback)
            setattr(struct, name, callback)

    def _failed(self, kind: type[BaseException], value: BaseException, trace: Any) -> None:
        self.error = self.error or f"{kind.__name__}: {value}"
        traceback.print_exception(kind, value, trace, file=sys.stderr)

    def _host_type(self) -> Any:
        """Pinned memory, which is the CPU's with another name (ggml_backend_cuda_host_buffer_type)."""
        host = self._new("struct ggml_backend_buffer_type")
        host[0] = self.lib.ggml_backend_cpu_buffer_type()[0]
        name = self._text(buffers.CUDA_HOST)
        self._set(host, get_name=lambda _: name, get_alignment=lambda _: buffers.CUDA_HOST_ALIGNMENT)
        return host

    def _empty_buffer(self) -> Any:
        """Functions of a buffer without bytes."""
        functions = self._new("struct buffer_functions")
        base = self.ffi.cast("void *", _BASE)
        self._set(functions, free_buffer=lambda _: None, get_base=lambda _: base, clear=lambda *_: None)
        return functions

    def _allocate(self, own: Any, size: int) -> Any:
        return self.lib.ggml_backend_buffer_init(own, self.empty[0], self.ffi.NULL, size)

    def _buffer_type(self, gpu: Simulated, device: Any) -> Any:
        buft = self._new("struct ggml_backend_buffer_type")
        buft.device = device
        name = self._text(gpu.name)

        def alloc_size(_: Any, tensor: Any) -> int:
            node = self._leaf(tensor)
            if node.op == "FLASH_ATTN_EXT":
                attention = self.tensors.node(self.tensors.address(tensor))
                return node.nbytes + cuda_attention.f16_copies(attention, gpu.capability)
            return node.nbytes + cuda.row_padding(node.type, node.ne[0])

        self._set(
            buft,
            get_name=lambda _: name,
            alloc_buffer=self._allocate,
            get_alignment=lambda _: cuda.ALIGNMENT,
            get_alloc_size=alloc_size,
        )
        self._set(device, get_buffer_type=lambda _: buft, supports_buft=lambda _, other: other == buft)
        return buft

    def _stream(self, gpu: Simulated, device: Any) -> Any:
        stream = self._new("struct ggml_backend")
        stream.device = device
        stream.guid = self._text("omniplan certify")
        name = self._text(gpu.name)
        self._set(
            stream,
            get_name=lambda _: name,
            free=lambda _: None,
            synchronize=lambda _: None,
            event_record=lambda *_: None,
            event_wait=lambda *_: None,
            graph_optimize=self._optimize,
        )
        self._set(device, init_backend=lambda *_: stream)
        return stream

    def _optimize(self, _: Any, graph: Any, params: Any) -> None:
        optimize(self.tensors, graph, lambda tensor, until: params.add_alloc_dep(params.user_data, tensor, until))

    def _device(self, gpu: Simulated) -> Any:
        device = self._new("struct ggml_backend_device")
        device.reg = self.reg
        name, description = self._text(gpu.name), self._text(gpu.description)
        kind = _IGPU if gpu.is_unified else _GPU

        def memory(_: Any, free: Any, total: Any) -> None:
            free[0], total[0] = gpu.free, gpu.total

        def props(_: Any, found: Any) -> None:
            found.name, found.description, found.type, found.device_id = name, description, kind, self.ffi.NULL
            found.memory_free, found.memory_total, found.mmap_support = gpu.free, gpu.total, not gpu.is_unified
            for field, value in _CAPABILITIES.items():
                setattr(found, field, value)

        self._set(
            device,
            get_name=lambda _: name,
            get_description=lambda _: description,
            get_memory=memory,
            get_type=lambda _: kind,
            get_props=props,
            get_host_buffer_type=lambda _: self.host,
            supports_op=self._supports,
            offload_op=lambda _, tensor: cuda.is_offloaded(self._leaf(tensor)),
            event_new=self._event,
            event_free=lambda *_: None,
            event_synchronize=lambda *_: None,
        )
        return device

    def _event(self, device: Any) -> Any:
        event = self._new("struct ggml_backend_event")
        event.device = device
        return event

    def _leaf(self, tensor: Any) -> Node:
        return self.tensors.leaf(self.tensors.address(tensor), {})

    def _supports(self, device: Any, tensor: Any) -> bool:
        """Whether the device has the kernel and no source lies on another GPU."""
        address = self.tensors.address(tensor)
        fields = self.tensors.fields(address)
        sources = [self.tensors.fields(src) for src in self.tensors.sources(fields)]
        for src in sources:
            if self._owners.get(self.tensors.buffer_type(src), device) != device:
                return False
        key = self.tensors.key(fields, sources)
        if key not in self._runs:
            self._runs[key] = cuda.supports(self.tensors.node(address))
        return self._runs[key]

    def _register(self, count: int) -> None:
        name = self._text("CUDA")
        self.reg.api_version = self.lib.ggml_backend_reg_by_name(b"CPU").api_version
        self._set(
            self.reg,
            get_name=lambda _: name,
            get_device_count=lambda _: count,
            get_device=lambda _, index: self.devices[index],
            get_proc_address=lambda *_: self.ffi.NULL,
        )
        self.lib.ggml_backend_register(self.reg)

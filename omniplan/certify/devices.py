"""Simulated GPUs for the library's scheduler: the host side of their back ends, as callbacks.

Which operations have kernels, what is offloaded, how results are padded and which nodes are tied comes from the back
ends of ``omniplan.llamacpp.ggml``; the GPUs' buffers hold no bytes and nothing is ever computed.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from omniplan.certify.job import Simulated
from omniplan.certify.library import BUILD
from omniplan.certify.optimize import optimize
from omniplan.certify.tensors import Tensors
from omniplan.llamacpp.build import known
from omniplan.llamacpp.ggml import registry
from omniplan.llamacpp.ggml.backend import Backend, Device
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.graph.node import Node

_GPU: Final = 1  # ggml-backend.h: GGML_BACKEND_DEVICE_TYPE_GPU
_IGPU: Final = 2
# Where buffers without bytes begin; nothing is read or written there.
_BASE: Final = 1 << 20
# What these keep behind their results depends on their sources.
_WHOLE: Final = ("FLASH_ATTN_EXT", "MUL_MAT_ID", "TOP_K")


class SimulatedBackend:
    """The registered backend; keeps every struct and callback alive.

    ``no_alloc``: llama.cpp will only measure, so neither the CPU's memory nor pinned memory holds bytes. ``devices``
    are the GPUs and ``types`` the buffer types that arguments can name, the CPU's too, by name; ``held`` are the sizes
    of all buffers without bytes, by name of their type. ``build`` is whose rules hold, by default the pinned one. An
    error in a callback ends the process with code 2: llama.cpp would go on with a made-up answer.
    """

    def __init__(
        self, ffi: Any, lib: Any, gpus: Sequence[Simulated], *, no_alloc: bool = True, build: int = BUILD
    ) -> None:
        self._ffi = ffi
        self._lib = lib
        self._fusions = known(build).fusions
        self._tensors = Tensors(ffi, lib)
        self._alive: list[Any] = []
        self._texts: dict[str, Any] = {}
        self._runs: dict[object, bool] = {}
        self._backends = {gpu.name: registry.named(gpu.backend, build) for gpu in gpus}
        self._owners: dict[int, Any] = {}
        self.held: Counter[str] = Counter()
        self._empty = self._empty_buffer()
        cpu = lib.ggml_backend_cpu_buffer_type()
        if no_alloc:
            # Recurrent states and logits are allocated and cleared even when only measured.
            self._set(cpu, alloc_buffer=self._allocate)
        # Devices of one back end copy from one kind of RAM.
        memories = {backend.host for backend in self._backends.values() if backend.host}
        self._hosts = {memory: self._host_type(cpu, memory) for memory in memories}
        self._reg = self._new("struct ggml_backend_reg")
        self.devices = {gpu.name: self._device(gpu) for gpu in gpus}
        self.types = {"CPU": cpu, **{gpu.name: self._buffer_type(gpu) for gpu in gpus}}
        for gpu in gpus:
            self._add_stream(gpu)
        if gpus:
            for gpu in reversed(gpus):
                if memory := self._backends[gpu.name].host:
                    self._hosts[memory].device = self.devices[gpu.name]
            self._register([self.devices[gpu.name] for gpu in gpus])

    def put_before(self, devices: Mapping[str, Any], types: Mapping[str, Any]) -> None:
        """Let arguments name devices that are really there too, and take them first where none are named."""
        self.devices = {**devices, **self.devices}
        self.types |= types

    def _new(self, what: str) -> Any:
        self._alive.append(self._ffi.new(f"{what} *"))
        return self._alive[-1]

    def _text(self, text: str) -> Any:
        if text not in self._texts:
            self._texts[text] = self._ffi.new("char[]", text.encode())
        return self._texts[text]

    def _set(self, struct: Any, **callbacks: Callable[..., Any]) -> None:
        """Point fields of ``struct`` at Python functions."""
        fields = dict(self._ffi.typeof(struct).item.fields)
        for name, function in callbacks.items():
            callback = self._ffi.callback(fields[name].type, function, onerror=self._failed)
            self._alive.append(callback)
            setattr(struct, name, callback)

    def _failed(self, kind: type[BaseException], value: BaseException, trace: Any) -> None:
        traceback.print_exception(kind, value, trace, file=sys.stderr)
        print(f"a simulated device failed: {kind.__name__}: {value}", file=sys.stderr, flush=True)
        os._exit(2)

    def _host_type(self, cpu: Any, memory: BufferType) -> Any:
        """Pinned memory, which is the CPU's with another name (ggml_backend_cuda_host_buffer_type)."""
        host = self._new("struct ggml_backend_buffer_type")
        host[0] = cpu[0]
        name = self._text(memory.name)
        self._set(host, get_name=lambda _: name, get_alignment=lambda _: memory.alignment)
        return host

    def _empty_buffer(self) -> Any:
        """Functions of a buffer without bytes: what is written is lost."""
        functions = self._new("struct buffer_functions")
        base = self._ffi.cast("void *", _BASE)
        writes = dict.fromkeys(("memset_tensor", "set_tensor", "set_tensor_2d", "clear"), lambda *_: None)
        self._set(functions, get_base=lambda _: base, free_buffer=self._free, **writes)
        return functions

    def _free(self, buffer: Any) -> None:
        self.held[self._name_of(buffer.buft)] -= buffer.size

    def _name_of(self, buft: Any) -> str:
        return str(self._ffi.string(buft.get_name(buft)).decode())

    def _allocate(self, own: Any, size: int) -> Any:
        self.held[self._name_of(own)] += size
        return self._lib.ggml_backend_buffer_init(own, self._empty[0], self._ffi.NULL, size)

    def _buffer_type(self, gpu: Simulated) -> Any:
        buft, device = self._new("struct ggml_backend_buffer_type"), self.devices[gpu.name]
        buft.device = device
        self._owners[self._tensors.address(buft)] = device
        name = self._text(gpu.name)

        backend = self._backends[gpu.name]
        memory = backend.memory
        planned = Device(name=gpu.name, backend=backend, buffer=gpu.name, memory=memory, capability=gpu.capability)

        def alloc_size(_: Any, tensor: Any) -> int:
            node = self._leaf(tensor)
            is_whole = node.op.partition(":")[0] in _WHOLE
            return planned.alloc_size(self._tensors.node(self._tensors.address(tensor)) if is_whole else node)

        self._set(
            buft,
            get_name=lambda _: name,
            alloc_buffer=self._allocate,
            get_alignment=lambda _: memory.alignment,
            get_alloc_size=alloc_size,
            get_max_size=lambda _: memory.max_size,
        )
        # ggml-cuda.cu has no GPU read pinned memory in place, integrated ones included (llama.cpp issue 15034).
        self._set(device, get_buffer_type=lambda _: buft, supports_buft=lambda _, other: other == buft)
        return buft

    def _add_stream(self, gpu: Simulated) -> None:
        stream, device = self._new("struct ggml_backend"), self.devices[gpu.name]
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
            graph_optimize=partial(self._optimize, self._backends[gpu.name]),
        )
        self._set(device, init_backend=lambda *_: stream)

    def _optimize(self, backend: Backend, _: Any, graph: Any, params: Any = None) -> None:
        """An older build passes no ``params``: nothing that it ties is told to the allocator."""
        if params is not None:
            tie = partial(params.add_alloc_dep, params.user_data)
            optimize(self._tensors, graph, backend, self._fusions, tie)

    def _device(self, gpu: Simulated) -> Any:
        device = self._new("struct ggml_backend_device")
        device.reg = self._reg
        name, description = self._text(gpu.name), self._text(gpu.description)
        kind = _IGPU if gpu.is_unified else _GPU
        backend = self._backends[gpu.name]
        able = {
            "async": backend.pipelines,
            "events": backend.pipelines,
            "host_buffer": backend.host is not None,
            "buffer_from_host_ptr": False,
            "mmap_support": backend.integrated_maps or not gpu.is_unified,
        }

        def memory(_: Any, free: Any, total: Any) -> None:
            free[0], total[0] = gpu.free, gpu.total

        def props(_: Any, found: Any) -> None:
            found.name, found.description, found.type, found.device_id = name, description, kind, self._ffi.NULL
            found.memory_free, found.memory_total = gpu.free, gpu.total
            for field, value in able.items():
                if hasattr(found, field):
                    setattr(found, field, value)

        self._set(
            device,
            get_name=lambda _: name,
            get_description=lambda _: description,
            get_memory=memory,
            get_type=lambda _: kind,
            get_props=props,
            get_host_buffer_type=lambda _: self._hosts[backend.host] if backend.host else self._ffi.NULL,
            supports_op=partial(self._supports, backend),
            offload_op=lambda _, tensor: backend.offloads(self._leaf(tensor)),
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
        return self._tensors.leaf(self._tensors.address(tensor), {})

    def _supports(self, backend: Backend, device: Any, tensor: Any) -> bool:
        """Whether the device has the kernel and no source lies on another GPU."""
        address = self._tensors.address(tensor)
        fields = self._tensors.fields(address)
        sources = [self._tensors.fields(src) for src in self._tensors.sources(fields)]
        for src in sources:
            if self._owners.get(self._tensors.buffer_type(src), device) != device:
                return False
        key = backend, self._tensors.key(fields, sources)
        if key not in self._runs:
            self._runs[key] = backend.supports(self._tensors.node(address))
        return self._runs[key]

    def _register(self, devices: Sequence[Any]) -> None:
        name = self._text("simulated")
        self._reg.api_version = self._lib.ggml_backend_reg_by_name(b"CPU").api_version
        self._set(
            self._reg,
            get_name=lambda _: name,
            get_device_count=lambda _: len(devices),
            get_device=lambda _, index: devices[index],
            get_proc_address=lambda *_: self._ffi.NULL,
        )
        self._lib.ggml_backend_register(self._reg)

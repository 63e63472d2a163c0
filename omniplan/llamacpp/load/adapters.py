"""What adapters of low rank and control vectors take beside a model (src/llama-adapter.cpp)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from omniplan.domain.footprint import BufferSize
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.gguf.adapter import pairs
from omniplan.llamacpp.ggml import buffers, registry
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.load.placement import Placement


def price(model: Model, machine: Machine, params: ServerParams, placement: Placement) -> Mapping[str, BufferSize]:
    """Bytes per buffer type: factors lie where the tensor does that they change, vectors with their layer.

    Devices that divide tensors hold both whole (``llama_meta_device_get_split_state`` has no rule for them).
    """
    del machine
    held: Counter[str] = Counter()
    memories = {gpu.buffer: gpu.memory for gpu in placement.gpus}
    for header, _ in zip(model.companions.adapters, params.adapters, strict=False):
        for name, factors in pairs(header).items():
            buffer = placement.weights.buffer_of[name]
            # Nothing of an adapter is laid out anew.
            buffer = buffers.CPU if buffer in buffers.OPAQUE else buffer
            memory = memories.get(buffer, CPU.memory)
            held[buffer] += sum(memory.size(tensor.type, tensor.shape[0], tensor.nbytes) for tensor in factors)
    if params.control_vectors:
        held.update(_vectors(model, params, placement, memories))
    parts = {gpu.buffer: gpu.parts for gpu in placement.gpus if gpu.members}
    for buffer in parts.keys() & held.keys():
        size = held.pop(buffer)
        held.update({part.buffer: size for part in parts[buffer]})
    return {name: BufferSize(model=size) for name, size in held.items()}


def _vectors(
    model: Model, params: ServerParams, placement: Placement, memories: Mapping[str, BufferType]
) -> Counter[str]:
    """A row for every layer but the first, whichever are asked for (``llama_adapter_cvec::init``)."""
    host = None if params.no_host else registry.host(placement.gpus)
    ram = host.host.name if host and host.host else buffers.CPU
    n_embd = model.hparams.n_embd
    held: Counter[str] = Counter()
    for device in placement.layers[1 : model.hparams.n_layer]:
        buffer = ram if device == buffers.CPU else device
        held[buffer] += memories.get(buffer, CPU.memory).size(TYPE_BY_NAME["f32"], n_embd, 4 * n_embd)
    return held

"""A resolved placement: everything llama.cpp has decided before it reserves its compute buffers."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.load.context import Context
from omniplan.llamacpp.load.expert_cache import ExpertCache
from omniplan.llamacpp.load.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where layers and weights live and how the context is laid out.

    ``gpus`` are the GPUs in use, in split order; ``layers`` the device of each layer, output last; ``n_copies``
    the pipeline copies; ``expert_cache`` is None without one.
    """

    context: Context
    gpus: tuple[Device, ...]
    layers: tuple[str, ...]
    weights: Weights
    n_copies: int
    expert_cache: ExpertCache | None = None

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of ``gpus``."""
        return tuple(gpu.name for gpu in self.gpus)

    def cache_device(self, il: int) -> str:
        """Buffer type that holds layer ``il``'s cache."""
        return self.layers[il] if self.context.offload_kqv else buffers.CPU

    def memory(self, buffer: str) -> BufferType:
        """The memory behind a buffer type that holds a cache."""
        return next((gpu.memory for gpu in self.gpus if gpu.buffer == buffer), CPU.memory)

    @property
    def offload_batch(self) -> int | None:
        """Rows of work from which the first GPU takes over nodes whose weight is on the CPU; None for never."""
        return self.gpus[0].backend.offload_batch if self.gpus else None

    @property
    def is_offloaded(self) -> bool:
        """Whether every layer and its cache is on a GPU."""
        return self.context.offload_kqv and buffers.CPU not in self.layers

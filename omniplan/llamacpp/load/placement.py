"""A resolved placement: everything llama.cpp has decided before it reserves its compute buffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.load.context import Context
from omniplan.llamacpp.load.division import Division
from omniplan.llamacpp.load.expert_cache import ExpertCache
from omniplan.llamacpp.load.memory import CacheTensor
from omniplan.llamacpp.load.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where layers and weights live and how the context is laid out.

    ``gpus`` are the GPUs in use, in split order; ``layers`` the device of each layer, output last; ``n_copies``
    the pipeline copies; ``expert_cache`` is None without one. With ``division`` the only one of ``gpus`` spreads every
    tensor over its members. ``no_alloc``: nothing is loaded, sizes are only measured
    (``llama_model_params.no_alloc``).
    """

    context: Context
    gpus: tuple[Device, ...]
    layers: tuple[str, ...]
    weights: Weights
    n_copies: int
    expert_cache: ExpertCache | None = None
    division: Division | None = None
    no_alloc: bool = False

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of ``gpus``."""
        return tuple(gpu.name for gpu in self.gpus)

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the GPUs that hold bytes."""
        return tuple(part.name for gpu in self.gpus for part in gpu.parts)

    def cache_device(self, il: int) -> str:
        """Buffer type that holds layer ``il``'s cache."""
        return self.layers[il] if self.context.offload_kqv else buffers.CPU

    def cache_sizes(self, cache: CacheTensor) -> Iterator[tuple[str, int]]:
        """Buffer types that hold a part of a cache, and the bytes it takes there."""
        buffer = self.cache_device(cache.il)
        gpu = next((gpu for gpu in self.gpus if gpu.buffer == buffer), None)
        if gpu is None or self.division is None:
            memory = CPU.memory if gpu is None else gpu.memory
            yield buffer, memory.size(cache.type, cache.row, cache.nbytes)
            return
        for part, slice_ in zip(gpu.parts, self.division.cached(cache), strict=True):
            yield part.buffer, part.memory.size(cache.type, slice_.ne0, slice_.nbytes)

    @property
    def offloader(self) -> Device | None:
        """The first GPU that takes over nodes whose weight is on the CPU, None where none does."""
        return next((gpu for gpu in self.gpus if gpu.backend.offload_batch is not None), None)

    @property
    def is_offloaded(self) -> bool:
        """Whether every layer and its cache is on a GPU."""
        return self.context.offload_kqv and buffers.CPU not in self.layers

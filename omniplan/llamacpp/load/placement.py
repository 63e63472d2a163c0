"""A resolved placement: everything llama.cpp has decided before it reserves its compute buffers."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.llamacpp.load import buffers
from omniplan.llamacpp.load.context import Context
from omniplan.llamacpp.load.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where layers and weights live and how the context is laid out.

    ``devices`` are the GPUs in use, in split order, ``compute_capability`` theirs; ``layers`` the device of each
    layer, output last; ``host`` the buffer type of weights on the CPU; ``n_copies`` the pipeline copies.
    """

    context: Context
    devices: tuple[str, ...]
    compute_capability: tuple[str, ...]
    layers: tuple[str, ...]
    weights: Weights
    host: str
    n_copies: int

    def cache_device(self, il: int) -> str:
        """Buffer type that holds layer ``il``'s cache."""
        return self.layers[il] if self.context.offload_kqv else buffers.CPU

    @property
    def is_offloaded(self) -> bool:
        """Whether every layer and its cache is on a GPU."""
        return self.context.offload_kqv and buffers.CPU not in self.layers

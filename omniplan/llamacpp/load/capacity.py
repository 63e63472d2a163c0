"""How many tensors of one graph the scheduler's table holds; a graph with more makes llama.cpp b11434 abort."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from omniplan.domain.model import Model
from omniplan.errors import ArgumentError
from omniplan.gguf.adapter import pairs
from omniplan.gguf.model import architectures
from omniplan.llamacpp.load.context import Context

# ggml.c:ggml_hash_size
_PRIMES: Final = (
    2, 3, 5, 11, 17, 37, 67, 131, 257, 521, 1031, 2053, 4099, 8209, 16411, 32771, 65537, 131101, 262147, 524309,
    1048583,
)  # fmt: skip
# src/llama-context.cpp:graph_max_nodes
_LEAST: Final = 1024
_PER_PAIR: Final = 6


def check(model: Model, context: Context, n_model_tensors: int, n_graph_tensors: int) -> None:
    """Raise ``ArgumentError`` when a graph of ``n_graph_tensors`` nodes and leafs has no room.

    The room grows with ``n_model_tensors``, those that the loader creates; models with few tensors and long layers
    (phi-4) run out of it when every slot has its own, quantised cache.
    """
    per_token, per_tensor = architectures.row_of(model).graph_nodes
    max_nodes = max(per_token * context.n_tokens or _LEAST, per_tensor * n_model_tensors)
    if not per_token:
        # ``llama_adapter_lora::get_n_nodes``, of loaded adapters, applied or not.
        max_nodes += sum(_PER_PAIR * len(pairs(header)) for header in model.companions.adapters)
    found = bisect_left(_PRIMES, max_nodes)
    room = _PRIMES[found] if found < len(_PRIMES) else max_nodes | 1
    if n_graph_tensors > room:
        problem = f"llama.cpp aborts, the graph has {n_graph_tensors} tensors and its scheduler room for {room}"
        raise ArgumentError("--parallel", problem, remedy="use --kv-unified, fewer slots, or -ctk f16 -ctv f16")

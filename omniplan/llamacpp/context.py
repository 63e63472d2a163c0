"""Context arithmetic: what llama.cpp makes of -c, -np, -b, -ub before it sizes anything."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.domain.tensor_type import TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A resolved ``llama_context``: cells, streams, batches and cache types.

    ``n_stream`` is 1 with a unified KV cache, else ``n_seq_max``; each stream has ``n_ctx_seq`` cells.
    ``n_swa_cells`` is the size of a sliding-window cache per stream (equal to ``n_ctx_seq`` with ``--swa-full``).
    ``n_tokens`` is the micro-batch that buffers are reserved for, ``n_outputs`` its rows of logits.
    """

    n_ctx: int
    n_ctx_seq: int
    n_seq_max: int
    n_stream: int
    n_batch: int
    n_ubatch: int
    n_swa_cells: int
    n_outputs_max: int
    type_k: TensorType
    type_v: TensorType
    flash_attn: bool
    offload_kqv: bool
    op_offload: bool

    @property
    def n_tokens(self) -> int:
        """Tokens of the reserved prompt batch."""
        return min(self.n_ctx, self.n_ubatch)

    @property
    def n_outputs(self) -> int:
        """Rows of logits reserved for the prompt batch."""
        return min(self.n_tokens, self.n_outputs_max)

"""Context arithmetic: what llama.cpp makes of -c, -np, -b, -ub before it sizes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.params import Pooling, ServerParams
from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.gguf.model import architectures
from omniplan.llamacpp.build import Build, known
from omniplan.units import pad

# llama.cpp b11434 src/llama-context.cpp: contexts and sliding caches are whole multiples of this many cells.
CELL_PAD: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A resolved ``llama_context`` of one build: cells, streams, batches and cache types.

    ``n_stream`` is 1 with a unified KV cache, else ``n_seq_max``; each stream has ``n_ctx_seq`` cells.
    ``n_swa_cells`` is the size of a sliding-window cache per stream (equal to ``n_ctx_seq`` with ``--swa-full``).
    ``v_transposed`` says how V lies in the cache: as flash attention was wanted, whatever ``-fa auto`` then finds.
    ``n_tokens`` is the micro-batch that buffers are reserved for, ``n_outputs`` its rows of logits.
    ``adapters`` are the places of those that are applied, among the model's companions.
    ``pooling`` is what an embedding server makes of a sequence's rows, None where logits are served.
    ``fused_hc_*``: the steps of hyper-connections are one operation each. ``n_rs_seq`` earlier recurrent states are
    kept per sequence, so that drafted tokens can be taken back. ``is_mtp``: it runs the nextn layers, not the others.
    ``expert_slots``: by layer, the slots of the bank that small batches read its experts from; 0 or left out for none.
    """

    build: Build
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
    v_transposed: bool
    offload_kqv: bool
    op_offload: bool
    offload_min_batch: int | None = None
    swa_full: bool = False
    pooling: Pooling | None = None
    adapters: tuple[int, ...] = ()
    fused_hc_pre: bool = True
    fused_hc_comb: bool = True
    fused_hc_post: bool = True
    expert_slots: tuple[int, ...] = ()
    n_rs_seq: int = 0
    is_mtp: bool = False

    @property
    def n_tokens(self) -> int:
        """Tokens of the reserved prompt batch."""
        return min(self.n_ctx, self.n_ubatch)

    @property
    def n_outputs(self) -> int:
        """Rows of logits reserved for the prompt batch."""
        return self.n_tokens if self.build.rules.reserves_all_rows else min(self.n_tokens, self.n_outputs_max)

    @property
    def n_state_rows(self) -> int:
        """Rows of a recurrent state: every sequence's current one, then the earlier ones."""
        return self.n_seq_max * (1 + self.n_rs_seq)


def resolve(model: Model, params: ServerParams, *, flash_attn: bool) -> Context:
    """The context llama.cpp makes of ``params`` (``llama_context::llama_context``, ``tools/server/server.cpp``)."""
    hparams, n_seq_max = model.hparams, params.n_seq_max
    unified = params.is_kv_unified
    n_stream = 1 if unified else n_seq_max
    # common/fit.cpp gives every stream the whole training context when -c is left out.
    asked = params.n_ctx_asked or hparams.n_ctx_train * (n_stream if params.is_fitted else 1)
    n_batch = min(asked, params.n_batch) if hparams.causal_attn else params.n_batch
    n_ubatch = min(n_batch, params.n_ubatch or n_batch)
    n_ctx = pad(asked, CELL_PAD)
    n_ctx_seq = n_ctx if unified else pad(n_ctx // n_seq_max, CELL_PAD)
    return Context(
        build=known(params.build),
        n_ctx=n_ctx_seq * n_stream,
        n_ctx_seq=n_ctx_seq,
        n_seq_max=n_seq_max,
        n_stream=n_stream,
        # tools/server/server.cpp: an input to embed has to lie in one micro-batch.
        n_batch=n_ubatch if params.embedding else n_batch,
        n_ubatch=n_ubatch,
        n_swa_cells=_swa_cells(hparams, params, n_ctx_seq, n_seq_max if unified else 1, n_ubatch),
        n_outputs_max=n_ubatch if params.embedding else min(n_batch, n_seq_max * (1 + params.n_draft_max)),
        type_k=TYPE_BY_NAME[params.cache_type_k],
        type_v=TYPE_BY_NAME[params.cache_type_v],
        flash_attn=flash_attn,
        v_transposed=not flash_attn,
        offload_kqv=params.offload_kqv,
        op_offload=params.op_offload,
        offload_min_batch=params.offload_min_batch,
        swa_full=params.swa_full,
        pooling=_pooling(hparams, params),
        adapters=_applied(model, params),
        n_rs_seq=params.n_rs_seq if architectures.row_of(model).rollback else 0,
    )


def _applied(model: Model, params: ServerParams) -> tuple[int, ...]:
    """Those whose file is at hand; a scale of nothing applies nothing (``llama_context::set_adapters_lora``)."""
    if params.lora_init_without_apply:
        return ()
    return tuple(
        at for at, (file, _) in enumerate(zip(params.adapters, model.companions.adapters, strict=False)) if file.scale
    )


def _pooling(hparams: Hparams, params: ServerParams) -> Pooling | None:
    """What is asked for, else what the header says (``llama_context::llama_context``)."""
    if not params.embedding:
        return None
    if params.pooling:
        return Pooling(params.pooling)
    # -1 is "unspecified".
    return dict(enumerate(Pooling)).get(hparams.pooling_type, Pooling.NONE)


def _swa_cells(hparams: Hparams, params: ServerParams, n_ctx_seq: int, n_windows: int, n_ubatch: int) -> int:
    if params.swa_full or not hparams.n_swa:
        return n_ctx_seq
    return pad(min(n_ctx_seq, hparams.n_swa * n_windows + n_ubatch), CELL_PAD)

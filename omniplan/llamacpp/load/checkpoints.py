"""What llama-server saves of a slot's memory in RAM as prompts come: what cannot be taken back token by token.

tools/server/server-context.cpp: create_checkpoint, with LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY and not ON_DEVICE.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.llamacpp.load.context import Context, resolve
from omniplan.llamacpp.load.memory import CacheTensor, caches
from omniplan.llamacpp.load.speculation import second, settled

# Ends of the names of DeepSeek-V4's compressor states.
_COMPRESSORS: Final = ("_kv", "_score")


def most(params: ServerParams) -> int:
    """How many there may be in all slots; an embedding server saves none."""
    return 0 if params.embedding else params.n_seq_max * max(0, params.ctx_checkpoints)


def largest(model: Model, context: Context, params: ServerParams) -> int:
    """Bytes of one at most: a sequence's recurrent states, the windows of its sliding layers, and what drafts for it.

    Positions and counts, some bytes per cell, are left out (``state_write`` of each memory).
    """
    own = sum(_saved(cache, model, context) for cache in caches(model, context))
    known = settled(model, params)
    drafts = second(model, known, context.n_ctx)
    if not own or drafts is None:
        return own
    other = replace(resolve(drafts.model, drafts.params, flash_attn=True), is_mtp=drafts.is_mtp)
    held = caches(drafts.model, other)
    partly = sum(_saved(cache, drafts.model, other) for cache in held)
    # A plain cache does not know of parts: all cells of the sequence are saved (``llama_kv_cache::state_write``).
    return own + (partly or sum(cache.type.row_size(cache.row) * cache.cells for cache in held))


def _saved(cache: CacheTensor, model: Model, context: Context) -> int:
    if cache.is_state or cache.part.endswith(_COMPRESSORS):
        return cache.nbytes // context.n_state_rows
    h = model.hparams
    if cache.part not in ("k", "v") or not h.is_swa[cache.il] or context.swa_full:
        return 0
    # Cells that have left the window stay in the cache until they are needed, but are not saved.
    return cache.type.row_size(cache.row) * min(cache.cells, h.n_swa)

"""What a model file holds, in the words a user would ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.documents.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantShare:
    """How much of a file one tensor type is: tensors, bytes and weights."""

    type: str
    n_tensors: int
    nbytes: int
    n_elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection(Record):
    """Facts of one model file.

    ``layers`` maps a kind such as "mla + moe+shared" to how many layers are of it; ``nbytes_by_role`` sums to
    ``tensor_bytes``. ``n_active`` are the parameters one token touches.
    """

    path: str
    name: str
    architecture: str
    is_moe: bool
    attention: str
    layers: Mapping[str, int]
    n_layer: int
    n_layer_nextn: int
    n_expert: int
    n_expert_used: int
    n_expert_shared: int
    n_layer_dense_lead: int
    n_ctx_train: int
    n_embd: int
    n_vocab: int
    n_head: int
    n_head_kv: int
    n_swa: int
    quants: tuple[QuantShare, ...]
    nbytes_by_role: Mapping[str, int]
    tensor_bytes: int
    file_bytes: int
    n_parameters: int
    n_active: int
    bits_per_weight: float
    n_shards: int
    header_only: bool
    odd: tuple[str, ...]

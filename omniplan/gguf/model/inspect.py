"""Model to Inspection: the facts of a file, counted from its tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from omniplan.domain.inspection import Inspection, QuantShare
from omniplan.domain.model import Layer, Model
from omniplan.domain.roles import Role


def inspect(model: Model) -> Inspection:
    """Everything ``omniplan inspect`` prints."""
    h, header = model.hparams, model.header
    trunk = model.layers[: h.n_layer]
    n_parameters = sum(tensor.n_elements for tensor in header.tensors)
    return Inspection(
        path=header.paths[0],
        name=str(header.metadata.get("general.name", "")),
        architecture=model.arch,
        is_moe=model.is_moe,
        attention=_attention(model),
        layers=dict(Counter(f"{_mixer(layer)} + {layer.ffn}" for layer in trunk)),
        n_layer=h.n_layer,
        n_layer_nextn=h.n_layer_nextn,
        n_expert=h.n_expert,
        n_expert_used=max(h.n_expert_used),
        n_expert_shared=h.n_expert_shared or _uncounted_shared(model),
        n_layer_dense_lead=model.first_routed,
        n_ctx_train=h.n_ctx_train,
        n_embd=h.n_embd,
        n_vocab=h.n_vocab,
        n_head=max(h.n_head),
        n_head_kv=max(h.n_head_kv),
        n_swa=h.n_swa if any(h.is_swa) else 0,
        quants=_quants(model),
        nbytes_by_role=_by_role(model),
        tensor_bytes=header.tensor_bytes,
        file_bytes=header.file_bytes,
        n_parameters=n_parameters,
        n_active=_active(model),
        bits_per_weight=8 * header.tensor_bytes / n_parameters,
        n_shards=len(header.paths),
        header_only=header.header_only,
        odd=tuple(_oddities(model)),
    )


def _attention(model: Model) -> str:
    return ", ".join(dict.fromkeys(map(_mixer, model.layers[: model.hparams.n_layer])))


def _mixer(layer: Layer) -> str:
    return f"{layer.mixer} sliding" if layer.is_sliding else layer.mixer


def _uncounted_shared(model: Model) -> int:
    """1 where tensors show shared experts that no key counts, as in qwen35moe and qwen3next: one, with its own gate."""
    return int(Role.SHARED_EXPERT in model.roles.values())


def _quants(model: Model) -> tuple[QuantShare, ...]:
    tensors = model.header.tensors
    names = sorted({tensor.type.name for tensor in tensors})
    shares = []
    for name in names:
        of_type = [tensor for tensor in tensors if tensor.type.name == name]
        shares.append(
            QuantShare(
                type=name,
                n_tensors=len(of_type),
                nbytes=sum(tensor.nbytes for tensor in of_type),
                n_elements=sum(tensor.n_elements for tensor in of_type),
            )
        )
    return tuple(sorted(shares, key=lambda share: -share.nbytes))


def _by_role(model: Model) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for tensor in model.header.tensors:
        sizes[model.roles[tensor.name]] += tensor.nbytes
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _active(model: Model) -> int:
    """Parameters one token touches: routed experts by the share in use, embeddings and nextn layers left out."""
    h = model.hparams
    share = max(h.n_expert_used) / h.n_expert if h.n_expert else 1.0
    weight = {Role.ROUTED_EXPERT: share, Role.TOKEN_EMBEDDING: 0.0, Role.NEXTN: 0.0}
    active = sum(tensor.n_elements * weight.get(model.roles[tensor.name], 1.0) for tensor in model.header.tensors)
    if model.tensor("output.weight") is None and (embedding := model.tensor("token_embd.weight")) is not None:
        active += embedding.n_elements
    return round(active)


def _oddities(model: Model) -> Iterator[str]:
    h, header = model.hparams, model.header
    if header.header_only:
        yield "header-only file: it ends where tensor data would begin; good for planning, not for loading"
    if model.tensor("output.weight") is None and model.tensor("token_embd.weight") is not None:
        yield "tied output: no output.weight, so an offloaded output layer holds the token embedding a second time"
    if h.n_layer_nextn:
        yield f"{h.n_layer_nextn} nextn (MTP) layer(s) at the tail: counted by -ngl, not loaded unless asked for"
    if (lead := model.first_routed) > 0:
        yield f"the first {lead} layer(s) have no experts; -ncmoe counts them all the same"
    if "blk.0.attn_kv_b.weight" in header.by_name and "blk.0.attn_kv_a_mqa.weight" in header.by_name and not h.is_mla:
        yield "MLA weights without key_length_mla: an old conversion, so the KV cache holds every head expanded"
    yield from (assumption.statement for assumption in model.assumptions)

"""A header of another size of the same architecture: a plain decoder's tensors, from the sizes that a log prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import omniplan
from omniplan.gguf.model import build_model

# A log's name -> the header's key.
_KEYS: Final = {
    "n_layer": "block_count",
    "n_embd": "embedding_length",
    "n_ff": "feed_forward_length",
    "n_head": "attention.head_count",
    "n_head_kv": "attention.head_count_kv",
    "n_ctx_train": "context_length",
    "n_embd_head_k": "attention.key_length",
    "n_embd_head_v": "attention.value_length",
}


def reshaped(source: omniplan.Model, sizes: Mapping[str, int]) -> omniplan.Model:
    """``source`` where it has these sizes already; else with its keys and the widths of its tensors replaced."""
    h = source.hparams
    own = {"n_embd": h.n_embd, "n_layer": h.n_layer}
    if all(sizes.get(name, value) == value for name, value in own.items()):
        return source
    header, arch = source.header, source.arch
    keys = {f"{arch}.{key}": sizes[name] for name, key in _KEYS.items() if name in sizes}
    widths = {h.n_embd: sizes["n_embd"], _width_of_ff(source): sizes["n_ff"]}
    tensors = tuple(
        replace(tensor, shape=tuple(_width(tensor.name, i, size, widths) for i, size in enumerate(tensor.shape)))
        for tensor in header.tensors
        if (block := re.match(r"blk\.(\d+)\.", tensor.name)) is None or int(block[1]) < sizes["n_layer"]
    )
    nbytes = sum(tensor.nbytes for tensor in tensors)
    return build_model(replace(header, metadata={**header.metadata, **keys}, tensors=tensors, file_bytes=nbytes))


def _width(name: str, axis: int, size: int, widths: Mapping[int, int]) -> int:
    """Queries have their own width, whatever the model's."""
    is_query = (axis, name.split(".")[-2]) in ((1, "attn_q"), (0, "attn_output"))
    return size if is_query else widths.get(size, size)


def _width_of_ff(source: omniplan.Model) -> int:
    return source.header.by_name["blk.0.ffn_up.weight"].shape[1]

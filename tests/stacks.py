"""Small models and stacks for tests: headers of a few layers, so that a plan takes milliseconds."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import omniplan
from omniplan.domain.model import Model
from tests.headers import Item, TensorRow, write_gguf

VOCAB = 1024


@cache
def small(n_layer: int, n_ff: int) -> Model:
    """A dense model of ``n_layer`` layers; every thousand of ``n_ff`` is about 13 MB of weights a layer."""
    n_embd, n_head, head = 4096, 32, 128
    metadata: dict[str, Item] = {
        "general.architecture": "llama",
        "llama.block_count": n_layer,
        "llama.context_length": 8192,
        "llama.embedding_length": n_embd,
        "llama.feed_forward_length": n_ff,
        "llama.attention.head_count": n_head,
        "llama.attention.head_count_kv": 8,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.vocab_size": VOCAB,
        "tokenizer.ggml.model": "no_vocab",
    }
    tensors: list[TensorRow] = [("token_embd.weight", "q8_0", (n_embd, VOCAB))]
    for il in range(n_layer):
        shapes = {
            "attn_q": (n_embd, n_head * head), "attn_k": (n_embd, 8 * head), "attn_v": (n_embd, 8 * head),
            "attn_output": (n_head * head, n_embd), "ffn_gate": (n_embd, n_ff), "ffn_up": (n_embd, n_ff),
            "ffn_down": (n_ff, n_embd),
        }  # fmt: skip
        tensors += [(f"blk.{il}.{name}.weight", "q8_0", shape) for name, shape in shapes.items()]
        tensors += [(f"blk.{il}.{name}.weight", "f32", (n_embd,)) for name in ("attn_norm", "ffn_norm")]
    tensors += [("output_norm.weight", "f32", (n_embd,)), ("output.weight", "q8_0", (n_embd, VOCAB))]
    with tempfile.TemporaryDirectory() as folder:
        return omniplan.load_model(write_gguf(Path(folder) / f"small-{n_layer}-{n_ff}.gguf", metadata, tensors))

"""A llama model of random weights, 1.4 MB, complete enough for llama.cpp to load and serve it for real."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Final

import gguf
import numpy as np

N_VOCAB, N_EMBD, N_LAYER, N_FF, N_HEAD, N_HEAD_KV, N_CTX = 512, 96, 3, 192, 4, 2, 8192

_PIECES: Final = [a + b for a in ("", "\u2581", *string.ascii_lowercase) for b in ("\u2581", *string.ascii_lowercase)]


def write_tiny(path: Path) -> Path:
    """Write the model and return its path."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(N_CTX)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYER)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEAD)
    writer.add_head_count_kv(N_HEAD_KV)
    writer.add_rope_dimension_count(N_EMBD // N_HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(N_VOCAB)
    _tokenizer(writer)
    _tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tokenizer(writer: gguf.GGUFWriter) -> None:
    """A SentencePiece vocabulary: three special tokens, every byte, then pieces of one and two letters."""
    special = [("<unk>", gguf.TokenType.UNKNOWN), ("<s>", gguf.TokenType.CONTROL), ("</s>", gguf.TokenType.CONTROL)]
    tokens = [*special, *((f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(256))]
    tokens += [(piece, gguf.TokenType.NORMAL) for piece in _PIECES[: N_VOCAB - len(tokens)]]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _ in tokens])
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensors(writer: gguf.GGUFWriter) -> None:
    random = np.random.default_rng(11434)

    def matrix(name: str, rows: int, columns: int, *, zeros: int = 0) -> None:
        weights = random.normal(0, 0.05, (rows, columns)).astype(np.float32)
        weights[:zeros] = 0
        writer.add_tensor(f"{name}.weight", weights)

    def ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(N_EMBD, np.float32))

    n_kv = N_EMBD // N_HEAD * N_HEAD_KV
    matrix("token_embd", N_VOCAB, N_EMBD)
    # Special tokens and bytes never have the largest logit: answers are letters, so that every token shows as text.
    matrix("output", N_VOCAB, N_EMBD, zeros=3 + 256)
    ones("output_norm")
    for il in range(N_LAYER):
        ones(f"blk.{il}.attn_norm")
        ones(f"blk.{il}.ffn_norm")
        for name, rows, columns in (
            ("attn_q", N_EMBD, N_EMBD), ("attn_k", n_kv, N_EMBD), ("attn_v", n_kv, N_EMBD),
            ("attn_output", N_EMBD, N_EMBD), ("ffn_gate", N_FF, N_EMBD), ("ffn_up", N_FF, N_EMBD),
            ("ffn_down", N_EMBD, N_FF),
        ):  # fmt: skip
            matrix(f"blk.{il}.{name}", rows, columns)

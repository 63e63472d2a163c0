"""A model's hyper-parameters under llama.cpp's own names, per layer where llama.cpp keeps them per layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hparams:
    """What the header and the architecture's own rules say; tuples hold ``n_layer_all`` entries.

    Names follow ``llama_hparams`` of llama.cpp; ``n_layer_all`` counts the nextn (MTP) layers at the tail.
    """

    n_vocab: int
    n_ctx_train: int
    n_embd: int
    n_layer_all: int
    n_layer_nextn: int = 0
    causal_attn: bool = True
    pooling_type: int = 0

    n_head: tuple[int, ...]
    n_head_kv: tuple[int, ...]
    n_ff: tuple[int, ...]
    n_embd_head_k: tuple[int, ...]
    n_embd_head_v: tuple[int, ...]
    n_rot: tuple[int, ...]
    has_kv: tuple[bool, ...]

    n_expert: int = 0
    n_expert_used: tuple[int, ...]
    n_expert_shared: int = 0
    n_layer_dense_lead: int = 0

    n_embd_head_k_mla: int = 0
    n_embd_head_v_mla: int = 0
    n_lora_kv: int = 0

    n_swa: int = 0
    is_swa: tuple[bool, ...]
    is_recr: tuple[bool, ...]

    ssm_d_conv: int = 0
    ssm_d_inner: int = 0
    ssm_d_state: int = 0
    ssm_dt_rank: int = 0
    ssm_n_group: int = 0
    n_embd_head_kda: int = 0
    n_embd_head_la: int = 0
    wkv_head_size: int = 0
    token_shift_count: int = 2
    n_shortconv_l_cache: int = 0

    indexer_n_head: int = 0
    indexer_head_size: int = 0
    indexer_top_k: int = 0
    indexer_kpool: int = 0
    is_indexer_full: tuple[bool, ...]
    compress_ratios: tuple[int, ...] = ()

    @property
    def n_layer(self) -> int:
        """Trunk layers, without nextn."""
        return self.n_layer_all - self.n_layer_nextn

    @property
    def is_mla(self) -> bool:
        """Whether the KV cache holds one latent row per token and no V."""
        return self.n_embd_head_k_mla > 0 and self.n_embd_head_v_mla > 0

    def n_embd_k_gqa(self, il: int) -> int:
        """Elements of one K row of layer ``il``."""
        return self.n_embd_head_k[il] * self.n_head_kv[il]

    def n_embd_v_gqa(self, il: int) -> int:
        """Elements of one V row of layer ``il``."""
        return self.n_embd_head_v[il] * self.n_head_kv[il]

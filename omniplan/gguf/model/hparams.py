"""Header to hyper-parameters, as llama.cpp's ``load_hparams`` and the architectures' own loaders do it."""

from __future__ import annotations

from typing import Final

from omniplan.domain.header import ArrayInfo, Header
from omniplan.domain.hparams import Hparams
from omniplan.errors import UnsupportedModel
from omniplan.gguf.model import architectures, patterns
from omniplan.gguf.model.architectures import ArchRow, MemoryKind
from omniplan.gguf.model.keys import Keys

# llama.cpp b11434 src/llama-hparams.h: LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS.
_MAX_LAYERS: Final = 512
_MAX_EXPERTS: Final = 1024


def load(header: Header, row: ArchRow) -> Hparams:
    """Hyper-parameters of ``header`` under its architecture's ``row``; raises UnsupportedModel."""
    keys = Keys(header, header.architecture)
    keys.check(row.needs, architectures.repeats())
    n_layer_all, n_nextn = _depth(keys, row, header)
    n_layer = n_layer_all - n_nextn
    n_embd = keys.required("embedding_length")
    n_head = _looped(keys, row, "attention.head_count", n_layer_all)
    n_head_kv = _looped(keys, row, "attention.head_count_kv", n_layer_all, fallback=n_head)
    n_ff = _looped(keys, row, "feed_forward_length", n_layer_all)
    n_ctx_train = keys.required("context_length")
    is_recr = patterns.recurrent(keys, row, n_layer, n_head_kv, n_ff)
    n_swa, is_swa = patterns.sliding(keys, row, n_layer, n_layer_all, is_recr)
    n_expert, n_expert_used = _experts(keys, row, n_layer_all)
    head_k, head_v, n_rot = _head_sizes(keys, row, n_embd, n_head[0])
    is_linear = row.linear_attention
    return Hparams(
        n_vocab=_vocabulary(keys),
        n_ctx_train=n_ctx_train,
        n_embd=n_embd,
        n_layer_all=n_layer_all,
        n_layer_nextn=n_nextn,
        causal_attn=row.causal and keys.raw("attention.causal") is not False,
        pooling_type=keys.number("pooling_type"),
        n_head=n_head,
        n_head_kv=n_head_kv,
        n_ff=n_ff,
        n_embd_head_k=tuple(head_k[slides] for slides in is_swa),
        n_embd_head_v=tuple(head_v[slides] for slides in is_swa),
        n_rot=tuple(n_rot[slides] for slides in is_swa),
        has_kv=tuple(il < _n_layer_kv(keys, row, n_layer_all) for il in range(n_layer_all)),
        n_expert=n_expert,
        n_expert_used=n_expert_used,
        n_expert_shared=keys.number("expert_shared_count"),
        n_layer_dense_lead=keys.number("leading_dense_block_count"),
        n_embd_head_k_mla=keys.number("attention.key_length_mla"),
        n_embd_head_v_mla=keys.number("attention.value_length_mla"),
        n_lora_kv=keys.number("attention.kv_lora_rank"),
        n_swa=n_swa,
        is_swa=tuple(is_swa),
        is_recr=is_recr,
        ssm_d_conv=keys.number("ssm.conv_kernel"),
        ssm_d_inner=keys.number("ssm.inner_size"),
        ssm_d_state=keys.number("ssm.state_size"),
        ssm_dt_rank=keys.number("ssm.time_step_rank"),
        ssm_n_group=keys.number("ssm.group_count"),
        n_embd_head_kda=keys.number("kda.head_dim"),
        n_embd_head_la=head_k[False] if is_linear else 0,
        wkv_head_size=keys.number("wkv.head_size"),
        token_shift_count=keys.number("token_shift_count", 2),
        n_shortconv_l_cache=keys.number("shortconv.l_cache"),
        indexer_n_head=keys.number("attention.indexer.head_count"),
        indexer_head_size=keys.number("attention.indexer.key_length"),
        indexer_top_k=keys.number("attention.indexer.top_k"),
        indexer_kpool=_kpool(keys, n_layer_all),
        is_indexer_full=patterns.indexer_full(keys, row, n_layer_all, n_ctx_train),
        compress_ratios=_compress_ratios(keys, n_layer_all),
    )


def _depth(keys: Keys, row: ArchRow, header: Header) -> tuple[int, int]:
    n_layer_all = keys.required("block_count")
    n_nextn = keys.number("nextn_predict_layers")
    if not 0 < n_layer_all <= _MAX_LAYERS or n_nextn > n_layer_all:
        raise UnsupportedModel(
            f"{header.paths[0]}: {n_layer_all} layers with {n_nextn} nextn layers; llama.cpp takes 1 to {_MAX_LAYERS}"
        )
    # deepseek4 forgets its nextn layers when the file holds none of their tensors.
    joins = f"blk.{n_layer_all - n_nextn}.nextn.eh_proj.weight"
    if row.memory is MemoryKind.DSV4 and n_nextn and joins not in header.by_name:
        n_nextn = 0
    if row.loops:
        n_layer_all *= max(1, keys.number("num_loops", 1))
        if n_layer_all > _MAX_LAYERS:
            raise UnsupportedModel(f"{header.paths[0]}: {n_layer_all} layers in turns; llama.cpp takes {_MAX_LAYERS}")
    return n_layer_all, n_nextn


def _looped(keys: Keys, row: ArchRow, suffix: str, n: int, fallback: tuple[int, ...] = ()) -> tuple[int, ...]:
    if fallback and not keys.has(suffix):
        return fallback
    loops = max(1, keys.number("num_loops", 1)) if row.loops else 1
    return keys.per_layer(suffix, n // loops) * loops


def _experts(keys: Keys, row: ArchRow, n_layer_all: int) -> tuple[int, tuple[int, ...]]:
    n_expert = keys.number("expert_count")
    used = keys.per_layer("expert_used_count", n_layer_all)
    if row.lone_expert_is_dense and n_expert <= 1:
        return 0, (0,) * n_layer_all
    if n_expert > _MAX_EXPERTS or max(used, default=0) > n_expert or (n_expert > 0 and max(used) == 0):
        raise UnsupportedModel(
            f"{keys.header.paths[0]}: {n_expert} experts with {max(used, default=0)} used; llama.cpp refuses this"
        )
    return n_expert, used


def _head_sizes(
    keys: Keys, row: ArchRow, n_embd: int, n_head: int
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """K, V and rotary widths, each as (full, sliding)."""
    if n_head == 0:
        return (0, 0), (0, 0), (0, 0)
    k = keys.number("attention.key_length", n_embd // n_head)
    v = keys.number("attention.value_length", n_embd // n_head)
    if row.value_length:
        v = keys.number(f"attention.{row.value_length}")
    n_rot = keys.number("rope.dimension_count", k)
    return (
        (k, keys.number("attention.key_length_swa", k)),
        (v, keys.number("attention.value_length_swa", v)),
        (n_rot, keys.number("rope.dimension_count_swa", n_rot)),
    )


def _n_layer_kv(keys: Keys, row: ArchRow, n_layer_all: int) -> int:
    if row.shared_kv_layers:
        return n_layer_all - keys.number("attention.shared_kv_layers")
    return row.n_layer_kv_from_start if row.n_layer_kv_from_start >= 0 else n_layer_all


def _compress_ratios(keys: Keys, n_layer_all: int) -> tuple[int, ...]:
    given = keys.raw("attention.compress_ratios")
    if isinstance(given, int):
        return (int(given),) * n_layer_all
    if not isinstance(given, tuple):
        return ()
    ratios = tuple(int(v) for v in given[:n_layer_all])
    return ratios + (0,) * (n_layer_all - len(ratios))


def _kpool(keys: Keys, n_layer_all: int) -> int:
    # qwen4exp has no key of its own: its layers share one compress ratio.
    return keys.number("attention.indexer.kpool") or max(_compress_ratios(keys, n_layer_all), default=0)


def _vocabulary(keys: Keys) -> int:
    for name in ("token_embd.weight", "output.weight"):
        tensor = keys.header.by_name.get(name)
        if tensor is not None and len(tensor.shape) > 1:
            return tensor.shape[1]
    tokens = keys.header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, ArrayInfo):
        return tokens.length
    return len(tokens) if isinstance(tokens, tuple) else keys.number("vocab_size")

"""Graphs of headers that differ from the dumped ones in one fact; node counts are those of llama.cpp b11434 itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from omniplan.domain.header import Header, Value
from omniplan.domain.params import ServerParams
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model
from omniplan.llamacpp.graph.families import build
from omniplan.llamacpp.graph.graph import Batch, Graph
from omniplan.llamacpp.load.context import resolve

ARCHS = Path(__file__).parents[3] / "data" / "models" / "archs"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is different: ``keys`` set (None removes), tensors whose name holds one of ``without`` left out."""

    keys: Mapping[str, Value | None] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def changed(name: str, change: Change) -> Header:
    """The dumped header ``name`` after ``change``."""
    header = read_header(str(ARCHS / f"{name}.gguf"))
    metadata = dict(header.metadata)
    for suffix, value in change.keys.items():
        metadata.pop(f"{header.architecture}.{suffix}", None)
        if value is not None:
            metadata[f"{header.architecture}.{suffix}"] = value
    tensors = tuple(t for t in header.tensors if not any(part in t.name for part in change.without))
    return replace(header, metadata=metadata, tensors=tensors)


def prompt_graph(header: Header) -> Graph:
    """The prompt graph of one slot without flash attention."""
    model = build_model(header)
    context = resolve(model, ServerParams(n_ctx=4096, n_parallel=1, n_ubatch=512), flash_attn=False)
    return build(model, context, Batch.prefill(context))


@pytest.mark.parametrize(
    ("name", "change", "n_nodes"),
    [
        ("cohere2moe-moe", Change(keys={"attention.layer_norm_rms_epsilon": None}), 119),
        (
            "deci-dense",
            Change(keys={"attention.head_count": (2, 0), "attention.head_count_kv": (2, 0)}, without=("blk.1.attn",)),
            65,
        ),
        (
            "deci-dense",
            Change(
                keys={"attention.head_count": (2, 2), "attention.head_count_kv": (2, 0)},
                without=("blk.1.attn_q", "blk.1.attn_k", "blk.1.attn_v"),
            ),
            70,
        ),
        ("deci-dense", Change(keys={"feed_forward_length": (0, 384)}, without=("blk.0.ffn",)), 89),
        ("ernie4_5-moe-moe", Change(keys={"interleave_moe_layer_step": 1}), 117),
        ("falcon-dense", Change(without=("attn_norm_2",)), 79),
        ("gemma-dense", Change(keys={"embedding_scale": 3.0}), 98),
        ("glm4moe-moe", Change(keys={"expert_shared_count": 0}, without=("shexp",)), 117),
        ("glm4moe-moe", Change(without=("attn_q_norm", "attn_k_norm")), 112),
        ("gptneox-dense", Change(keys={"use_parallel_residual": True}), 92),
        ("granite-dense", Change(keys={"deepstack_mapping": (0, 1), "embedding_scale": 12.0}), 115),
        ("granite-dense", Change(keys={"rope.scaling.finetuned": False}), 104),
        ("granite-moe", Change(keys={"rope.scaling.finetuned": None}), 144),
        ("granite_swa-dense", Change(keys={"attention.rope_pattern": (True, False)}), 106),
        ("grovemoe-moe", Change(keys={"attention.clamp_kqv": 8.0}), 181),
        ("minicpm-dense", Change(keys={"embedding_scale": None, "residual_scale": None, "logit_scale": None}), 109),
        ("nanbeige-dense", Change(keys={"num_loops": 3}), 261),
        ("nanbeige-dense", Change(keys={"num_loops": 2, "skip_loop_final_norm": True}), 179),
        ("olmo-dense", Change(keys={"attention.clamp_kqv": 8.0}), 96),
        ("phi3-dense", Change(without=("rope_factors",)), 95),
        ("qwen2vl-dense", Change(without=("attn_q.bias", "attn_k.bias", "attn_v.bias")), 89),
        ("qwen3vl-dense", Change(keys={"n_deepstack_layers": 1}), 108),
        ("stablelm-dense", Change(without=("ffn_norm", "attn_q_norm", "attn_k_norm")), 95),
        ("afmoe-moe", Change(keys={"expert_shared_count": 0}, without=("shexp",)), 130),
        ("deepseek4-moe", Change(keys={"swiglu_clamp_shexp": None}), 626),
        ("bailingmoe3-moe", Change(keys={"rope.dimension_sections": (0, 0, 0, 0)}), 179),
        ("dream-dense", Change(without=("attn_q.bias", "attn_k.bias", "attn_v.bias")), 77),
        ("glm-dsa-moe", Change(keys={"attention.indexer.types": (1, 0)}, without=("blk.1.indexer",)), 173),
        ("glm5-next-moe", Change(keys={"attention.indexer.kpool_select_tail": False}), 322),
        ("glm5-next-moe", Change(keys={"swiglu_clamp_exp": (1.0, 1.0), "swiglu_clamp_shexp": None}), 323),
        ("grok-moe", Change(without=("ffn_up.", "ffn_gate.", "ffn_down.")), 143),
        ("grok-moe", Change(keys={"embedding_scale": None, "logit_scale": None, "final_logit_softcapping": None}), 155),
        ("hrm_text-dense", Change(keys={"embedding_scale": 3.0}), 283),
        ("hy_v4-moe", Change(keys={"attention.indexer.top_k": 0}, without=("indexer",)), 400),
        ("kimi-k3-moe", Change(keys={"activation.situ_linear_beta": 2.0}), 264),
        ("kimi-k3-moe", Change(keys={"attn_res.block_size": 0}, without=("res_score",)), 200),
        ("kimi-k3-moe", Change(keys={"kda.gate_lower_bound": None}, without=("attn_gate",)), 259),
        ("kimi-linear-moe", Change(keys={"expert_weights_scale": 2.4}), 173),
        ("laguna-moe", Change(keys={"attention.sliding_window": 0}), 132),
        ("llama4-moe", Change(keys={"attention.sliding_window": 0}), 220),
        ("llama4-moe", Change(keys={"attention.sliding_window": None}), 220),
        ("mimo2-moe", Change(keys={"attention.value_scale": 0.7}), 119),
        (
            "minicpm3-dense",
            Change(keys={"embedding_scale": 3.0, "residual_scale": 2.0}, without=("rope_factors",)),
            109,
        ),
        ("minimax-m3-moe", Change(without=("attn_q.bias", "attn_k.bias", "attn_v.bias")), 114),
        ("mistral3-dense", Change(keys={"attention.temperature_scale": 0.1}), 111),
        ("mistral4-moe", Change(keys={"attention.temperature_scale": 0.1}), 125),
        ("mpt-dense", Change(without=("position_embd", "ffn.act")), 90),
        ("muse-glimmer-dense", Change(keys={"final_logit_softcapping": 0.0, "logit_scale": 0.0}), 117),
        ("qwen3next-moe", Change(without=("attn_qkv", "attn_gate")), 203),
        ("qwen35-dense", Change(without=("cls.output",)), 137),
        ("qwen4exp-moe", Change(keys={"attention.compress_ratios": (0, 0)}), 343),
        ("qwen4exp-moe", Change(keys={"ple.layers": None}, without=("ple", "per_layer_token")), 333),
        ("smallthinker-moe", Change(keys={"attention.sliding_window": 0}), 128),
        ("talkie-dense", Change(keys={"logit_scale": 0.0}), 105),
    ],
)
def test_a_branch_has_the_nodes_of_llama_cpp(name: str, change: Change, n_nodes: int) -> None:
    """Every optional tensor and default key adds or removes exactly the operations it does upstream."""
    graph = prompt_graph(changed(name, change))

    assert n_nodes == len(graph.nodes)


def test_hyper_connections_do_without_their_kernels() -> None:
    """Where a kernel would leave its layer's device, llama.cpp mixes streams with ordinary operations."""
    model = build_model(read_header(str(ARCHS / "deepseek4-moe.gguf")))
    context = resolve(model, ServerParams(n_ctx=4096, n_parallel=1, n_ubatch=512), flash_attn=False)
    unfused = replace(context, fused_hc_pre=False, fused_hc_comb=False, fused_hc_post=False)

    graph = build(model, unfused, Batch.prefill(unfused))

    assert 1546 == len(graph.nodes)
    assert not any(node.op.startswith("DSV4_HC") for node in graph.nodes)

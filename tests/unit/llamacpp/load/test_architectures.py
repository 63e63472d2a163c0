"""What each of llama.cpp's architectures does, asked of one small model under every name that b11434 knows.

The lists are read from its sources, so a row of ``data/architectures.toml`` that is lost or wrong is named here, also
where no graph and no figure of llama.cpp is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from omniplan.domain.header import ByteOrder, Header, Tensor, Value
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.errors import ArgumentError, UnsupportedModel
from omniplan.gguf.model import build_model
from omniplan.gguf.model.architectures import known, row
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.graph import Batch
from omniplan.llamacpp.graph.inputs import chosen_rows
from omniplan.llamacpp.load import capacity, memory, weights
from omniplan.llamacpp.load.context import Context, resolve

# src/llama-arch.cpp:LLM_ARCH_NAMES without a class in llama_model_create, or without tensors of its own.
NO_MODELS: Final = {"clip", "gptj"}
# src/llama-model.cpp:create_memory
REMEMBER_NOTHING: Final = """
bert clef dream eurobert gemma-embedding gemma-embedding2 jina-bert-v2 jina-bert-v3 llada llada-moe modern-bert neo-bert
nomic-bert nomic-bert-moe rnd1 wavtokenizer-dec
"""
# load_arch_tensors without LLM_TENSOR_OUTPUT
WITHOUT_OUTPUT: Final = """
bert bitnet eurobert jina-bert-v2 jina-bert-v3 modern-bert neo-bert nomic-bert nomic-bert-moe
"""
# load_arch_tensors with TENSOR_SKIP
SKIP_NEXTN: Final = """
bailingmoe2 bailingmoe3 cohere2moe deepseek2 deepseek32 deepseek4 dots3note exaone-moe exaone4 glm-dsa glm4 glm4moe
glm5-next hy_v3 mimo2 mistral4 nemotron_h nemotron_h_moe qwen35 qwen35moe qwen3next qwen4exp step35
"""
# load_arch_hparams: causal_attn = false
SEE_BOTH_WAYS: Final = "dream gemma-embedding gemma-embedding2 llada llada-moe rnd1"
# src/llama-arch.cpp:llm_arch_supports_mixed_batch
NO_MIXED_BATCH: Final = "cogvlm deepseek4 dflash eagle3 gemma4-assistant graniteswitch"
# load_arch_hparams: LLM_KV_ATTENTION_CLAMP_KQV, _EMBEDDING_SCALE, _SWIGLU_CLAMP_EXP, _SWIGLU_CLAMP_SHEXP
READERS: Final = {
    "attention.clamp_kqv": "dbrx mpt olmo",
    "embedding_scale": "dflash granite granite_swa granitehybrid granitemoe graniteswitch grok hrm_text minicpm",
    "swiglu_clamp_exp": "bailingmoe3 deepseek4 dflash glm5-next hy_v4 maple step35",
    "swiglu_clamp_shexp": "bailingmoe3 deepseek4 dflash glm5-next step35",
}
# src/llama-context.cpp:graph_max_nodes for 512 tokens and 1000 tensors; everything else has room for 8000 nodes.
ROOMS: Final = {
    32_000: """
        bailingmoe3 clef deepseek4 hy_v4 kimi-linear minimax-01 minimax-m3 nanbeige qwen35 qwen35moe qwen3next qwen4exp
    """,
    64_000: "hrm_text",
    81_920: "glm5-next kimi-k3",
}

_KEYS: Final[Mapping[str, Value]] = {
    "block_count": 2,
    "context_length": 512,
    "embedding_length": 64,
    "feed_forward_length": 128,
    "attention.head_count": 2,
    "attention.head_count_kv": 2,
    "attention.compress_ratios": (0, 0, 0),
}
_MATRICES: Final = ("attn_q", "attn_k", "attn_v", "attn_output")


def small(arch: str, *, keys: Mapping[str, Value] | None = None, nextn: int = 0) -> Model:
    """Two layers of attention, and ``nextn`` blocks behind them; numbers that the architecture needs are 1."""
    n_layer = 2 + nextn
    own = {
        **_KEYS,
        **dict.fromkeys(row(arch).needs, 1),
        "block_count": n_layer,
        "nextn_predict_layers": nextn,
        **(keys or {}),
    }
    shapes = {"token_embd": (64, 32), "output_norm": (64,)}
    shapes |= {f"blk.{il}.{name}": (64, 64) for il in range(n_layer) for name in _MATRICES}
    shapes |= {f"blk.{il}.nextn.eh_proj": (128, 64) for il in range(2, n_layer)}
    header = Header(
        paths=(f"{arch}.gguf",),
        version=3,
        byte_order=ByteOrder.LITTLE,
        alignment=32,
        metadata={"general.architecture": arch, **{f"{arch}.{key}": value for key, value in own.items()}},
        tensors=tuple(Tensor(f"{name}.weight", TYPE_BY_NAME["f16"], shape, 0) for name, shape in shapes.items()),
        header_only=True,
        file_bytes=0,
    )
    return build_model(header)


def context(model: Model) -> Context:
    """One slot of 512 tokens."""
    return resolve(model, ServerParams(n_ctx=512, n_parallel=1), flash_attn=True)


def builder(model: Model) -> Builder:
    """An empty graph of the prompt batch."""
    resolved = context(model)
    return Builder(model, resolved, Batch.prefill(resolved))


def names(holds: Callable[[str], bool]) -> list[str]:
    """Every architecture with models of which ``holds`` is true."""
    return sorted(filter(holds, known() - NO_MODELS))


def test_what_is_no_model_is_refused() -> None:
    """A projector and a name without a loader; the error says what to do with the first."""
    with pytest.raises(UnsupportedModel, match="'clip' is a projector, not a language model; pass it"):
        small("clip")
    with pytest.raises(UnsupportedModel, match="'gptj' is a name that llama"):
        small("gptj")


def test_who_remembers_nothing() -> None:
    """Encoders and diffusion models have no cache."""

    def forgets(arch: str) -> bool:
        model = small(arch, keys={"feed_forward_length": 0})
        return memory.caches(model, context(model)) == ()

    assert REMEMBER_NOTHING.split() == names(forgets)


def test_who_has_no_output() -> None:
    """A tied output is a second copy of the embeddings, where there is an output at all."""
    assert WITHOUT_OUTPUT.split() == names(lambda arch: weights.OUTPUT not in _slots(small(arch)))


def test_who_skips_its_nextn_blocks() -> None:
    """They are loaded when MTP is asked for."""
    assert SKIP_NEXTN.split() == names(lambda arch: "blk.2.nextn.eh_proj.weight" not in _slots(small(arch, nextn=1)))


def _slots(model: Model) -> set[str]:
    return {slot.name for slot in weights.slots(model)}


def test_who_sees_both_ways() -> None:
    """Whatever the header says."""
    assert SEE_BOTH_WAYS.split() == names(lambda arch: not small(arch).hparams.causal_attn)


def test_whose_batches_are_not_mixed() -> None:
    """Their input has no branch for tokens among vectors."""

    def is_pure(arch: str) -> bool:
        b = builder(small(arch))
        chosen_rows(b)
        return "inp_mixed_tokens" not in {leaf.name for leaf in b.graph.leafs}

    assert NO_MIXED_BATCH.split() == names(is_pure)


@pytest.mark.parametrize("key", READERS)
def test_who_reads_a_key(key: str) -> None:
    """In the headers of all others it means nothing."""
    assert READERS[key].split() == names(lambda arch: builder(small(arch, keys={key: 3.0})).number(key) == 3.0)


def test_who_takes_a_lone_expert_for_none() -> None:
    """src/llama-model.cpp:load_hparams."""
    keys: Mapping[str, Value] = {"expert_count": 1, "expert_used_count": 1}

    assert ["hunyuan-dense", "hunyuan_vl"] == names(lambda arch: small(arch, keys=keys).hparams.n_expert == 0)


def test_who_has_room_for_long_graphs() -> None:
    """Tables have a prime number of places, at least as many as there are nodes."""
    exceptions = {arch: room for room, words in ROOMS.items() for arch in words.split()}

    def is_wrong(arch: str) -> bool:
        model = small(arch)
        return not _holds(model, exceptions.get(arch, 8_000)) or _holds(model, 2 * exceptions.get(arch, 8_000))

    assert names(is_wrong) == []


def _holds(model: Model, n_nodes: int) -> bool:
    try:
        capacity.check(model, context(model), 1000, n_nodes)
    except ArgumentError:
        return False
    return True


def test_where_embedding_models_slide() -> None:
    """set_swa_pattern: modern-bert from the second layer on, gemma-embedding but every sixth; no figure shows it."""
    keys: Mapping[str, Value] = {"block_count": 6, "attention.sliding_window": 128}

    assert (False, True, True) * 2 == small("modern-bert", keys=keys).hparams.is_swa
    assert (True,) * 5 + (False,) == small("gemma-embedding", keys=keys).hparams.is_swa

"""A row for every architecture whose graph is the common decoder with other facts, and the file of src/models it is.

``recipe.Recipe`` says what the facts mean. Architectures with code of their own have a module named after their file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph.decoder import mixing
from omniplan.llamacpp.graph.families import granite, lfm2, qwen3next, qwen3vl
from omniplan.llamacpp.graph.families.deepseek2 import latent_attention, lead_dense_feed
from omniplan.llamacpp.graph.families.mamba_base import mamba, mamba2
from omniplan.llamacpp.graph.moe import KEYED, Gating, Moe, Shared
from omniplan.llamacpp.graph.recipe import Embedding, QkNorm, Recipe, Rope, Rows, When

_COMMAND_R: Final = Recipe(norm="layer", ffn_norm="", parallel="ffn+x+attn", logit_scale=When.HEADER)
_GPT2: Final = Recipe(norm="layer", embedding=Embedding.POSITIONS, rope=Rope.NONE, act="GELU", gate="seq")
_GRANITE: Final = Recipe(
    upstream="granite.cpp",
    rope_factors=True,
    residual_scale=When.HEADER,
    moe=Moe(shared=Shared.PLAIN),
    logit_scale=When.ALWAYS,
)
_PHI3: Final = Recipe(
    upstream="phi3.cpp", rope_factors=True, q_scale=True, ffn_residual_first=True, act="SWIGLU", moe=Moe()
)
_QWEN35: Final = Recipe(
    norm_first=True, positions=4, ffn_norm="post_attention_norm", attention=qwen3next.block, rows=Rows.NORMED
)
_QWEN35_MOE: Final = Moe(scales=True, shared=Shared.GATED, shared_scale=True)
# The output of Qwen3-TTS is smaller than the vocabulary.
_QWEN3VL: Final = Recipe(
    upstream="qwen3vl.cpp", qk_norm=QkNorm.BEFORE, positions=4, deepstack=qwen3vl.deepstack, logit_pad=True
)
# Norms after both blocks, before their outputs join the residual (the gemma family and those that follow it).
_POST_NORMS: Final = Recipe(post_attn_norm="post_attention_norm", post_ffn_norm="post_ffw_norm")

ROWS: Final[Mapping[str, Recipe]] = {
    "afmoe": replace(
        _POST_NORMS,
        upstream="afmoe.cpp",
        embedding=Embedding.SCALED,
        qk_norm=QkNorm.BEFORE,
        rope=Rope.NOT_LAST_OF_4,
        out_gate="SIGMOID",
        out_bias=False,
        post_ffn_pin=True,
        rows=Rows.POST_NORM,
        moe=KEYED,
    ),
    "apertus": Recipe(upstream="apertus.cpp", qk_norm=QkNorm.BEFORE, rope_factors=True, act="XIELU"),
    "arcee": Recipe(upstream="arcee.cpp", rope_factors=True, act="RELU_SQR"),
    "baichuan": Recipe(upstream="baichuan.cpp", rope=Rope.AT_32_LAYERS),
    "bailingmoe": Recipe(
        upstream="bailingmoe.cpp", rope_factors=True, moe=Moe(norm=None, weights_scale=True, shared=Shared.PLAIN)
    ),
    "bailingmoe2": Recipe(upstream="bailingmoe2.cpp", qk_norm=QkNorm.BEFORE, moe=KEYED),
    "bloom": replace(_GPT2, upstream="bloom.cpp", embedding=Embedding.NORMED),
    "chatglm": Recipe(upstream="chatglm.cpp", act="SWIGLU"),
    "codeshell": Recipe(upstream="codeshell.cpp", norm="layer", act="GELU"),
    # Reserved for text: images would take the visual experts' weights. Logits are computed for every row.
    "cogvlm": Recipe(upstream="cogvlm.cpp", qkv=attn.bare_qkv, out_bias=False, rows=Rows.ALL),
    "cohere2": replace(_COMMAND_R, upstream="cohere2.cpp", rope=Rope.SLIDING, rope_factors=True, ffn_scale=True),
    "command-r": replace(_COMMAND_R, upstream="command-r.cpp", qk_norm=QkNorm.BEFORE, qk_norm_kind="layer"),
    "dbrx": Recipe(upstream="dbrx.cpp", norm="layer", ffn_norm="attn_output_norm", out_bias=False, moe=Moe()),
    "deepseek": Recipe(
        upstream="deepseek.cpp", rope_factors=True, moe=Moe(norm=False, weights_scale=True, shared=Shared.PLAIN)
    ),
    "deepseek2-ocr": Recipe(
        upstream="deepseek2.cpp",
        moe=Moe(gating_key=True, norm=None, weights_scale=True, shared=Shared.PLAIN),
        output_scale=False,
        feed=lead_dense_feed,
    ),
    "dots1": Recipe(upstream="dots1.cpp", qk_norm=QkNorm.BEFORE, moe=KEYED),
    # Diffusion models: every token of the batch attends to every other, and there is no KV cache.
    "dream": Recipe(upstream="dream.cpp", cache=False, output_bias=False),
    "ernie4_5": Recipe(upstream="ernie4-5.cpp", out_bias=False),
    "exaone": Recipe(upstream="exaone.cpp", rope_factors=True),
    "exaone-moe": Recipe(
        upstream="exaone-moe.cpp", qk_norm=QkNorm.BEFORE, rope=Rope.SLIDING, rope_factors=True, moe=KEYED
    ),
    "exaone4": replace(
        _POST_NORMS,
        upstream="exaone4.cpp",
        attn_norm="",
        ffn_norm="",
        qk_norm=QkNorm.BEFORE,
        rope=Rope.SLIDING_IF_ANY,
        rope_factors=True,
    ),
    "falcon": Recipe(upstream="falcon.cpp", norm="layer", ffn_norm="", parallel="ffn+attn+x", act="GELU"),
    "gemma": Recipe(upstream="gemma.cpp", embedding=Embedding.SCALED, q_scale=True, act="GELU"),
    "gemma2": replace(
        _POST_NORMS,
        upstream="gemma2.cpp",
        embedding=Embedding.SCALED,
        act="GELU",
        q_scale=True,
        softcap=True,
        logit_softcap=When.ALWAYS,
    ),
    "gemma3": replace(
        _POST_NORMS,
        upstream="gemma3.cpp",
        embedding=Embedding.SCALED_TOKENS,
        act="GELU",
        qk_norm=QkNorm.BEFORE,
        q_scale=True,
        logit_softcap=When.HEADER,
    ),
    "glm4": replace(_POST_NORMS, upstream="glm4.cpp", positions=0, post_ffn_pin=True, act="SWIGLU"),
    "glm4moe": Recipe(
        upstream="glm4-moe.cpp",
        ffn_norm="post_attention_norm",
        qk_norm=QkNorm.BEFORE,
        positions=0,
        moe=replace(KEYED, shared=Shared.ALWAYS),
    ),
    "gpt-oss": Recipe(
        upstream="openai-moe.cpp",
        sinks=True,
        ffn_norm="post_attention_norm",
        moe=Moe(act="SWIGLU_OAI", gating=Gating.SOFTMAX_WEIGHT, norm=False),
        rows=Rows.END,
    ),
    "gpt2": replace(_GPT2, upstream="gpt2.cpp"),
    "granite": replace(_GRANITE, rope=Rope.FINETUNED, deepstack=granite.deepstack),
    "granite_swa": replace(
        _GRANITE,
        upstream="granite-swa.cpp",
        rope=Rope.PATTERN,
        sinks=True,
        moe=Moe(shared=Shared.PLAIN, act_shared="SWIGLU"),
        deepstack=granite.deepstack,
    ),
    "granitehybrid": replace(
        _GRANITE,
        upstream="granite-hybrid.cpp",
        rope=Rope.FINETUNED,
        logit_scale=When.HEADER,
        attention=mixing(mamba2),
    ),
    "granitemoe": _GRANITE,
    "hunyuan-dense": Recipe(upstream="hunyuan-vl.cpp", qk_norm=QkNorm.AFTER, rope_factors=True),
    "hunyuan-moe": Recipe(
        upstream="hunyuan-moe.cpp", qk_norm=QkNorm.AFTER, rope_factors=True, moe=Moe(shared=Shared.PLAIN)
    ),
    "hunyuan_vl": Recipe(upstream="hunyuan-vl.cpp", qk_norm=QkNorm.AFTER, rope_factors=True, positions=0),
    "hy_v3": Recipe(
        upstream="hy-v3.cpp",
        qk_norm=QkNorm.BEFORE,
        rope_factors=True,
        ffn_scale=True,
        moe=replace(KEYED, scales=True, shared=Shared.ALWAYS, shared_scale=True),
        rows=Rows.NORMED,
    ),
    "internlm2": Recipe(upstream="internlm2.cpp"),
    "jais": Recipe(upstream="jais.cpp", norm="layer", rope=Rope.NONE),
    "jais2": Recipe(upstream="jais2.cpp", norm="layer", act="RELU_SQR"),
    "jamba": Recipe(
        upstream="jamba.cpp",
        rope=Rope.NONE,
        residual_first=True,
        out_bias=False,
        moe=Moe(norm=False),
        attention=mixing(mamba),
    ),
    "laguna": Recipe(
        upstream="laguna.cpp",
        qk_norm=QkNorm.BEFORE,
        out_gate="SOFTPLUS",
        out_bias=False,
        moe=KEYED,
        output_scale=False,
    ),
    "lfm2": lfm2.RECIPE,
    "lfm2moe": replace(lfm2.RECIPE, moe=Moe(gating_key=True)),
    "llada": Recipe(upstream="llada.cpp", cache=False, out_bias=False, ffn_bias=False),
    "llada-moe": Recipe(upstream="llada-moe.cpp", cache=False, qk_norm=QkNorm.BEFORE, moe=Moe(norm=False)),
    "llama": Recipe(upstream="llama.cpp", rope_factors=True, ffn_scale=True, moe=Moe(scales=True)),
    "maincoder": Recipe(upstream="maincoder.cpp", qk_norm=QkNorm.AFTER),
    "mamba": Recipe(upstream="mamba.cpp", has_ffn=False, attention=mixing(mamba)),
    "mamba2": Recipe(upstream="mamba.cpp", has_ffn=False, attention=mixing(mamba2)),
    "maple": Recipe(upstream="maple.cpp", qk_norm=QkNorm.BEFORE, rope=Rope.SLIDING, moe=Moe()),
    "mellum": Recipe(upstream="mellum.cpp", qk_norm=QkNorm.BEFORE, moe=Moe(scales=True)),
    "minicpm": replace(_GRANITE, moe=Moe(), defaults={"embedding_scale": 12.0, "residual_scale": 1.4}),
    "minicpm3": Recipe(
        upstream="minicpm3.cpp",
        embedding=Embedding.SCALED,
        rope_factors=True,
        residual_scale=When.ALWAYS,
        hidden_scale=True,
        attention=latent_attention,
    ),
    "minimax-m2": Recipe(
        upstream="minimax-m2.cpp", qk_norm=QkNorm.WHOLE, moe=Moe(gating=Gating.SIGMOID, gating_key=True)
    ),
    "mistral3": Recipe(
        upstream="mistral3.cpp", rope_factors=True, attn_temp=True, ffn_scale=True, moe=Moe(scales=True)
    ),
    # Query and key norms of mpt cannot run: they reshape views of the fused projection, which ggml refuses.
    "mpt": replace(_GPT2, upstream="mpt.cpp"),
    "muse-glimmer": replace(
        _POST_NORMS,
        upstream="muse-glimmer.cpp",
        embedding=Embedding.NORMED,
        qk_norm=QkNorm.BEFORE,
        rope=Rope.SLIDING,
        out_gate="SIGMOID",
        out_bias=False,
        post_attn_pin=False,
        rows=Rows.POST_NORM,
        logit_scale=When.ALWAYS,
        logit_softcap=When.HEADER,
    ),
    "nemotron": Recipe(upstream="nemotron.cpp", norm="layer", act="RELU_SQR"),
    "olmo": Recipe(upstream="olmo.cpp", norm="layer"),
    "olmo2": replace(_POST_NORMS, upstream="olmo2.cpp", attn_norm="", ffn_norm="", qk_norm=QkNorm.WHOLE),
    "olmoe": Recipe(upstream="olmoe.cpp", qk_norm=QkNorm.WHOLE, moe=Moe(norm=False)),
    "orion": Recipe(upstream="orion.cpp", norm="layer"),
    "paddleocr": Recipe(upstream="paddleocr.cpp", positions=4),
    "pangu-embedded": Recipe(upstream="pangu-embed.cpp"),
    "phi2": Recipe(upstream="phi2.cpp", norm="layer", ffn_norm="", q_scale=True, parallel="attn+ffn+x", act="GELU"),
    "phi3": _PHI3,
    "phimoe": _PHI3,
    "plamo": Recipe(upstream="plamo.cpp", ffn_norm="", parallel="ffn+attn+x"),
    "plamo3": replace(
        _POST_NORMS,
        upstream="plamo3.cpp",
        qkv=attn.bare_qkv,
        qk_norm=QkNorm.BEFORE,
        out_bias=False,
        post_ffn_pin=True,
        act="SWIGLU",
    ),
    "pockettts": Recipe(upstream="pockettts.cpp", norm="layer", act="GELU"),
    "qwen": Recipe(upstream="qwen.cpp"),
    "qwen2": Recipe(upstream="qwen2.cpp"),
    "qwen2moe": Recipe(upstream="qwen2moe.cpp", moe=Moe(norm=False, shared=Shared.SILU_GATED)),
    "qwen2vl": Recipe(upstream="qwen2vl.cpp", positions=4, output_bias=False),
    "qwen3": Recipe(upstream="qwen3.cpp", qk_norm=QkNorm.BEFORE, ffn_scale=True),
    "qwen35": replace(_QWEN35, upstream="qwen35.cpp", ffn_scale=True, embedding_out=True),
    "qwen35moe": replace(_QWEN35, upstream="qwen35moe.cpp", moe=_QWEN35_MOE),
    "qwen3moe": Recipe(upstream="qwen3moe.cpp", qk_norm=QkNorm.BEFORE, moe=Moe(scales=True)),
    "qwen3next": replace(
        _QWEN35, upstream="qwen3next.cpp", positions=1, attention=qwen3next.grouped_block, moe=_QWEN35_MOE
    ),
    "qwen3tts": _QWEN3VL,
    "qwen3vl": _QWEN3VL,
    "qwen3vlmoe": Recipe(
        upstream="qwen3vlmoe.cpp", qk_norm=QkNorm.BEFORE, positions=4, deepstack=qwen3vl.deepstack, moe=Moe()
    ),
    # refact loads experts and biases that its graph does not read.
    "refact": Recipe(upstream="refact.cpp", rope=Rope.NONE, out_bias=False, ffn_bias=False),
    "rnd1": Recipe(upstream="rnd1.cpp", cache=False, qk_norm=QkNorm.BEFORE, moe=Moe()),
    "seed_oss": Recipe(upstream="seed-oss.cpp", ffn_norm="post_attention_norm"),
    "smollm3": Recipe(upstream="smollm3.cpp", rope=Rope.NOT_LAST_OF_4),
    "spark2_5": Recipe(upstream="spark2-5.cpp", out_gate="SIGMOID", out_bias=False, act="GELU", output_scale=False),
    "starcoder": replace(_GPT2, upstream="starcoder.cpp"),
    "starcoder2": Recipe(upstream="starcoder2.cpp", norm="layer", act="GELU"),
    "step35": Recipe(
        upstream="step35.cpp",
        qkv_copied=True,
        qk_norm=QkNorm.BEFORE,
        rope_factors=True,
        rope_factors_sliding=False,
        out_gate="SIGMOID",
        out_bias=False,
        moe=KEYED,
        rows=Rows.END,
    ),
    "xverse": Recipe(upstream="xverse.cpp"),
}

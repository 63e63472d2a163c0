"""Encoders of every kind: the keys and tensors that llama.cpp's loader asks for, at the sizes of published models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from tests.headers import Item, TensorRow, Typed
from tests.projectors import Tower, matrix, norm, patches, positions, two, vector


def _qwen(tower: Tower) -> Iterator[TensorRow]:
    is_third = tower.kind == "qwen3vl_merger"
    yield from patches(tower, frames=2, biased=is_third)
    yield from norm("v.post_ln", tower.n_embd, shifted=tower.shifted)
    yield from two(tower, "mm.0", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)
    if is_third:
        yield positions(tower, 48 * 48)
        for il in tower.deepstack:
            yield from norm(f"v.deepstack.{il}.norm", 4 * tower.n_embd)
            yield from two(
                tower, f"v.deepstack.{il}.fc1", f"v.deepstack.{il}.fc2", 4 * tower.n_embd, hidden=4 * tower.n_embd
            )


def _gemma3(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower), positions(tower), *norm("v.post_ln", tower.n_embd))
    yield vector("mm.soft_emb_norm.weight", tower.n_embd)
    yield "mm.input_projection.weight", tower.weights, (tower.output, tower.n_embd)


def _gemma4(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower, biased=False), vector("v.position_embd.weight", tower.n_embd, 10240, 2))
    yield from (vector("v.std_bias", tower.n_embd), vector("v.std_scale", tower.n_embd))
    yield "mm.input_projection.weight", tower.weights, (tower.n_embd, tower.output)


def _gemma4_unified(tower: Tower) -> Iterator[TensorRow]:
    area = (tower.patch * 3) ** 2 * 3
    yield "v.patch_embd.weight", tower.weights, (area, tower.n_embd)
    yield vector("v.patch_embd.bias", tower.n_embd)
    yield vector("v.position_embd.weight", tower.n_embd, 1024, 2)
    for i, width in enumerate((area, tower.n_embd, tower.n_embd), 1):
        yield from norm(f"v.patch_norm.{i}", width)
    yield "mm.input_projection.weight", tower.weights, (tower.n_embd, tower.output)


def _frames(tower: Tower) -> Iterator[TensorRow]:
    yield "mm.a.input_projection.weight", tower.weights, (640, tower.output)


def _pixtral(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower, biased=False), *norm("v.pre_ln", tower.n_embd, shifted=False))
    yield from two(tower, "mm.1", "mm.2", tower.n_embd)
    if tower.kind == "pixtral":
        yield vector("v.token_embd.img_break", tower.output)
    if "spatial_merge_size" in tower.keys:
        yield vector("mm.input_norm.weight", tower.n_embd)
        yield "mm.patch_merger.weight", tower.weights, (tower.n_embd * 4, tower.n_embd)


def _internvl(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower), vector("v.class_embd", tower.n_embd), positions(tower, tower.n_patches + 1))
    yield from (
        *norm("mm.model.mlp.0", 4 * tower.n_embd),
        *two(tower, "mm.model.mlp.1", "mm.model.mlp.3", 4 * tower.n_embd),
    )


def _idefics3(tower: Tower) -> Iterator[TensorRow]:
    merge = int(tower.keys["projector.scale_factor"])  # type: ignore[arg-type]
    yield from (*patches(tower), positions(tower), *norm("v.post_ln", tower.n_embd))
    yield from matrix(tower, "mm.model.fc", merge**2 * tower.n_embd, tower.output, biased=False)


def _llava(tower: Tower) -> Iterator[TensorRow]:
    yield from (
        *patches(tower, biased=False),
        vector("v.class_embd", tower.n_embd),
        positions(tower, tower.n_patches + 1),
    )
    yield from (*norm("v.pre_ln", tower.n_embd), *two(tower, "mm.0", "mm.2", tower.n_embd))


def _minicpmv(tower: Tower) -> Iterator[TensorRow]:
    n = tower.output
    yield from (*patches(tower), positions(tower, 70 * 70), *norm("v.post_ln", tower.n_embd))
    yield from (vector("resampler.pos_embed_k", n, 70 * 70), vector("resampler.query", n, 64))
    yield "resampler.proj.weight", tower.weights, (n, n)
    yield from matrix(tower, "resampler.kv", tower.n_embd, n, biased=False)
    for part in ("q", "k", "v", "out"):
        yield from matrix(tower, f"resampler.attn.{part}", n, n)
    for part in ("q", "kv", "post"):
        yield from norm(f"resampler.ln_{part}", n)


def _llama4(tower: Tower) -> Iterator[TensorRow]:
    yield "v.patch_embd.weight", tower.weights, (tower.patch**2 * 3, tower.n_embd)
    yield from (vector("v.class_embd", tower.n_embd), positions(tower, tower.n_patches + 1))
    yield from (*norm("v.pre_ln", tower.n_embd), *norm("v.post_ln", tower.n_embd))
    yield from matrix(tower, "mm.model.mlp.1", tower.n_ff, 4096, biased=False)
    yield from matrix(tower, "mm.model.mlp.2", 4096, 4096, biased=False)
    yield from matrix(tower, "mm.model.fc", 4096, tower.output, biased=False)


def _merging(tower: Tower) -> Iterator[TensorRow]:
    """Kimi-VL, PaddleOCR-VL, LFM2-VL: a norm and two layers over merged patches."""
    yield from (*patches(tower), positions(tower), *norm("v.post_ln", tower.n_embd))
    yield from norm("mm.input_norm", 4 * tower.n_embd if tower.kind == "lfm2" else tower.n_embd)
    yield from two(tower, "mm.1", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)


def _glm4v(tower: Tower) -> Iterator[TensorRow]:
    n = tower.output
    yield from (*patches(tower, frames=2), positions(tower), *norm("v.norm_embd", tower.n_embd, shifted=False))
    yield from norm("v.post_ln", tower.n_embd, shifted=False)
    yield "mm.patch_merger.weight", "f16", (2, 2, tower.n_embd, n)
    yield vector("mm.patch_merger.bias", n)
    yield from (*matrix(tower, "mm.model.fc", n, n, biased=False), *norm("mm.post_norm", n))
    for part in ("up", "gate"):
        yield from matrix(tower, f"mm.{part}", n, 3 * n, biased=False)
    yield from matrix(tower, "mm.down", 3 * n, n, biased=False)


def _plain(first: str, second: str) -> Callable[[Tower], Iterator[TensorRow]]:
    """A tower and two layers per patch."""

    def rows(tower: Tower) -> Iterator[TensorRow]:
        yield from (*patches(tower), positions(tower), *norm("v.post_ln", tower.n_embd))
        yield from two(tower, first, second, tower.n_embd)

    return rows


def _whisper(tower: Tower) -> Iterator[TensorRow]:
    n, out = tower.n_embd, tower.output
    yield from (positions(tower, 1500), *norm("a.post_ln", n))
    for i, channels in enumerate((128, n), 1):
        yield f"a.conv1d.{i}.weight", "f16", (3, channels, n)
        yield vector(f"a.conv1d.{i}.bias", 1, n)
    stacked = n * int(tower.keys.get("projector.stack_factor", 1))  # type: ignore[arg-type]
    if tower.kind == "qwen2a":
        yield from matrix(tower, "mm.a.fc", n, out)
    elif tower.kind == "ultravox":
        yield from (vector("mm.a.norm_pre.weight", stacked), vector("mm.a.norm_mid.weight", out // 2))
        yield from matrix(tower, "mm.a.mlp.1", stacked, out, biased=False)
        yield from matrix(tower, "mm.a.mlp.2", out // 2, out, biased=False)
    elif tower.kind == "meralion":
        yield from (*norm("mm.a.norm_pre", stacked), *matrix(tower, "mm.a.mlp.0", stacked, 6400))
        for i in (1, 2, 3):
            yield from matrix(tower, f"mm.a.mlp.{i}", 6400, out if i == 3 else 6400)
    else:
        yield from two(tower, "mm.a.mlp.1", "mm.a.mlp.2", stacked)
    if tower.kind == "glma":
        yield from (*norm("mm.a.norm_pre", n), vector("v.boi", out), vector("v.eoi", out))


def _dots_ocr(tower: Tower) -> Iterator[TensorRow]:
    yield from (
        *patches(tower),
        *norm("mm.post_norm", tower.n_embd, shifted=False),
        *norm("mm.input_norm", tower.n_embd),
    )
    yield from two(tower, "mm.0", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)


def _nemotron(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower), vector("v.class_embd", tower.n_embd, 10), positions(tower))
    yield vector("mm.model.mlp.0.weight", 4 * tower.n_embd)
    yield from two(tower, "mm.model.mlp.1", "mm.model.mlp.3", 4 * tower.n_embd, hidden=20480, biased=False)


def _kimik25(tower: Tower) -> Iterator[TensorRow]:
    yield from (
        *patches(tower),
        vector("v.position_embd.weight", tower.n_embd, 64, 64),
        *norm("v.post_ln", tower.n_embd),
    )
    yield from norm("mm.input_norm", tower.n_embd)
    yield from two(tower, "mm.1", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)


def _hunyuan(tower: Tower) -> Iterator[TensorRow]:
    n, out = tower.n_embd, tower.output
    yield from (
        *patches(tower),
        positions(tower),
        vector("mm.pre_norm.weight", n),
        vector("mm.post_norm.weight", out),
    )
    for name, side, n_in, n_out in (("mm.0", 2, n, 2 * n), ("mm.2", 1, 2 * n, 4 * n)):
        yield f"{name}.weight", "f16", (side, side, n_in, n_out)
        yield vector(f"{name}.bias", n_out)
    yield from (*matrix(tower, "mm.model.fc", 4 * n, out), vector("v.image_newline", 4 * n))
    yield from (vector("mm.image_begin", out), vector("mm.image_end", out))


def _yi(tower: Tower) -> Iterator[TensorRow]:
    yield from [row for row in _llava(tower) if not row[0].startswith("mm.")]  # type: ignore[index]
    for i, n_in in ((0, tower.n_embd), (3, tower.output)):
        yield from (*matrix(tower, f"mm.{i}", n_in, tower.output), *norm(f"mm.{i + 1}", tower.output))


def _granite(tower: Tower) -> Iterator[TensorRow]:
    yield from [row for row in _llava(tower) if not row[0].startswith(("mm.", "v.class"))]  # type: ignore[index]
    yield from two(tower, "mm.0", "mm.2", 4 * tower.n_embd)


def _mobilevlm(tower: Tower) -> Iterator[TensorRow]:
    yield from [row for row in _llava(tower) if not row[0].startswith("mm.")]  # type: ignore[index]
    yield from two(tower, "mm.model.mlp.0", "mm.model.mlp.2", tower.n_embd)
    yield "mm.model.peg.0.weight", "f16", (3, 3, 1, tower.output)
    yield vector("mm.model.peg.0.bias", tower.output)


def _glm_edge(tower: Tower) -> Iterator[TensorRow]:
    n, out = tower.n_embd, tower.output
    yield from (*patches(tower), positions(tower))
    yield "adapter.conv.weight", "f16", (2, 2, n, n)
    yield vector("adapter.conv.bias", n)
    yield from (*matrix(tower, "adapter.linear.linear", n, out, biased=False), *norm("adapter.linear.norm1", out))
    for name in ("dense_h_to_4h", "gate"):
        yield from matrix(tower, f"adapter.linear.{name}", out, 3 * out, biased=False)
    yield from matrix(tower, "adapter.linear.dense_4h_to_h", 3 * out, out, biased=False)
    yield from (vector("adapter.boi", out), vector("adapter.eoi", out))


def _cogvlm(tower: Tower) -> Iterator[TensorRow]:
    n, out = tower.n_embd, tower.output
    yield from (*patches(tower), vector("v.class_embd", n), positions(tower, tower.n_patches + 1))
    yield from (*matrix(tower, "mm.model.fc", n, out, biased=False), *norm("mm.post_fc_norm", out))
    for name in ("up", "gate"):
        yield from matrix(tower, f"mm.{name}", out, 3 * out, biased=False)
    yield from (*matrix(tower, "mm.down", 3 * out, out, biased=False), vector("v.boi", out), vector("v.eoi", out))


def _minicpmv46(tower: Tower) -> Iterator[TensorRow]:
    n = tower.n_embd
    yield from (*patches(tower), positions(tower, 70 * 70), *norm("v.post_ln", n), *norm("mm.input_norm", 4 * n))
    yield from two(tower, "mm.up", "mm.down", 4 * n, hidden=4 * n)
    if tower.keys.get("projector.scale_factor") != 2:
        for part in ("q", "k", "v", "out"):
            yield from matrix(tower, f"v.vit_merger.attn_{part}", n, n)
        yield from (*norm("v.vit_merger.ln1", n), *norm("v.vit_merger.ds_ln", 4 * n))
        yield from (
            *matrix(tower, "v.vit_merger.ds_ffn_up", 4 * n, n),
            *matrix(tower, "v.vit_merger.ds_ffn_down", n, n),
        )


def _ling3vl(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower, frames=2), positions(tower, 48 * 48), *norm("mm.input_norm", tower.n_embd))
    yield from two(tower, "mm.0", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)


def _minimax(tower: Tower) -> Iterator[TensorRow]:
    out = tower.output
    yield from (*patches(tower, frames=2, biased=False), *norm("v.pre_ln", tower.n_embd))
    yield from (*two(tower, "mm.1", "mm.2", tower.n_embd), *two(tower, "mm.merger.fc1", "mm.merger.fc2", 4 * out))


def _step3(tower: Tower) -> Iterator[TensorRow]:
    n = tower.n_embd
    yield from (*patches(tower), positions(tower), *norm("v.pre_ln", n))
    for name, n_in, n_out in (("mm.0", n, 2 * n), ("mm.1", 2 * n, 4 * n)):
        yield f"{name}.weight", "f16", (3, 3, n_in, n_out)
        yield vector(f"{name}.bias", n_out)
    yield from matrix(tower, "mm.model.fc", 4 * n, tower.output, biased=False)


def _mimovl(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower, frames=2, biased=False), *norm("v.post_ln", tower.n_embd))
    for il, mode in enumerate(_MODES):
        if mode >= 0:
            yield vector(f"v.blk.{il}.attn_sinks", tower.n_head)
    yield from two(tower, "mm.0", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd, biased=False)


def _deepseek4(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower), *norm("v.post_ln", tower.n_embd, shifted=False))
    yield from two(tower, "mm.1", "mm.2", 9 * tower.n_embd)
    for name in ("v.image_newline", *(f"v.token_embd.img_{part}" for part in ("start", "end", "pad"))):
        yield vector(name, tower.output)


def _shrinking(tower: Tower) -> Iterator[TensorRow]:
    is_dots = tower.kind == "dots3note_a"
    n, second = tower.n_embd, "mm.a.mlp.3" if is_dots else "mm.a.mlp.2"
    yield from norm("a.post_ln", n, shifted=tower.shifted)
    for i in (1, 2, 3):
        yield f"a.conv2d.{i}.weight", "f16", (3, 3, 1 if i == 1 else 480, 480)
        yield vector(f"a.conv2d.{i}.bias", 480)
    yield from (*matrix(tower, "a.conv_out", 7680, n, biased=False), *two(tower, "mm.a.mlp.1", second, n))
    if is_dots:
        yield from norm("mm.a.norm_pre", n)
    else:
        yield positions(tower, 1500)


def _conformer(tower: Tower) -> Iterator[TensorRow]:
    n, kernel = tower.n_embd, 5
    for i, (n_in, n_out) in enumerate(((1, 128), (128, 32))):
        yield f"a.conv1d.{i}.weight", "f16", (3, 3, n_in, n_out)
        yield vector(f"a.conv1d.{i}.norm.weight", n_out)
    yield from (
        *matrix(tower, "a.input_projection", 1024, n, biased=False),
        *matrix(tower, "a.pre_encode.out", n, 1536),
    )
    yield from matrix(tower, "mm.a.input_projection", 1536, tower.output, biased=False)
    for il in range(tower.n_layer):
        block = f"a.blk.{il}"
        for part in ("ffn_norm", "ffn_norm_1", "ffn_post_norm_1", "attn_pre_norm", "conv_norm", "norm_conv"):
            yield vector(f"{block}.{part}.weight", n)
        yield from (vector(f"{block}.per_dim_scale.weight", tower.width), vector(f"{block}.conv_dw.weight", kernel, n))
        yield from (
            *matrix(tower, f"{block}.conv_pw1", n, 2 * n, biased=False),
            *matrix(tower, f"{block}.conv_pw2", n, n, biased=False),
        )
        yield from (
            *matrix(tower, f"{block}.ffn_up_1", n, tower.n_ff, biased=False),
            *matrix(tower, f"{block}.attn_k_rel", n, n, biased=False),
        )
        yield from matrix(tower, f"{block}.ffn_down_1", tower.n_ff, n, biased=False)


def _ldp(tower: Tower) -> Iterator[TensorRow]:
    out = tower.output
    yield from [row for row in _llava(tower) if not row[0].startswith("mm.")]  # type: ignore[index]
    yield from two(tower, "mm.model.mlp.1", "mm.model.mlp.3", tower.n_embd)
    for name in ("mm.model.mb_block.1.block", "mm.model.mb_block.2.block"):
        yield f"{name}.0.0.weight", "f16", (3, 3, 1, out)
        yield from (*norm(f"{name}.0.1", out), *norm(f"{name}.2.1", out))
        yield from (*matrix(tower, f"{name}.1.fc1", out, 512), *matrix(tower, f"{name}.1.fc2", 512, out))
        yield from matrix(tower, f"{name}.2.0", out, out, biased=False)


def _youtu(tower: Tower) -> Iterator[TensorRow]:
    yield "v.patch_embd.weight", tower.weights, (tower.patch**2 * 3, tower.n_embd)
    yield from (vector("v.patch_embd.bias", tower.n_embd), *norm("v.post_ln", tower.n_embd))
    yield vector("mm.input_norm.weight", tower.n_embd)
    yield from two(tower, "mm.0", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)


def _glimmer(tower: Tower) -> Iterator[TensorRow]:
    yield from (
        *patches(tower),
        positions(tower, 32 * 32),
        *norm("v.pre_ln", tower.n_embd),
        *norm("v.post_ln", tower.n_embd),
    )
    for i, (n_in, n_out) in enumerate(((4 * tower.n_embd, 4096), (4096, 4096), (4096, tower.output))):
        yield from matrix(tower, f"mm.{i}", n_in, n_out, biased=False)


def _subsampling() -> Iterator[TensorRow]:
    """The convolutions before a conformer."""
    for i, shape in (
        (0, (3, 3, 1, 256)),
        (2, (3, 3, 1, 256)),
        (3, (1, 1, 256, 256)),
        (5, (3, 3, 1, 256)),
        (6, (1, 1, 256, 256)),
    ):
        yield f"a.conv1d.{i}.weight", "f16", shape
        yield vector(f"a.conv1d.{i}.bias", 1, 1, 256)


def _lfm2_audio(tower: Tower) -> Iterator[TensorRow]:
    n = tower.n_embd
    yield from (positions(tower, 1500), *matrix(tower, "a.pre_encode.out", 4096, n))
    yield from _subsampling()
    yield from (*norm("mm.a.mlp.0", n), *two(tower, "mm.a.mlp.1", "mm.a.mlp.3", n))
    for il in range(tower.n_layer):
        block = f"a.blk.{il}"
        yield from matrix(tower, f"{block}.linear_pos", n, n, biased=False)
        # The one projection that Whisper's towers leave without a bias.
        yield vector(f"{block}.attn_k.bias", n)
        for part in ("ffn_norm", "ffn_norm_1", "norm_conv", "conv_norm"):
            yield from norm(f"{block}.{part}", n)
        yield from (vector(f"{block}.pos_bias_{part}", tower.width, tower.n_head) for part in "uv")
        yield from (
            *matrix(tower, f"{block}.ffn_up_1", n, tower.n_ff),
            *matrix(tower, f"{block}.ffn_down_1", tower.n_ff, n),
        )
        yield from (*matrix(tower, f"{block}.conv_pw1", n, 2 * n), *matrix(tower, f"{block}.conv_pw2", n, n))
        yield from (vector(f"{block}.conv_dw.weight", 9, n), vector(f"{block}.conv_dw.bias", n))


def _sam(tower: Tower) -> Iterator[TensorRow]:
    n, side = 768, 64
    yield "v.sam.patch_embd.weight", "f32", (16, 16, 3, n)
    yield from (vector("v.sam.patch_embd.bias", n), vector("v.sam.pos_embd.weight", n, side, side))
    for il in range(12):
        block = f"v.sam.blk.{il}"
        reach = 2 * (side if il in (2, 5, 8, 11) else 14) - 1
        yield from (*norm(f"{block}.pre_ln", n), *norm(f"{block}.post_ln", n))
        yield from (*matrix(tower, f"{block}.attn.qkv", n, 3 * n), *matrix(tower, f"{block}.attn.out", n, n))
        yield from (vector(f"{block}.attn.pos_{side_of}.weight", 64, reach) for side_of in "hw")
        yield from (*matrix(tower, f"{block}.mlp.lin1", n, 4 * n), *matrix(tower, f"{block}.mlp.lin2", 4 * n, n))
    for name, size, n_in, n_out in (
        ("neck.0", 1, n, 256), ("neck.2", 3, 256, 256), ("net_2", 3, 256, 512), ("net_3", 3, 512, tower.keys["out"])
    ):  # fmt: skip
        yield f"v.sam.{name}.weight", "f16", (size, size, n_in, n_out)  # type: ignore[misc]
    yield from (*norm("v.sam.neck.1", 256), *norm("v.sam.neck.3", 256), vector("v.view_seperator", tower.output))
    if tower.kind == "deepseekocr":
        yield from (vector("v.image_newline", tower.output), vector("v.class_embd", tower.n_embd))
        yield from (
            positions(tower, 257),
            *norm("v.pre_ln", tower.n_embd),
            *matrix(tower, "mm.model.fc", 2048, tower.output),
        )
    else:
        yield from (
            vector("v.resample_query_1024.weight", tower.n_embd, 256),
            *norm("v.post_ln", tower.n_embd, shifted=False),
        )
        yield from matrix(tower, "mm.model.fc", tower.n_embd, tower.output)


def _queries(tower: Tower, block: str, n: int, seen: int, hidden: int) -> Iterator[TensorRow]:
    for attention, width in (("self_attn", n), ("cross_attn", seen)):
        for part in ("q", "k", "v", "out"):
            yield from matrix(tower, f"{block}.{attention}_{part}", n if part in ("q", "out") else width, n)
        yield from norm(f"{block}.{attention}_norm", n)
    yield from (*two(replace(tower, output=n), f"{block}.ffn_up", f"{block}.ffn_down", n, hidden=hidden),)
    yield from norm(f"{block}.ffn_norm", n)


def _granite4(tower: Tower) -> Iterator[TensorRow]:
    n = tower.n_embd
    yield from (*patches(tower), positions(tower), vector("v.image_newline", tower.output))
    for i in range(2):
        block = f"v.proj_blk.{i}"
        yield from (*norm(f"{block}.norm", n), *norm(f"{block}.post_norm", n), *_queries(tower, block, n, n, 3072))
        yield from (vector(f"{block}.query", n, 16), vector(f"{block}.img_pos", n, 64))
        yield from matrix(tower, f"{block}.linear", n, tower.output)


def _speech_layers(tower: Tower) -> Iterator[TensorRow]:
    n = tower.n_embd
    for il in range(tower.n_layer):
        block = f"a.blk.{il}"
        for part in ("ffn_norm", "ffn_norm_1", "norm_conv", "conv_norm"):
            yield from norm(f"{block}.{part}", n)
        yield from (
            *matrix(tower, f"{block}.ffn_up_1", n, tower.n_ff),
            *matrix(tower, f"{block}.ffn_down_1", tower.n_ff, n),
        )


def _granite_speech(tower: Tower) -> Iterator[TensorRow]:
    n, n_features = tower.n_embd, 1 + len(tower.deepstack)
    yield from (*_speech_layers(tower), *matrix(tower, "a.input_projection", 128, n))
    yield from (*matrix(tower, "a.enc_ctc_out", n, 348), *matrix(tower, "a.enc_ctc_out_mid", 348, n))
    for il in range(tower.n_layer):
        block = f"a.blk.{il}"
        yield vector(f"{block}.attn_rel_pos_emb", tower.width, 1025)
        yield from (*matrix(tower, f"{block}.conv_pw1", n, 4 * n), *matrix(tower, f"{block}.conv_pw2", 2 * n, n))
        yield vector(f"{block}.conv_dw.weight", 15, 2 * n)
    yield from (vector("a.proj_query", n, 3), *norm("a.proj_norm", n), *matrix(tower, "a.proj_linear", n, tower.output))
    for il in range(2):
        yield from _queries(tower, f"a.proj_blk.{il}", n, n_features * n, 4 * n)


def _parakeet(tower: Tower) -> Iterator[TensorRow]:
    n = tower.n_embd
    yield from (*_speech_layers(tower), *matrix(tower, "a.pre_encode.out", 4096, n))
    yield from _subsampling()
    for il in range(tower.n_layer):
        block = f"a.blk.{il}"
        yield from matrix(tower, f"{block}.linear_pos", n, n, biased=False)
        yield from (vector(f"{block}.pos_bias_{part}", tower.width, tower.n_head) for part in "uv")
        yield from (vector(f"{block}.conv_norm_mean", n), vector(f"{block}.conv_norm_var", n))
        yield from (*matrix(tower, f"{block}.conv_pw1", n, 2 * n), *matrix(tower, f"{block}.conv_pw2", n, n))
        yield vector(f"{block}.conv_dw.weight", 9, n)
    yield from (vector("a.mel_filters", 257, 128), vector("a.window", 400), vector("mm.a.norm_pre.weight", n))
    yield from two(tower, "mm.a.mlp.1", "mm.a.mlp.2", n, hidden=4096, biased=False)
    for i in (0, 1, 3):
        yield from matrix(tower, f"mm.model.mlp.{i}", 64, 64, biased=False)


def _mobilenet(tower: Tower) -> Iterator[TensorRow]:
    def conv(name: str, side: int, n_in: int, n_out: int) -> TensorRow:
        return f"{name}.weight", "f16", (side, side, n_in, n_out)

    def by_channel(name: str, side: int, n: int) -> TensorRow:
        return conv(name, side, 1, n)

    yield from (
        conv("v.conv_stem.conv", 3, 3, 64),
        vector("v.conv_stem.conv.bias", 1, 1, 64),
        vector("v.conv_stem.bn.weight", 64),
    )
    wide = 64
    for stage, (n, blocks) in enumerate(((128, "ee"), (256, "uuu"), (640, "uua"), (1280, "uaa"))):
        for i, kind in enumerate(blocks):
            name = f"v.blk.{stage}.{i}"
            if kind == "e":
                yield from (conv(f"{name}.conv_exp", 3, wide, 4 * wide), vector(f"{name}.bn1.weight", 4 * wide))
                yield from (conv(f"{name}.conv_pwl", 1, 4 * wide, n), vector(f"{name}.bn2.weight", n))
            elif kind == "u":
                yield from (by_channel(f"{name}.dw_start.conv", 5, wide), vector(f"{name}.dw_start.bn.weight", wide))
                yield from (
                    conv(f"{name}.pw_exp.conv", 1, wide, 6 * wide),
                    vector(f"{name}.pw_exp.bn.weight", 6 * wide),
                )
                if not i:
                    yield from (
                        by_channel(f"{name}.dw_mid.conv", 5, 6 * wide),
                        vector(f"{name}.dw_mid.bn.weight", 6 * wide),
                    )
                yield from (conv(f"{name}.pw_proj.conv", 1, 6 * wide, n), vector(f"{name}.pw_proj.bn.weight", n))
                yield vector(f"{name}.layer_scale.gamma", 1, 1, n)
            else:
                yield from (conv(f"{name}.attn.query.proj", 1, n, 768), conv(f"{name}.attn.output.proj", 1, 768, n))
                for part in ("key", "value"):
                    yield from (
                        conv(f"{name}.attn.{part}.proj", 1, n, 64),
                        vector(f"{name}.attn.{part}.norm.weight", n),
                    )
                    yield by_channel(f"{name}.attn.{part}.down_conv", 3, n)
                yield from (vector(f"{name}.norm.weight", n), vector(f"{name}.layer_scale.gamma", 1, 1, n))
            wide = n
    yield from (conv("v.msfa.ffn.pw_exp.conv", 1, 1920, 3840), vector("v.msfa.ffn.pw_exp.bn.weight", 3840))
    yield from (conv("v.msfa.ffn.pw_proj.conv", 1, 3840, 2048), vector("v.msfa.ffn.pw_proj.bn.weight", 2048))
    yield from (vector("v.msfa.norm.weight", 2048), vector("mm.soft_emb_norm.weight", 2048))
    yield from matrix(tower, "mm.input_projection", 2048, tower.output, biased=False)


def _dots3note(tower: Tower) -> Iterator[TensorRow]:
    n, n_expert = tower.n_embd, 32
    yield from _dots_ocr(tower)
    for il in range(tower.n_layer):
        block = f"v.blk.{il}"
        yield vector(f"{block}.ffn_gate_inp.weight", n, n_expert)
        yield vector(f"{block}.exp_probs_b.weight", n_expert)
        for part in ("gate", "up"):
            yield f"{block}.ffn_{part}_exps.weight", tower.weights, (n, 512, n_expert)
        yield f"{block}.ffn_down_exps.weight", tower.weights, (512, n, n_expert)


def _convnext(tower: Tower) -> Iterator[TensorRow]:
    yield from (*patches(tower), *norm("v.patch_ln", 192), vector("v.vision_pos_embed", 1536, 256))
    for stage, (n, blocks) in enumerate(((192, 2), (384, 2), (768, 3), (1536, 2))):
        if stage:
            yield from norm(f"v.stage.{stage}.down.ln", n // 2)
            yield f"v.stage.{stage}.down.conv.weight", "f16", (2, 2, n // 2, n)
            yield vector(f"v.stage.{stage}.down.conv.bias", n)
        for i in range(blocks):
            block = f"v.stage.{stage}.blk.{i}"
            yield f"{block}.dw.weight", "f16", (7, 7, 1, n)
            yield from (vector(f"{block}.dw.bias", n), *norm(f"{block}.ln", n), *norm(f"{block}.grn", 4 * n))
            yield from (*matrix(tower, f"{block}.pw1", n, 4 * n), *matrix(tower, f"{block}.pw2", 4 * n, n))
    yield from two(tower, "mm.0", "mm.2", 1536)


def _mimo_audio(tower: Tower) -> Iterator[TensorRow]:
    n = tower.n_embd
    for i, channels in enumerate((128, n), 1):
        yield f"a.conv1d.{i}.weight", "f16", (3, channels, n)
        yield vector(f"a.conv1d.{i}.bias", 1, n)
    yield "a.downsample.conv.weight", "f16", (2, n, n)
    yield from (*norm("a.downsample.norm", n), *norm("a.post_ln", n))
    yield from (vector("a.rvq.codebook.weight", n, 1024, 3), vector("mm.a.code_embd.weight", n, 1280, 3))
    for il in range(2):
        block = f"mm.a.local_blk.{il}"
        for part in ("q", "k", "v"):
            yield from matrix(tower, f"{block}.attn_{part}", n, n)
        yield from (*matrix(tower, f"{block}.attn_out", n, n, biased=False), *norm(f"{block}.ln1", n, shifted=False))
        for part in ("up", "gate"):
            yield from matrix(tower, f"{block}.ffn_{part}", n, tower.n_ff, biased=False)
        yield from matrix(tower, f"{block}.ffn_down", tower.n_ff, n, biased=False)
        yield from norm(f"{block}.ln2", n, shifted=False)
    yield vector("mm.a.local_norm.weight", n)
    yield from two(tower, "mm.a.mlp.1", "mm.a.mlp.2", 4 * n, biased=False)


def _speaker(tower: Tower) -> Iterator[TensorRow]:
    def conv(name: str, size: int, n_in: int, n_out: int) -> Iterator[TensorRow]:
        yield f"{name}.weight", "f16", (size, n_in, n_out)
        yield vector(f"{name}.bias", n_out)

    n = 512
    yield from (
        *conv("a.conv1d.0", 5, 128, n),
        *conv("a.conv_out", 1, 3 * n, 3 * n),
        *conv("mm.a.fc", 1, 6 * n, tower.output),
    )
    yield from (*conv("a.asp_tdnn", 1, 9 * n, 128), *conv("a.asp_attn", 1, 128, 3 * n))
    for il in (1, 2, 3):
        block = f"a.blk.{il}"
        yield from (*conv(f"{block}.conv_pw1", 1, n, n), *conv(f"{block}.conv_pw2", 1, n, n))
        yield from (*conv(f"{block}.se_conv1", 1, n, 128), *conv(f"{block}.se_conv2", 1, 128, n))
        for part in range(7):
            yield from conv(f"{block}.res2.{part}", 3, n // 8, n // 8)


def _voice(tower: Tower) -> Iterator[TensorRow]:
    def conv(name: str, size: int, n_in: int, n_out: int, *, biased: bool = True) -> Iterator[TensorRow]:
        yield f"{name}.weight", "f16", (size, n_in, n_out)
        if biased:
            yield vector(f"{name}.bias", n_out)

    yield from (*conv("a.seanet.conv_in", 7, 1, 64), *conv("a.seanet.conv_out", 3, 512, 512))
    for i, stride in enumerate((4, 5, 6)):
        n, name = 64 << i, f"a.seanet.blk.{i}"
        yield from (*conv(f"{name}.res_conv1", 3, n, n // 2), *conv(f"{name}.res_conv2", 1, n // 2, n))
        yield from conv(f"{name}.scale_conv", 2 * stride, n, 2 * n)
    yield from conv("a.downsample.conv", 32, 512, 32, biased=False)
    yield from matrix(tower, "a.speaker_proj", 32, tower.output, biased=False)


# -1 sees everything, 0 looks along rows, 1 along columns.
_MODES: Final = (-1, 0, 0, 1, 1, 0, 1, -1)
_SAM: Final[dict[str, Item]] = {
    "sam.block_count": 12, "sam.head_count": 12, "sam.embedding_length": 768, "window_size": 14
}  # fmt: skip
_MERGED: Final[Mapping[str, Item]] = {"spatial_merge_size": 2}
_SIGLIP: Final = Tower(
    kind="gemma3", n_embd=1152, n_ff=4304, n_layer=27, n_head=16, output=2560, image=896, rest=_gemma3
)
_CLIP: Final = Tower(kind="mlp", n_embd=1024, n_ff=4096, n_layer=24, n_head=16, output=4096, image=336, rest=_llava)
_WHISPER: Final = Tower(
    kind="ultravox", n_embd=1280, n_ff=5120, n_layer=32, n_head=20, output=4096, is_audio=True, rest=_whisper
)
_QWEN2: Final = Tower(
    kind="qwen2vl_merger", n_embd=1280, n_ff=5120, n_layer=32, n_head=16, output=3584, image=560, rest=_qwen
)
_QWEN3: Final = replace(
    _QWEN2, kind="qwen3vl_merger", n_embd=1152, n_ff=4304, n_layer=27, output=5120, patch=16, image=768, fused=True,
    keys={"spatial_merge_size": 2},
)  # fmt: skip
_PIXTRAL: Final = Tower(
    kind="pixtral", n_embd=1024, n_ff=4096, n_layer=24, n_head=16, output=5120, patch=16, image=1024, biased=False,
    shifted=False, gated=True, rest=_pixtral,
)  # fmt: skip

TOWERS: Final[Mapping[str, Tower]] = {
    "qwen2-vl": _QWEN2,
    "qwen2.5-vl": replace(
        _QWEN2, kind="qwen2.5vl_merger", n_ff=3420, gated=True, shifted=False, keys={"n_wa_pattern": 8}
    ),
    "qwen3.6-27b": _QWEN3,
    "qwen3-vl-8b": replace(_QWEN3, output=4096, deepstack=(8, 16, 24)),
    "gemma3-4b": _SIGLIP,
    "gemma4-31b": Tower(
        kind="gemma4v", n_embd=1152, n_ff=4304, n_layer=27, n_head=16, output=5376, patch=16, image=768, biased=False,
        shifted=False, gated=True, normed="attn_q_norm attn_k_norm attn_post_norm ffn_post_norm", rest=_gemma4,
    ),
    "gemma4-unified": Tower(
        kind="gemma4uv", n_embd=1152, n_ff=0, n_layer=0, n_head=0, output=2560, patch=16, rest=_gemma4_unified
    ),
    "pixtral-12b": _PIXTRAL,
    "mistral-small-3.1": replace(_PIXTRAL, patch=14, image=1540, keys=_MERGED),
    "lightonocr": replace(_PIXTRAL, kind="lightonocr", patch=14, image=1540, output=1024, keys=_MERGED),
    "internvl3-8b": replace(
        _CLIP, kind="internvl", output=3584, image=448, fused=False, normed="ls1 ls2",
        keys={"projector.scale_factor": 2}, rest=_internvl,
    ),
    "internvl-6b-tower": replace(
        _CLIP, kind="internvl", n_embd=3200, n_ff=12800, n_layer=45, n_head=25, output=5120, image=448, biased=False,
        shifted=False, normed="ls1 ls2", keys={"projector.scale_factor": 2}, rest=_internvl,
    ),
    "smolvlm-500m": replace(
        _SIGLIP, kind="idefics3", n_embd=768, n_ff=3072, n_layer=12, n_head=12, output=960, patch=16, image=512,
        keys={"projector.scale_factor": 4}, rest=_idefics3,
    ),
    "llava-1.5-7b": _CLIP,
    "minicpm-v-2.6": replace(
        _SIGLIP, kind="resampler", output=3584, image=448, keys={"minicpmv_version": Typed("i32", 3)}, rest=_minicpmv
    ),
    "llama4-scout": replace(
        _CLIP, kind="llama4", n_embd=1408, n_ff=5632, n_layer=34, output=5120, keys={"projector.scale_factor": 2},
        rest=_llama4,
    ),
    "lfm2-vl-1.6b": replace(
        _SIGLIP, kind="lfm2", output=2048, patch=16, image=256, keys={"projector.scale_factor": 2}, rest=_merging
    ),
    "kimi-vl": replace(_SIGLIP, kind="kimivl", output=2048, keys={"projector.scale_factor": 2}, rest=_merging),
    "paddleocr-vl": replace(
        _SIGLIP, kind="paddleocr", output=1024, image=384,
        keys={"image_min_pixels": 147384, "image_max_pixels": 2822400}, rest=_merging,
    ),
    "glm-4.6v": replace(
        _QWEN2, kind="glm4v", n_embd=1536, n_ff=10944, n_layer=24, n_head=12, output=4096, image=336, fused=True,
        biased=False, shifted=False, gated=True, rest=_glm4v,
    ),
    "glm-5v": replace(
        _QWEN2, kind="glm5v", n_embd=1536, n_ff=4096, n_layer=27, n_head=12, output=6144, image=336, fused=True,
        biased=False, shifted=False, gated=True, rest=_glm4v,
        keys={"image_min_pixels": 12544, "image_max_pixels": 9633792, "swiglu_clamp": 10.0},
    ),
    "janus-pro": replace(
        _CLIP, kind="janus_pro", output=4096, patch=16, image=384, rest=_plain("mm.0", "mm.1")
    ),
    "phi4": replace(
        _SIGLIP, kind="phi4", output=5120, patch=16, image=384,
        keys={"image_min_pixels": 65536, "image_max_pixels": 1048576}, rest=_plain("mm.0", "mm.2"),
    ),
    "gemma4-unified-audio": Tower(
        kind="gemma4ua", n_embd=640, n_ff=0, n_layer=0, n_head=0, output=2560, is_audio=True, rest=_frames
    ),
    "dots-ocr": replace(
        _PIXTRAL, kind="dots_ocr", n_embd=1536, n_ff=4224, n_layer=42, n_head=12, output=1536, patch=14, fused=True,
        keys={"projector.scale_factor": 2, "image_min_pixels": 3136, "image_max_pixels": 11289600}, rest=_dots_ocr,
    ),
    "nemotron-nano-v2-vl": replace(
        _SIGLIP, kind="nemotron_v2_vl", n_embd=1280, n_ff=5120, n_layer=32, output=5120, patch=16, image=512,
        fused=True, keys={"projector.scale_factor": 2}, rest=_nemotron,
    ),
    "kimi-k2.5": replace(
        _SIGLIP, kind="kimik25", output=7168, keys={"projector.scale_factor": 2}, rest=_kimik25
    ),
    "hunyuan-vl": replace(_SIGLIP, kind="hunyuanvl", output=1024, patch=16, image=2048, rest=_hunyuan),
    "yi-vl": replace(_CLIP, n_embd=1280, n_ff=5120, n_layer=32, image=448, rest=_yi),
    "granite-vision": replace(
        _SIGLIP, kind="mlp", output=2048, image=384, keys={"feature_layer": Typed("i32", [3, 7, 15, 26])}, rest=_granite
    ),
    "mobilevlm-v2": replace(_CLIP, kind="ldpv2", output=2048, rest=_mobilevlm),
    "mobilevlm": replace(_CLIP, kind="ldp", output=2048, rest=_ldp),
    "youtu-vl": replace(
        _SIGLIP, kind="youtuvl", output=2048, patch=16, rest=_youtu,
        keys={"window_size": 256, "wa_layer_indexes": Typed("i32", [7, 15, 23, 26])},
    ),
    "muse-glimmer": replace(
        _SIGLIP, kind="muse-glimmer", n_embd=1536, n_ff=6144, n_layer=16, output=6656, rest=_glimmer
    ),
    "lfm2-audio": replace(
        _WHISPER, kind="lfm2a", n_embd=512, n_ff=2048, n_layer=17, n_head=8, output=2048, rest=_lfm2_audio
    ),
    "deepseek-ocr": replace(
        _CLIP, kind="deepseekocr", output=1280, patch=16, image=1024, fused=True, rest=_sam,
        keys=_SAM | {"out": 1024},
    ),
    "deepseek-ocr-2": replace(
        _CLIP, kind="deepseekocr2", n_embd=896, n_ff=4864, n_head=14, n_kv=2, output=1280, patch=16, image=1024,
        shifted=False, gated=True, rest=_sam, keys=_SAM | {"out": 896, "attention.head_count_kv": 2},
    ),
    "granite4-vision": replace(
        _SIGLIP, kind="granite4_vision", output=2560, patch=16, image=384, rest=_granite4,
        keys={
            "feature_layer": Typed("i32", [12, 26]), "projector.spatial_offsets": Typed("i32", [-1, 0]),
            "projector.query_side": 4, "projector.window_side": 8,
        },
    ),
    "granite-speech": replace(
        _WHISPER, kind="granite_speech", n_embd=1024, n_ff=4096, n_layer=10, n_head=8, output=2048,
        rest=_granite_speech, deepstack=(3,),
        keys={
            "chunk_size": 200, "conv_kernel_size": 15, "max_pos_emb": 512, "projector.window_size": 15,
            "projector.downsample_rate": 5, "projector.head_count": 16, "feature_layer": Typed("i32", [3]),
        },
    ),
    "parakeet": replace(
        _WHISPER, kind="parakeet", n_embd=1024, n_ff=4096, n_layer=2, n_head=8, output=2688, rest=_parakeet,
        keys={"subsampling_factor": 8, "conv_kernel_size": 9},
    ),
    "gemma3n": Tower(
        kind="gemma3nv", n_embd=2048, n_ff=8192, n_layer=0, n_head=8, output=2048, patch=16, image=768, rest=_mobilenet
    ),
    "dots3note-vision": replace(
        _PIXTRAL, kind="dots3note_v", n_embd=1536, n_ff=4224, n_layer=4, n_head=12, output=1536, patch=14, fused=True,
        rest=_dots3note, act="silu",
        keys={
            "spatial_merge_size": 2, "image_min_pixels": 3136, "image_max_pixels": 11289600, "expert_used_count": 4
        },
    ),
    "reka-yasa2": Tower(
        kind="yasa2", n_embd=192, n_ff=768, n_layer=0, n_head=8, output=2048, patch=4, image=512, rest=_convnext
    ),
    "mimo-audio": replace(
        _WHISPER, kind="mimo_audio", n_embd=1024, n_ff=4096, n_layer=4, n_head=16, output=4096, rest=_mimo_audio,
        keys={
            "rvq.num_quantizers": 3, "rvq.codebook_size": Typed("i32", [1024, 1024, 256]), "window_size": 100,
            "wa_pattern_mode": Typed("i32", [-1, 0, 0, -1]), "local_block_count": 2, "local_group_size": 4,
        },
    ),
    "qwen3-tts": Tower(
        kind="qwen3tts_spkenc", n_embd=512, n_ff=512, n_layer=3, n_head=0, output=2048, is_audio=True, rest=_speaker
    ),
    "pocket-tts": replace(
        _WHISPER, kind="pockettts_spkenc", n_embd=512, n_ff=2048, n_layer=2, n_head=8, output=1024, biased=False,
        normed="ls1 ls2", mel_bins=1, rest=_voice,
    ),
    "glm-edge-v": replace(_SIGLIP, kind="adapter", output=2048, image=672, rest=_glm_edge),
    "cogvlm": replace(
        _CLIP, kind="cogvlm", n_embd=1792, n_ff=15360, n_layer=12, image=490, fused=True, rest=_cogvlm
    ),
    "minicpm-v-4.6": replace(
        _SIGLIP, kind="minicpmv4_6", output=2560, image=448, keys={"wa_layer_indexes": Typed("i32", [6])},
        rest=_minicpmv46,
    ),
    "minicpm-v-4.6-4x": replace(
        _SIGLIP, kind="minicpmv4_6", output=2560, image=448, keys={"projector.scale_factor": 2}, rest=_minicpmv46
    ),
    "ling3-vl": replace(_QWEN3, kind="ling3vl", output=4096, rest=_ling3vl),
    "minimax-m3": replace(_SIGLIP, kind="minimax_m3", output=3072, rest=_minimax),
    "step3-vl": replace(
        _SIGLIP, kind="step3vl", n_embd=1536, n_ff=8960, n_layer=10, output=4096, image=728,
        keys={"preproc_image_size": 3024}, normed="ls1 ls2", rest=_step3,
    ),
    "exaone-4.5": replace(
        _QWEN2, kind="exaone4_5", n_embd=2048, n_ff=5120, n_layer=28, n_head=32, n_kv=8, output=5120, patch=14,
        fused=True, gated=True, shifted=False, rest=_qwen,
        keys={
            "n_wa_pattern": 7, "attention.head_count_kv": 8, "image_min_pixels": 3136, "image_max_pixels": 12845056
        },
    ),
    "mimo-vl": replace(
        _QWEN2, kind="mimovl", n_layer=8, n_head=32, n_kv=8, d_head=64, output=4096, fused=True, gated=True,
        shifted=False, rest=_mimovl,
        keys={
            "attention.head_count_kv": 8, "window_size": 128, "wa_pattern_mode": Typed("i32", _MODES),
            "image_min_pixels": 3136, "image_max_pixels": 12845056,
        },
    ),
    "deepseek-v4-vision": replace(
        _PIXTRAL, kind="deepseek4v", output=4096, patch=14,
        keys={"projector.scale_factor": 3, "image_min_pixels": 50176}, rest=_deepseek4,
    ),
    "gemma4-audio": replace(
        _WHISPER, kind="gemma4a", n_embd=1024, n_ff=4096, n_layer=12, n_head=8, output=2560, biased=False,
        shifted=False, normed="attn_post_norm ffn_post_norm", rest=_conformer,
    ),
    "qwen3-asr": replace(
        _WHISPER, kind="qwen3a", n_embd=1024, n_ff=4096, n_layer=24, n_head=16, output=2048, rest=_shrinking
    ),
    "dots3note-audio": replace(
        _WHISPER, kind="dots3note_a", n_embd=1024, n_ff=4096, n_layer=24, n_head=16, output=2048, biased=False,
        shifted=False, gated=True, rest=_shrinking,
    ),
    "glm-asr": replace(_WHISPER, kind="glma", output=2048, keys={"projector.stack_factor": 4}),
    "meralion-2": replace(_WHISPER, kind="meralion", output=3584, keys={"projector.stack_factor": 15}),
    "ultravox-0.5": replace(_WHISPER, keys={"projector.stack_factor": 8}),
    "qwen2-audio": replace(_WHISPER, kind="qwen2a"),
    "voxtral-mini": replace(_WHISPER, kind="voxtral", output=3072, keys={"projector.stack_factor": 4}),
    "musicflamingo": replace(_WHISPER, kind="musicflamingo", output=3584),
}  # fmt: skip

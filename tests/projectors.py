"""Projector files by kind: the keys and tensors that llama.cpp's loader asks for, at real or at any other size.

``write_projector`` makes a header without tensor data. Sizes are those of published models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.headers import Item, TensorRow, Typed, write_gguf


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """One encoder: its size, what its layers hold, and the rest of its file."""

    kind: str
    n_embd: int
    n_ff: int
    n_layer: int
    n_head: int
    output: int
    is_audio: bool = False
    patch: int = 14
    image: int = 448
    keys: Mapping[str, Item] = field(default_factory=dict)
    deepstack: Sequence[int] = ()
    fused: bool = False
    biased: bool = True
    shifted: bool = True
    gated: bool = False
    normed: str = ""
    weights: str = "f16"
    rest: Callable[[Tower], Iterator[TensorRow]] = lambda _: iter(())

    @property
    def prefix(self) -> str:
        """Where its tensors stand."""
        return "a" if self.is_audio else "v"

    @property
    def n_patches(self) -> int:
        """Patches of a whole image."""
        return (self.image // self.patch) ** 2


def matrix(tower: Tower, name: str, n_in: int, n_out: int, *, biased: bool = True) -> Iterator[TensorRow]:
    """A product with a bias."""
    yield f"{name}.weight", tower.weights, (n_in, n_out)
    if biased:
        yield vector(f"{name}.bias", n_out)


def vector(name: str, *shape: int) -> TensorRow:
    """One row or more of f32."""
    return name, "f32", shape


def norm(name: str, n: int, *, shifted: bool = True) -> Iterator[TensorRow]:
    """The scale of a norm, and its shift."""
    yield vector(f"{name}.weight", n)
    if shifted:
        yield vector(f"{name}.bias", n)


def _layers(tower: Tower) -> Iterator[TensorRow]:
    n, biased = tower.n_embd, tower.biased
    for il in range(tower.n_layer):
        block = f"{tower.prefix}.blk.{il}"
        for part in ("attn_qkv",) if tower.fused else ("attn_q", "attn_k", "attn_v"):
            # Whisper's keys have no bias.
            keeps = biased and not (tower.is_audio and part == "attn_k")
            yield from matrix(tower, f"{block}.{part}", n, 3 * n if tower.fused else n, biased=keeps)
        yield from matrix(tower, f"{block}.attn_out", n, n, biased=biased)
        for part in ("ffn_up", "ffn_gate") if tower.gated else ("ffn_up",):
            yield from matrix(tower, f"{block}.{part}", n, tower.n_ff, biased=biased)
        yield from matrix(tower, f"{block}.ffn_down", tower.n_ff, n, biased=biased)
        for part in ("ln1", "ln2"):
            yield from norm(f"{block}.{part}", n, shifted=tower.shifted)
        for part in tower.normed.split():
            width = n // tower.n_head if part in ("attn_q_norm", "attn_k_norm") else n
            yield vector(f"{block}.{part}.weight", width)


def _patches(tower: Tower, *, frames: int = 1, biased: bool = True) -> Iterator[TensorRow]:
    for frame in range(frames):
        name = "v.patch_embd.weight" + (f".{frame}" if frame else "")
        yield name, "f16", (tower.patch, tower.patch, 3, tower.n_embd)
    if biased:
        yield vector("v.patch_embd.bias", tower.n_embd)


def _positions(tower: Tower, n: int = 0) -> TensorRow:
    return vector(f"{tower.prefix}.position_embd.weight", tower.n_embd, n or tower.n_patches)


def _two(
    tower: Tower, first: str, second: str, n_in: int, *, hidden: int = 0, biased: bool = True
) -> Iterator[TensorRow]:
    hidden = hidden or tower.output
    yield from matrix(tower, first, n_in, hidden, biased=biased)
    yield from matrix(tower, second, hidden, tower.output, biased=biased)


def _qwen(tower: Tower) -> Iterator[TensorRow]:
    is_third = tower.kind == "qwen3vl_merger"
    yield from _patches(tower, frames=2, biased=is_third)
    yield from norm("v.post_ln", tower.n_embd, shifted=tower.shifted)
    yield from _two(tower, "mm.0", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)
    if is_third:
        yield _positions(tower, 48 * 48)
        for il in tower.deepstack:
            yield from norm(f"v.deepstack.{il}.norm", 4 * tower.n_embd)
            yield from _two(
                tower, f"v.deepstack.{il}.fc1", f"v.deepstack.{il}.fc2", 4 * tower.n_embd, hidden=4 * tower.n_embd
            )


def _gemma3(tower: Tower) -> Iterator[TensorRow]:
    yield from (*_patches(tower), _positions(tower), *norm("v.post_ln", tower.n_embd))
    yield vector("mm.soft_emb_norm.weight", tower.n_embd)
    yield "mm.input_projection.weight", tower.weights, (tower.output, tower.n_embd)


def _gemma4(tower: Tower) -> Iterator[TensorRow]:
    yield from (*_patches(tower, biased=False), vector("v.position_embd.weight", tower.n_embd, 10240, 2))
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
    yield from (*_patches(tower, biased=False), *norm("v.pre_ln", tower.n_embd, shifted=False))
    yield from _two(tower, "mm.1", "mm.2", tower.n_embd)
    if tower.kind == "pixtral":
        yield vector("v.token_embd.img_break", tower.output)
    if "spatial_merge_size" in tower.keys:
        yield vector("mm.input_norm.weight", tower.n_embd)
        yield "mm.patch_merger.weight", tower.weights, (tower.n_embd * 4, tower.n_embd)


def _internvl(tower: Tower) -> Iterator[TensorRow]:
    yield from (*_patches(tower), vector("v.class_embd", tower.n_embd), _positions(tower, tower.n_patches + 1))
    yield from (
        *norm("mm.model.mlp.0", 4 * tower.n_embd),
        *_two(tower, "mm.model.mlp.1", "mm.model.mlp.3", 4 * tower.n_embd),
    )


def _idefics3(tower: Tower) -> Iterator[TensorRow]:
    merge = int(tower.keys["projector.scale_factor"])  # type: ignore[arg-type]
    yield from (*_patches(tower), _positions(tower), *norm("v.post_ln", tower.n_embd))
    yield from matrix(tower, "mm.model.fc", merge**2 * tower.n_embd, tower.output, biased=False)


def _llava(tower: Tower) -> Iterator[TensorRow]:
    yield from (
        *_patches(tower, biased=False),
        vector("v.class_embd", tower.n_embd),
        _positions(tower, tower.n_patches + 1),
    )
    yield from (*norm("v.pre_ln", tower.n_embd), *_two(tower, "mm.0", "mm.2", tower.n_embd))


def _minicpmv(tower: Tower) -> Iterator[TensorRow]:
    n = tower.output
    yield from (*_patches(tower), _positions(tower, 70 * 70), *norm("v.post_ln", tower.n_embd))
    yield from (vector("resampler.pos_embed_k", n, 70 * 70), vector("resampler.query", n, 64))
    yield "resampler.proj.weight", tower.weights, (n, n)
    yield from matrix(tower, "resampler.kv", tower.n_embd, n, biased=False)
    for part in ("q", "k", "v", "out"):
        yield from matrix(tower, f"resampler.attn.{part}", n, n)
    for part in ("q", "kv", "post"):
        yield from norm(f"resampler.ln_{part}", n)


def _llama4(tower: Tower) -> Iterator[TensorRow]:
    yield "v.patch_embd.weight", tower.weights, (tower.patch**2 * 3, tower.n_embd)
    yield from (vector("v.class_embd", tower.n_embd), _positions(tower, tower.n_patches + 1))
    yield from (*norm("v.pre_ln", tower.n_embd), *norm("v.post_ln", tower.n_embd))
    yield from matrix(tower, "mm.model.mlp.1", tower.n_ff, 4096, biased=False)
    yield from matrix(tower, "mm.model.mlp.2", 4096, 4096, biased=False)
    yield from matrix(tower, "mm.model.fc", 4096, tower.output, biased=False)


def _merging(tower: Tower) -> Iterator[TensorRow]:
    """Kimi-VL, PaddleOCR-VL, LFM2-VL: a norm and two layers over merged patches."""
    yield from (*_patches(tower), _positions(tower), *norm("v.post_ln", tower.n_embd))
    yield from norm("mm.input_norm", 4 * tower.n_embd if tower.kind == "lfm2" else tower.n_embd)
    yield from _two(tower, "mm.1", "mm.2", 4 * tower.n_embd, hidden=4 * tower.n_embd)


def _glm4v(tower: Tower) -> Iterator[TensorRow]:
    n = tower.output
    yield from (*_patches(tower, frames=2), _positions(tower), *norm("v.norm_embd", tower.n_embd, shifted=False))
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
        yield from (*_patches(tower), _positions(tower), *norm("v.post_ln", tower.n_embd))
        yield from _two(tower, first, second, tower.n_embd)

    return rows


def _whisper(tower: Tower) -> Iterator[TensorRow]:
    n, out = tower.n_embd, tower.output
    yield from (_positions(tower, 1500), *norm("a.post_ln", n))
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
    else:
        yield from _two(tower, "mm.a.mlp.1", "mm.a.mlp.2", stacked)


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
    "ultravox-0.5": replace(_WHISPER, keys={"projector.stack_factor": 8}),
    "qwen2-audio": replace(_WHISPER, kind="qwen2a"),
    "voxtral-mini": replace(_WHISPER, kind="voxtral", output=3072, keys={"projector.stack_factor": 4}),
    "musicflamingo": replace(_WHISPER, kind="musicflamingo", output=3584),
}  # fmt: skip


def metadata(tower: Tower) -> dict[str, Item]:
    """The keys of one tower."""
    modality = "audio" if tower.is_audio else "vision"
    sizes: dict[str, Item] = {
        "embedding_length": tower.n_embd,
        "feed_forward_length": tower.n_ff,
        "block_count": tower.n_layer,
        "projection_dim": tower.output,
        "attention.head_count": tower.n_head,
        "attention.layer_norm_epsilon": 1e-6,
    }
    if tower.is_audio:
        sizes["num_mel_bins"] = 128
    else:
        third: Sequence[float] = (0.5, 0.5, 0.5)
        sizes |= {"image_size": tower.image, "patch_size": tower.patch, "image_mean": third, "image_std": third}
    return {
        f"clip.has_{modality}_encoder": True,
        f"clip.{modality}.projector_type": tower.kind,
        **{f"clip.{modality}.{key}": value for key, value in sizes.items()},
        **{
            f"clip.{'' if key.startswith('minicpmv') else f'{modality}.'}{key}": value
            for key, value in tower.keys.items()
        },
    }


def write_projector(path: Path, *towers: Tower) -> Path:
    """A header of one tower, or of one for images and one for sound."""
    keys: dict[str, Item] = {"general.architecture": "clip", "clip.use_gelu": True}
    tensors: list[TensorRow] = []
    for tower in towers:
        keys |= metadata(tower)
        tensors += [*_layers(tower), *tower.rest(tower)]
    return write_gguf(path, keys, tensors)

"""The encoders of a projector file: one per modality, with the image or sound that b11434 warms it up with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Final

from omniplan.domain.header import ArrayInfo, Header, Value
from omniplan.errors import ArgumentError, UnsupportedModel
from omniplan.llamacpp.projector.kinds import ProjectorKind, kinds

# clip-model.h: warmup_audio_size, in frames.
_AUDIO_FRAMES: Final = 3000
# clip.cpp: load_hparams, the largest image_size that it takes.
_LARGEST: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """One kind of input: the flag that says so, the keys and tensors that describe its encoder."""

    name: str
    flag: str
    prefix: str


VISION: Final = Modality(name="vision", flag="has_vision_encoder", prefix="v")
AUDIO: Final = Modality(name="audio", flag="has_audio_encoder", prefix="a")
GENERATED: Final = Modality(name="gen.audio", flag="has_gen_audio_encoder", prefix="a.gen.code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """One encoder (``clip_hparams``), ``width`` x ``height`` being what it is warmed up with.

    ``max_tokens`` are those of the largest image, -1 where images have one size.
    """

    header: Header
    modality: Modality
    kind: ProjectorKind
    width: int
    height: int
    patch_size: int
    n_merge: int
    max_tokens: int = -1

    def number(self, key: str, default: int = 0) -> int:
        """The whole number ``clip.<modality>.<key>``; raises UnsupportedModel for anything else."""
        return _number(self.header, f"clip.{self.modality.name}.{key}", default)

    def numbers(self, key: str) -> tuple[int, ...]:
        """The array ``clip.<modality>.<key>``, empty where there is none."""
        return _numbers(self.header, f"clip.{self.modality.name}.{key}")

    @property
    def n_embd(self) -> int:
        """Width of the encoder."""
        return self.number("embedding_length")

    @property
    def n_layer(self) -> int:
        """Its layers."""
        return self.number("block_count")

    @property
    def n_head(self) -> int:
        """Heads of attention."""
        return self.number("attention.head_count")

    @property
    def n_head_kv(self) -> int:
        """Heads of K and V."""
        return self.number("attention.head_count_kv", self.n_head)

    @property
    def d_head(self) -> int:
        """Width of a head."""
        given = self.number("attention.head_dim")
        return given or (self.n_embd // self.n_head if self.n_head else 0)


def encoders(header: Header, *, least_tokens: int = -1, most_tokens: int = -1) -> tuple[Encoder, ...]:
    """Those of a projector file for --image-min-tokens and --image-max-tokens (``clip_init``).

    Raises UnsupportedModel for a file that b11434 does not load, ArgumentError for tokens that it does not take.
    """
    found = tuple(_encoders(header, least_tokens, most_tokens))
    if not any(encoder.modality is not GENERATED for encoder in found):
        raise UnsupportedModel(f"{header.paths[0]}: says neither clip.has_vision_encoder nor clip.has_audio_encoder")
    return found


def _encoders(header: Header, least_tokens: int, most_tokens: int) -> Iterator[Encoder]:
    skips_audio = False
    if header.metadata.get(f"clip.{VISION.flag}"):
        yield (seen := _vision(header, most_tokens))
        if seen.kind.image_tokens:
            least = least_tokens if least_tokens > 0 else seen.kind.image_tokens[0]
            if least > seen.max_tokens:
                problem = f"an image of this projector has at least {least} tokens, and may have {seen.max_tokens}"
                raise ArgumentError("--image-max-tokens", problem, remedy=f"allow {least}, and -ub of as many")
        skips_audio = seen.kind.skips_audio
    for modality in (AUDIO, GENERATED):
        if header.metadata.get(f"clip.{modality.flag}") and not (modality is AUDIO and skips_audio):
            yield Encoder(
                header=header,
                modality=modality,
                kind=_kind(header, modality),
                width=_AUDIO_FRAMES,
                height=_kind(header, modality).mel_bins or _number(header, "clip.audio.num_mel_bins"),
                patch_size=1,
                n_merge=1,
            )


def _kind(header: Header, modality: Modality) -> ProjectorKind:
    said = header.metadata.get("clip.projector_type") or header.metadata.get(f"clip.{modality.name}.projector_type")
    kind = kinds().get(str(said))
    if kind is None or not kind.loads:
        raise UnsupportedModel(f"{header.paths[0]}: b11434 has no projector of type {said!r}")
    return kinds()[kind.stands_for[modality.name]] if kind.stands_for else kind


def _vision(header: Header, most_tokens: int) -> Encoder:
    kind = _kind(header, VISION)
    patch = kind.patch_size or _number(header, "clip.vision.patch_size")
    merge = _number(header, f"clip.vision.{kind.merge_key}", kind.merge) if kind.merge_key else kind.merge
    if not 0 < patch <= _LARGEST or not 0 < merge <= _LARGEST:
        raise UnsupportedModel(f"{header.paths[0]}: patches of {patch} pixels, merged by {merge}, are none")
    if kind.merges_in_patch:
        patch, merge = patch * merge, 1
    area = (patch * merge) ** 2
    pixels = _most_pixels(header, kind, area, most_tokens)
    side = _warmup(
        kind, kind.image_size or _number(header, "clip.vision.image_size"), patch * merge, pixels, most_tokens
    )
    if not patch <= side <= _LARGEST * 2:
        raise UnsupportedModel(f"{header.paths[0]}: an image of {side} x {side} pixels has no patch of {patch}")
    tokens = pixels // area if pixels > 0 else -1
    return Encoder(
        header=header, modality=VISION, kind=kind, width=side, height=side, patch_size=patch, n_merge=merge,
        max_tokens=tokens,
    )  # fmt: skip


def _most_pixels(header: Header, kind: ProjectorKind, area: int, most_tokens: int) -> int:
    """``image_max_pixels``, 0 where nothing says."""
    read = _number(header, "clip.vision.image_max_pixels") if kind.reads_pixels else 0
    if kind.image_tokens and not (read and kind.prefers_pixels):
        return (most_tokens if most_tokens > 0 else kind.image_tokens[1]) * area
    return most_tokens * area if kind.takes_tokens and most_tokens > 0 else read


def _warmup(kind: ProjectorKind, image_size: int, token_side: int, pixels: int, most_tokens: int) -> int:
    """Side of the square image (``warmup_image_size``)."""
    if kind.warmup_tokens:
        n = isqrt(kind.warmup_tokens)
        return (max(1, isqrt(most_tokens)) if 0 < most_tokens < kind.warmup_tokens else n) * token_side
    return isqrt(pixels) if kind.image_tokens else image_size


def _number(header: Header, key: str, default: int = 0) -> int:
    value: Value = header.metadata.get(key, default)
    if isinstance(value, bool | str | tuple | ArrayInfo) or value % 1 or not 0 <= value < 1 << 31:
        raise UnsupportedModel(f"{header.paths[0]}: key {key} is {value!r}, expected a whole number")
    return int(value)


def _numbers(header: Header, key: str) -> tuple[int, ...]:
    value = header.metadata.get(key, ())
    if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
        raise UnsupportedModel(f"{header.paths[0]}: key {key} is no array of whole numbers")
    return tuple(int(item) for item in value)

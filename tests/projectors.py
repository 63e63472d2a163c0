"""Projector files, header only: what their encoders have in common (``tests.towers`` has one of each kind)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.headers import Item, TensorRow, write_gguf


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
    d_head: int = 0
    n_kv: int = 0
    fused: bool = False
    biased: bool = True
    shifted: bool = True
    gated: bool = False
    normed: str = ""
    weights: str = "f16"
    act: str = "gelu"
    mel_bins: int = 128
    rest: Callable[[Tower], Iterator[TensorRow]] = lambda _: iter(())

    @property
    def prefix(self) -> str:
        """Where its tensors stand."""
        return "a" if self.is_audio else "v"

    @property
    def width(self) -> int:
        """Of a head."""
        return self.d_head or self.n_embd // self.n_head

    @property
    def qkv(self) -> int:
        """Rows of Q, K and V together."""
        return self.width * (self.n_head + 2 * (self.n_kv or self.n_head))

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
    # Without heads it has layers of its own.
    for il in range(tower.n_layer if tower.n_head else 0):
        block = f"{tower.prefix}.blk.{il}"
        for part in ("attn_qkv",) if tower.fused else ("attn_q", "attn_k", "attn_v"):
            # Whisper's keys have no bias.
            keeps = biased and not (tower.is_audio and part == "attn_k")
            is_grouped = tower.n_kv and part in ("attn_k", "attn_v")
            rows = tower.qkv if tower.fused else tower.n_kv * tower.width if is_grouped else n
            yield from matrix(tower, f"{block}.{part}", n, rows, biased=keeps)
        yield from matrix(tower, f"{block}.attn_out", tower.n_head * tower.width, n, biased=biased)
        for part in ("ffn_up", "ffn_gate") if tower.gated else ("ffn_up",):
            yield from matrix(tower, f"{block}.{part}", n, tower.n_ff, biased=biased)
        yield from matrix(tower, f"{block}.ffn_down", tower.n_ff, n, biased=biased)
        for part in ("ln1", "ln2"):
            yield from norm(f"{block}.{part}", n, shifted=tower.shifted)
        for part in tower.normed.split():
            width = n // tower.n_head if part in ("attn_q_norm", "attn_k_norm") else n
            yield vector(f"{block}.{part}.weight", width)


def patches(tower: Tower, *, frames: int = 1, biased: bool = True) -> Iterator[TensorRow]:
    """The kernels that cut an image into patches, one for each of so many frames."""
    for frame in range(frames):
        name = "v.patch_embd.weight" + (f".{frame}" if frame else "")
        yield name, "f16", (tower.patch, tower.patch, 3, tower.n_embd)
    if biased:
        yield vector("v.patch_embd.bias", tower.n_embd)


def positions(tower: Tower, n: int = 0) -> TensorRow:
    """Learned positions, of every patch unless ``n`` says how many."""
    return vector(f"{tower.prefix}.position_embd.weight", tower.n_embd, n or tower.n_patches)


def two(
    tower: Tower, first: str, second: str, n_in: int, *, hidden: int = 0, biased: bool = True
) -> Iterator[TensorRow]:
    """Two layers, the second of which ends in the width of the model."""
    hidden = hidden or tower.output
    yield from matrix(tower, first, n_in, hidden, biased=biased)
    yield from matrix(tower, second, hidden, tower.output, biased=biased)


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
        sizes["num_mel_bins"] = tower.mel_bins
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
    keys: dict[str, Item] = {"general.architecture": "clip", f"clip.use_{towers[0].act}": True}
    tensors: list[TensorRow] = []
    for tower in towers:
        keys |= metadata(tower)
        tensors += [*_layers(tower), *tower.rest(tower)]
    return write_gguf(path, keys, tensors)

"""What the graph of an encoder begins with: weights, inputs, and the sizes that both have."""

from __future__ import annotations

from omniplan.domain.header import Tensor
from omniplan.domain.tensor_type import TensorType
from omniplan.errors import UnsupportedModel
from omniplan.llamacpp.graph.graph import Graph
from omniplan.llamacpp.graph.node import FLAG_INPUT, WEIGHT, Dims, Node, strides
from omniplan.llamacpp.graph.ops import F16, F32, I32
from omniplan.llamacpp.projector.encoder import Encoder
from omniplan.llamacpp.projector.tensors import loaded


class ClipLeafs:
    """An encoder, its weights and inputs as leafs; ``half_masks`` are given as f16 (builds after b11434)."""

    def __init__(self, encoder: Encoder, *, flash_attn: bool, half_masks: bool = False) -> None:
        self.encoder = encoder
        self.kind = encoder.kind
        self.flash_attn = flash_attn
        self.half_masks = half_masks and flash_attn
        self.graph = Graph()
        self.n_embd = encoder.n_embd
        self.n_head, self.n_head_kv, self.d_head = encoder.n_head, encoder.n_head_kv, encoder.d_head
        self.columns = encoder.width // encoder.patch_size
        self.rows = encoder.height // encoder.patch_size
        self.n_patches = self.columns * self.rows
        self._tensors = {tensor.name: tensor for tensor in loaded(encoder)}
        self._weights: dict[str, Node | None] = {}

    def weight(self, name: str) -> Node | None:
        """The tensor called ``name`` if it is loaded."""
        if name not in self._weights:
            tensor = self._tensors.get(name)
            self._weights[name] = None if tensor is None else _weight(tensor)
        return self._weights[name]

    def need(self, name: str) -> Node:
        """The tensor called ``name``; raises UnsupportedModel when the file has none."""
        return self.given(self.weight(name), f"tensor {name}")

    def given(self, found: Node | None, what: str) -> Node:
        """``found``, which a file that b11434 loads has; raises UnsupportedModel where ``what`` is missing."""
        if found is None:
            raise UnsupportedModel(f"{self.encoder.header.paths[0]}: {what} is missing; b11434 cannot load this")
        return found

    def own(self, name: str) -> str:
        """The name of a tensor of this modality: "v.post_ln" for "post_ln"."""
        return f"{self.encoder.modality.prefix}.{name}"

    def layer(self, il: int, name: str) -> str:
        """The same of one of its layers."""
        return self.own(f"blk.{il}.{name}")

    def input(self, kind: TensorType, ne0: int, ne1: int = 1, ne2: int = 1, ne3: int = 1) -> Node:
        """A tensor that is filled before every evaluation."""
        ne: Dims = (ne0, ne1, ne2, ne3)
        return Node("NONE", kind, ne, strides(kind, ne), flags=FLAG_INPUT)

    def indices(self, n: int) -> Node:
        """Positions or rows to choose."""
        return self.input(I32, n)

    def mask(self, n: int) -> Node:
        """Which of ``n`` positions see which."""
        return self.input(F16 if self.half_masks else F32, n, n)

    def image(self, channels: int = 3) -> Node:
        """The image, or the sound's spectrogram (``build_inp_raw``)."""
        return self.input(F32, self.encoder.width, self.encoder.height, channels)


def _weight(tensor: Tensor) -> Node:
    ne: Dims = (*tensor.shape, 1, 1, 1)[:4] if tensor.shape else (1, 1, 1, 1)  # type: ignore[assignment]
    return Node("NONE", tensor.type, ne, strides(tensor.type, ne), name=tensor.name, home=WEIGHT)

"""What every block builder needs: the model, the context, the batch, the graph and its leafs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from omniplan.domain.header import Tensor, Value
from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.tensor_type import TensorType
from omniplan.errors import UnsupportedModel
from omniplan.gguf.adapter import pairs
from omniplan.gguf.model import architectures
from omniplan.llamacpp.graph.graph import Batch, Graph
from omniplan.llamacpp.graph.node import ADAPTER, CACHE, FLAG_INPUT, WEIGHT, AdaptedWeight, Dims, Node, strides
from omniplan.llamacpp.load.context import Context
from omniplan.llamacpp.load.memory import CacheTensor, caches

Found = TypeVar("Found")


class Builder:
    """State of one graph under construction (``llm_graph_context``); ``embedding`` are the final rows, once known."""

    __slots__ = (
        "_adapters", "_cache_nodes", "_caches", "_tensors", "_weights", "batch", "context", "embedding", "graph",
        "hparams", "model", "n_blocks", "n_outputs", "n_tokens", "row",
    )  # fmt: skip

    def __init__(self, model: Model, context: Context, batch: Batch) -> None:
        self.model = model
        self.row = architectures.row_of(model)
        self.hparams: Hparams = model.hparams
        self.context = context
        self.batch = batch
        self.graph = Graph()
        self.embedding: Node | None = None
        self.n_tokens = batch.n_tokens
        self.n_outputs = batch.n_outputs
        self.n_blocks = self.count("block_count", self.hparams.n_layer_all)
        self._tensors: Mapping[str, Tensor] = model.header.by_name
        self._weights: dict[tuple[str, int], Node | None] = {}
        self._caches: dict[tuple[str, int], CacheTensor] = {(c.part, c.il): c for c in caches(model, context)}
        self._adapters = [pairs(model.companions.adapters[at]) for at in context.adapters]
        self._cache_nodes: dict[tuple[str, int], Node] = {}

    @property
    def last_layer(self) -> int:
        """The layer that the graph ends with."""
        return self.hparams.n_layer if self.context.is_mtp else self.hparams.n_layer - 1

    # Leafs

    def shared(self, name: str, il: int = -1) -> Node | None:
        """A weight outside the layers, or None.

        ``il`` is the layer whose device holds the copy: -1 the input layer, ``n_layer_all`` the output layer, others
        for tensors that llama.cpp duplicates on every device (``rope_freqs``).
        """
        key = (name, il)
        if key in self._weights:
            return self._weights[key]
        tensor = self._tensors.get(name)
        node = None if tensor is None else _weight(tensor, il)
        if tensor is not None and (factors := self._factors(name, il)):
            node = _adapted(tensor, il, factors)
        self._weights[key] = node
        return node

    def _factors(self, name: str, il: int) -> tuple[tuple[Node, Node], ...]:
        """Both factors of every applied adapter of a weight."""
        found = [known[name] for known in self._adapters if name in known]
        return tuple((_factor(a, name, il), _factor(b, name, il)) for a, b in found)

    def layer(self, il: int, suffix: str) -> Node | None:
        """The weight ``blk.<il>.<suffix>``, or None; looped models run their blocks several times."""
        block = il % self.n_blocks
        if block != il and suffix.endswith(".scale"):
            # Scales are looked up after the blocks have been repeated, under the names of the repetitions.
            return None
        return self.shared(f"blk.{block}.{suffix}", block)

    def need(self, il: int, suffix: str) -> Node:
        """The weight ``blk.<il>.<suffix>``; raises UnsupportedModel when the file has no such tensor."""
        return self.given(self.layer(il, suffix), f"tensor blk.{il}.{suffix}")

    def need_shared(self, name: str, il: int = -1) -> Node:
        """A weight outside the layers that must exist."""
        return self.given(self.shared(name, il), f"tensor {name}")

    def cache(self, part: str, il: int) -> Node:
        """The cache tensor ``part`` ("k", "v", "r", "s" ...) of layer ``il``."""
        key = (part, il)
        node = self._cache_nodes.get(key)
        if node is None:
            row = self.given(self._caches.get(key), f"by the header's numbers the cache {part!r} of layer {il}")
            ne = (row.row, row.cells, row.streams, 1)
            nb = strides(row.type, ne)
            node = Node("NONE", row.type, ne, nb, name=f"cache_{part}_l{il}", home=CACHE, il=il)
            self._cache_nodes[key] = node
        return node

    def cached_layers(self, part: str = "k") -> list[int]:
        """Layers that own a cache tensor ``part``."""
        return [il for name, il in self._caches if name == part]

    def rope_factors(self, il: int) -> Node | None:
        """Frequency divisors of rotary embedding: llama3's, or longrope's by context size (``get_rope_factors``)."""
        block = il % self.n_blocks
        given = self.shared("rope_freqs.weight", block)
        if given is not None:
            return given
        trained = self.number("rope.scaling.original_context_length", self.hparams.n_ctx_train)
        kind = "long" if self.context.n_ctx_seq > trained else "short"
        return self.shared(f"rope_factors_{kind}.weight", block)

    def input(self, name: str, kind: TensorType, ne0: int, ne1: int = 1, ne2: int = 1, ne3: int = 1) -> Node:
        """A tensor the host fills before every evaluation."""
        ne: Dims = (ne0, ne1, ne2, ne3)
        return Node("NONE", kind, ne, strides(kind, ne), flags=FLAG_INPUT, name=name)

    # Header values that only the graph's topology needs

    def number(self, key: str, default: float = 0.0) -> float:
        """The number ``<arch>.<key>``; the first entry of an array."""
        value = self._value(key, default)
        if isinstance(value, tuple):
            value = value[0] if value else default
        return float(value) if isinstance(value, int | float) else default

    def count(self, key: str, default: int = 0) -> int:
        """The whole number ``<arch>.<key>``; raises UnsupportedModel for one that is not."""
        number = self.number(key, default)
        if number % 1:
            raise UnsupportedModel(
                f"{self.model.header.paths[0]}: key {self.model.arch}.{key} is {number}, no whole number"
            )
        return int(number)

    def number_at(self, key: str, il: int, default: float = 0.0) -> float:
        """Entry ``il`` of the array ``<arch>.<key>``, or the scalar."""
        value = self._value(key, default)
        if isinstance(value, tuple):
            value = value[il] if il < len(value) else default
        return float(value) if isinstance(value, int | float) else default

    def flag(self, key: str, *, default: bool = False) -> bool:
        """The boolean ``<arch>.<key>``."""
        return bool(self.model.key(key, default))

    def _value(self, key: str, default: float) -> Value | None:
        is_ignored = key in architectures.selective_keys() and key not in self.row.reads
        return default if is_ignored else self.model.key(key, default)

    def given(self, found: Found | None, what: str) -> Found:
        """``found``, which a consistent header has; raises UnsupportedModel where ``what`` is missing."""
        if found is None:
            raise UnsupportedModel(f"{self.model.header.paths[0]}: {what} is missing; llama.cpp cannot load this")
        return found


def _adapted(tensor: Tensor, il: int, factors: tuple[tuple[Node, Node], ...]) -> Node:
    plain = _weight(tensor, il)
    node = AdaptedWeight("NONE", plain.type, plain.ne, plain.nb, name=plain.name, home=WEIGHT, il=il)
    node.factors = factors
    return node


def _factor(tensor: Tensor, name: str, il: int) -> Node:
    node = _weight(tensor, il)
    node.name, node.home = name, ADAPTER
    return node


def _weight(tensor: Tensor, il: int) -> Node:
    shape = tensor.shape
    ne: Dims = (*shape, 1, 1, 1)[:4] if shape else (1, 1, 1, 1)  # type: ignore[assignment]
    return Node("NONE", tensor.type, ne, strides(tensor.type, ne), name=tensor.name, home=WEIGHT, il=il)

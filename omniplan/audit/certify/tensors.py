"""ggml tensors as nodes of our own graphs: what the rules of the CUDA backend need to see of them."""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from omniplan.domain.tensor_type import TENSOR_TYPES
from omniplan.llamacpp.graph.node import CACHE, WEIGHT, Node

_WEIGHTS: Final = 1  # ggml-backend.h: GGML_BACKEND_BUFFER_USAGE_WEIGHTS
_PREC_F32: Final = 10  # ggml.h: GGML_PREC_F32
_PREC_SLOT: Final = 3  # ggml.c: ggml_mul_mat_id_set_prec
# struct ggml_tensor up to the name: type, ne, nb, op, op_params, flags, src, view_src, view_offs.
_HEAD: Final = Struct("=i12x4q4Qi16ii10QQQ")
_SHAPE: Final = slice(0, 9)
_OP: Final = 9
_PARAMS: Final = slice(10, 14)
_FLAGS: Final = 26
_SRC: Final = slice(27, 37)
_VIEW: Final = slice(37, 39)

Fields = tuple[int, ...]


class Tensors:
    """Reads tensors of one library; the names of its operations are looked up once."""

    def __init__(self, ffi: Any, lib: Any) -> None:
        self.ffi = ffi
        self.lib = lib
        self._names: dict[int, str] = {}

    def fields(self, tensor: Any) -> Fields:
        """The fixed part of a tensor's struct, in the order of ``_HEAD``."""
        return _HEAD.unpack(self.ffi.buffer(self.ffi.cast("char *", tensor), _HEAD.size))

    def key(self, fields: Fields) -> tuple[object, ...]:
        """What decides whether an operation has a kernel: its own shape and parameters, and its sources' shapes."""
        return (fields[_SHAPE], fields[_OP], fields[_PARAMS], *[self.fields(s)[_SHAPE] for s in self.sources(fields)])

    def sources(self, fields: Fields) -> list[Any]:
        """The sources a tensor has, as pointers."""
        return [self.ffi.cast("tensor_t", address) for address in fields[_SRC] if address]

    def name(self, tensor: Any, fields: Fields) -> str:
        """The operation, with the kind of a unary or gated one: "MUL_MAT", "UNARY:SILU"."""
        op = self._names.get(fields[_OP])
        if op is None:
            op = self._names[fields[_OP]] = self.ffi.string(self.lib.ggml_op_name(fields[_OP])).decode()
        if op in ("UNARY", "GLU"):
            return f"{op}:{self.ffi.string(self.lib.ggml_op_desc(tensor)).decode()}"
        return "MUL_MAT_ID:F32" if op == "MUL_MAT_ID" and fields[_PARAMS][_PREC_SLOT] == _PREC_F32 else op

    def node(self, tensor: Any) -> Node:
        """The tensor with its sources, and theirs left out."""
        known: dict[int, Node] = {}
        node = self.leaf(tensor, known)
        node.src = self.sources_of(tensor, known)
        return node

    def sources_of(self, tensor: Any, known: dict[int, Node]) -> tuple[Node, ...]:
        """The sources of a tensor, theirs left out unless they are known."""
        return tuple(self.leaf(src, known) for src in self.sources(self.fields(tensor)))

    def leaf(self, tensor: Any, known: dict[int, Node]) -> Node:
        """The tensor without its sources; ``known`` are the nodes by address, so that a view finds what it views."""
        address = int(self.ffi.cast("uintptr_t", tensor))
        if address in known:
            return known[address]
        fields = self.fields(tensor)
        kind, ne0, ne1, ne2, ne3, nb0, nb1, nb2, nb3 = fields[_SHAPE]
        node = known[address] = Node(
            self.name(tensor, fields),
            TENSOR_TYPES[kind],
            (ne0, ne1, ne2, ne3),
            (nb0, nb1, nb2, nb3),
            flags=fields[_FLAGS],
            home=self._home(tensor),
        )
        root, offset = fields[_VIEW]
        if root:
            node.view_src, node.offset = self.leaf(self.ffi.cast("tensor_t", root), known), offset
        return node

    def _home(self, tensor: Any) -> str | None:
        if not tensor.buffer:
            return None
        return WEIGHT if tensor.buffer.usage == _WEIGHTS else CACHE

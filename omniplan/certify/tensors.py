"""ggml tensors, by their addresses, as nodes of our own graphs: what the rules of the CUDA backend need to see."""

from __future__ import annotations

from ctypes import string_at
from struct import Struct
from typing import Any, Final

from omniplan.domain.tensor_type import TENSOR_TYPES
from omniplan.llamacpp.graph.node import CACHE, WEIGHT, Node

_WEIGHTS: Final = 1  # ggml-backend.h: GGML_BACKEND_BUFFER_USAGE_WEIGHTS
_PREC_F32: Final = 10  # ggml.h: GGML_PREC_F32
_PREC_SLOT: Final = 3  # ggml.c: ggml_mul_mat_id_set_prec
# struct ggml_tensor up to the name: type, buffer, ne, nb, op, op_params, flags, src, view_src, view_offs.
_HEAD: Final = Struct("=i4xQ4q4Qi16ii10QQQ")
_TYPE, _BUFFER, _OP, _FLAGS = 0, 1, 10, 27
_SHAPE: Final = slice(2, 10)
_PARAMS: Final = slice(11, 15)
_SRC: Final = slice(28, 38)
_VIEW: Final = slice(38, 40)
# struct ggml_backend_buffer: eleven functions, then buft, context, size, usage.
_HOLDER: Final = Struct("=88xQ16xi")

Fields = tuple[int, ...]


class Tensors:
    """Reads tensors of one library; the names of its operations are looked up once."""

    def __init__(self, ffi: Any, lib: Any) -> None:
        self._ffi = ffi
        self._lib = lib
        self._pointer = ffi.typeof("tensor_t")
        self._address = ffi.typeof("uintptr_t")
        self._names: dict[tuple[int, int], str] = {}

    def address(self, pointer: Any) -> int:
        """Where a pointer points."""
        return int(self._ffi.cast(self._address, pointer))

    def pointer(self, address: int) -> Any:
        """The tensor at an address, for the library's own functions."""
        return self._ffi.cast(self._pointer, address)

    def fields(self, address: int) -> Fields:
        """The fixed part of a tensor's struct, in the order of ``_HEAD``."""
        return _HEAD.unpack(string_at(address, _HEAD.size))

    def sources(self, fields: Fields) -> list[int]:
        """The sources a tensor has."""
        return [address for address in fields[_SRC] if address]

    def buffer_type(self, fields: Fields) -> int:
        """The buffer type that holds a tensor, 0 when nothing does yet."""
        return self._holder(fields)[0] if fields[_BUFFER] else 0

    def key(self, fields: Fields, sources: list[Fields]) -> tuple[object, ...]:
        """What decides whether an operation has a kernel: its own shape and parameters, and its sources' shapes."""
        shapes = [(src[_TYPE], src[_SHAPE]) for src in sources]
        return (fields[_TYPE], fields[_SHAPE], fields[_OP], fields[_PARAMS], *shapes)

    def node(self, address: int) -> Node:
        """The tensor with its sources, and theirs left out."""
        known: dict[int, Node] = {}
        node = self.leaf(address, known)
        node.src = self.sources_of(address, known)
        return node

    def sources_of(self, address: int, known: dict[int, Node]) -> tuple[Node, ...]:
        """The sources of a tensor, theirs left out unless they are known."""
        return tuple([self.leaf(src, known) for src in self.sources(self.fields(address))])

    def leaf(self, address: int, known: dict[int, Node]) -> Node:
        """The tensor without its sources; ``known`` are the nodes by address, so that a view finds what it views."""
        node = known.get(address)
        if node is not None:
            return node
        fields = self.fields(address)
        ne0, ne1, ne2, ne3, nb0, nb1, nb2, nb3 = fields[_SHAPE]
        node = known[address] = Node(
            self._name(address, fields),
            TENSOR_TYPES[fields[_TYPE]],
            (ne0, ne1, ne2, ne3),
            (nb0, nb1, nb2, nb3),
            flags=fields[_FLAGS],
            home=self._home(fields),
        )
        root, offset = fields[_VIEW]
        if root:
            node.view_src, node.offset = self.leaf(root, known), offset
        return node

    def _name(self, address: int, fields: Fields) -> str:
        """The operation, with the kind of a unary or gated one: "MUL_MAT", "UNARY:SILU"."""
        params = fields[_PARAMS]
        name = self._names.get((fields[_OP], params[0]))
        if name is None:
            name = self._ffi.string(self._lib.ggml_op_name(fields[_OP])).decode()
            if name in ("UNARY", "GLU"):
                name += f":{self._ffi.string(self._lib.ggml_op_desc(self.pointer(address))).decode()}"
            self._names[fields[_OP], params[0]] = name
        return "MUL_MAT_ID:F32" if name == "MUL_MAT_ID" and params[_PREC_SLOT] == _PREC_F32 else name

    def _holder(self, fields: Fields) -> tuple[int, int]:
        buft, usage = _HOLDER.unpack(string_at(fields[_BUFFER], _HOLDER.size))
        return buft, usage

    def _home(self, fields: Fields) -> str | None:
        if not fields[_BUFFER]:
            return None
        return WEIGHT if self._holder(fields)[1] == _WEIGHTS else CACHE

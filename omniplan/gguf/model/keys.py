"""Typed access to an architecture's metadata keys."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.domain.header import ArrayInfo, Header, Value
from omniplan.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Keys:
    """Metadata under ``<arch>.``; a value of the wrong kind is an error that names its key."""

    header: Header
    arch: str

    def raw(self, suffix: str) -> Value | None:
        """The value as read, or None."""
        return self.header.metadata.get(f"{self.arch}.{suffix}")

    def has(self, suffix: str) -> bool:
        """Whether the header holds the key."""
        return self.raw(suffix) is not None

    def number(self, suffix: str, default: int = 0) -> int:
        """A whole, non-negative number; the first entry of an array."""
        value = self.raw(suffix)
        if isinstance(value, tuple) and value:
            value = value[0]
        if value is None:
            return default
        if isinstance(value, bool | str | tuple | ArrayInfo) or value < 0:
            raise self._wrong(suffix, value, "a whole number")
        return int(value)

    def per_layer(self, suffix: str, n_layer: int, default: int = 0) -> tuple[int, ...]:
        """One number per layer: an array of at least ``n_layer``, or a scalar repeated."""
        value = self.raw(suffix)
        if not isinstance(value, tuple | ArrayInfo):
            return (self.number(suffix, default),) * n_layer
        if isinstance(value, ArrayInfo) or len(value) < n_layer or not all(isinstance(v, int) for v in value):
            raise self._wrong(suffix, value, f"a number or an array of {n_layer}")
        return tuple(int(v) for v in value[:n_layer])

    def required(self, suffix: str) -> int:
        """A number the header must hold."""
        if not self.has(suffix):
            raise UnsupportedModel(
                f"{self.header.paths[0]}: key {self.arch}.{suffix} is missing; llama.cpp cannot load this model"
            )
        return self.number(suffix)

    def _wrong(self, suffix: str, value: object, wanted: str) -> UnsupportedModel:
        shown = value if not isinstance(value, tuple) else f"an array of {len(value)}"
        return UnsupportedModel(f"{self.header.paths[0]}: key {self.arch}.{suffix} is {shown!r}, expected {wanted}")

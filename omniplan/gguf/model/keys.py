"""Typed access to an architecture's metadata keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from omniplan.domain.header import ArrayInfo, Header, Value
from omniplan.errors import UnsupportedModel

# llama.cpp reads these numbers as u32.
_MOST: Final = (1 << 32) - 1
# Real headers stay at 20 (rounds of DeepSeek-V4's hyper-connections); a graph of so many more nodes finds no scheduler.
_MOST_REPEATS: Final = 32
# A size, and what it is divided into equal parts by.
_PARTS: Final = (
    ("ssm.inner_size", "ssm.time_step_rank"),
    ("ssm.inner_size", "ssm.group_count"),
    ("embedding_length", "wkv.head_size"),
)


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
        if not _is_number(value):
            raise self._wrong(suffix, value, "a whole number")
        return int(value)  # type: ignore[arg-type]

    def per_layer(self, suffix: str, n_layer: int, default: int = 0) -> tuple[int, ...]:
        """One number per layer: an array of at least ``n_layer``, or a scalar repeated."""
        value = self.raw(suffix)
        if not isinstance(value, tuple | ArrayInfo):
            return (self.number(suffix, default),) * n_layer
        if isinstance(value, ArrayInfo) or len(value) < n_layer or not all(map(_is_entry, value)):
            raise self._wrong(suffix, value, f"a number or an array of {n_layer}")
        return tuple(int(v) for v in value[:n_layer])

    def required(self, suffix: str) -> int:
        """A number above 0 that the header must hold."""
        if not self.has(suffix):
            raise UnsupportedModel(
                f"{self.header.paths[0]}: key {self.arch}.{suffix} is missing; llama.cpp cannot load this model"
            )
        number = self.number(suffix)
        if not number:
            raise self._wrong(suffix, number, "a number above 0")
        return number

    def check(self, needs: Iterable[str], repeats: Iterable[str]) -> None:
        """Raise UnsupportedModel unless ``needs`` are there and above 0, ``repeats`` few, and parts within sizes."""
        for suffix in needs:
            self.required(suffix)
        for suffix in repeats:
            if self.number(suffix) > _MOST_REPEATS:
                raise self._wrong(suffix, self.raw(suffix), f"at most {_MOST_REPEATS}")
        for whole, part in _PARTS:
            if self.number(part) > self.number(whole):
                raise self._wrong(part, self.raw(part), f"no more than {whole}, {self.number(whole)}")

    def _wrong(self, suffix: str, value: object, wanted: str) -> UnsupportedModel:
        shown = value if not isinstance(value, tuple) else f"an array of {len(value)}"
        return UnsupportedModel(f"{self.header.paths[0]}: key {self.arch}.{suffix} is {shown!r}, expected {wanted}")


def _is_number(value: Value) -> bool:
    return not isinstance(value, bool | str | tuple | ArrayInfo) and 0 <= value <= _MOST and value % 1 == 0


def _is_entry(value: Value) -> bool:
    """Whether an array of numbers or flags may hold ``value``."""
    return isinstance(value, int) and 0 <= value <= _MOST

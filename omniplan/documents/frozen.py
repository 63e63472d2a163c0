"""A mapping that nobody changes, so that the values that hold it can be compared, hashed and shared."""

from __future__ import annotations

from types import MappingProxyType
from typing import NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(dict[K, V]):
    """A mapping by value: equal to any mapping of the same items, and hashable where these are."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenMapping[K, V]], tuple[dict[K, V]]]:
        return FrozenMapping, (dict(self),)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a frozen mapping does not change; make a dict of it")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def frozen(value: object) -> object:
    """``value`` with every mapping and list in it frozen."""
    if isinstance(value, FrozenMapping):
        return value
    if isinstance(value, dict | MappingProxyType):
        return FrozenMapping({key: frozen(item) for key, item in value.items()})
    return tuple(map(frozen, value)) if isinstance(value, list) else value

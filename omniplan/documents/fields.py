"""Reading plain data (TOML, JSON) field by field, with errors that name the path inside the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Any, Final

from omniplan.errors import InputError
from omniplan.units import MIB

# Far above any byte count, rate or size, and far below where floats and bytes overflow.
LARGEST: Final = 1e15


@dataclass(slots=True)
class Fields:
    """A mapping being read; ``done`` refuses the keys nobody asked for."""

    raw: Mapping[str, Any]
    path: str = ""
    _seen: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, raw: object, path: str) -> Fields:
        """Wrap ``raw``; raises InputError when it is not a table."""
        if not isinstance(raw, Mapping):
            raise InputError(f"{path or 'top level'}: expected a table, got {type(raw).__name__}")
        return cls(raw, path)

    def _take(self, key: str) -> Any:
        self._seen.add(key)
        return self.raw.get(key)

    def _at(self, key: str) -> str:
        return f"{self.path}{'' if key.startswith('[') else '.'}{key}" if self.path else key

    def error(self, key: str, problem: str) -> InputError:
        """An InputError about ``key``."""
        return InputError(f"{self._at(key)}: {problem}")

    def text(self, key: str, default: str | None = None) -> str:
        """A string; required when ``default`` is None."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.error(key, "expected text" if value is not None else "is missing")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, got {value!r}")
        return value

    def number(self, key: str) -> float | None:
        """A number >= 0, or None when absent."""
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LARGEST:
            raise self.error(key, f"expected a number of 0 or more, got {str(value)[:40]}")
        return float(value)

    def count(self, key: str) -> int | None:
        """A whole number >= 0, or None when absent."""
        value = self.number(key)
        if value is not None and value != int(value):
            raise self.error(key, f"expected a whole number, got {value!r}")
        return None if value is None else int(value)

    def required_count(self, key: str) -> int:
        """A whole number >= 0 that must be there."""
        value = self.count(key)
        if value is None:
            raise self.error(key, "is missing")
        return value

    def counts(self, key: str) -> tuple[int, ...]:
        """An array of whole numbers >= 0; empty when absent."""
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.error(key, "expected an array of numbers")
        items = Fields({f"[{index}]": item for index, item in enumerate(value)}, self._at(key))
        return tuple(items.required_count(f"[{index}]") for index in range(len(value)))

    def scaled(self, key: str, unit: float) -> float | None:
        """A number written in units of ``unit``, to a thousandth of it, or None when absent."""
        value = self.number(key)
        # Whole thousandths multiply without the noise of 236.4 * 1e9, so that a value is written as it was read.
        return None if value is None else float(round(value * 1000) * round(unit / 1000))

    def matching(self, key: str, pattern: str, example: str) -> str:
        """Text of the form ``pattern``, or "" when absent."""
        value = self.text(key, "")
        if value and not re.fullmatch(pattern, value):
            raise self.error(key, f'expected a form like "{example}", got {value[:40]!r}')
        return value

    def day(self, key: str) -> date:
        """A date that must be there."""
        value = self._take(key)
        if not isinstance(value, date):
            raise self.error(key, "expected a date such as 2026-01-22" if value is not None else "is missing")
        return value

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        """One of ``known``, or ``default`` when absent."""
        value = self.text(key, default)
        if value not in known:
            raise self.error(key, f"expected one of {', '.join(known)}, got {value[:40]!r}")
        return value

    def mib(self, key: str) -> int | None:
        """Bytes from a field in MiB, or None when absent."""
        value = self.number(key)
        return None if value is None else int(value * MIB)

    def required_mib(self, key: str) -> int:
        """Bytes from a field in MiB that must be there."""
        value = self.mib(key)
        if value is None:
            raise self.error(key, "is missing")
        return value

    def table(self, key: str) -> Fields | None:
        """A nested table, or None when absent."""
        value = self._take(key)
        return None if value is None else Fields.of(value, self._at(key))

    def tables(self, key: str) -> list[Fields]:
        """An array of tables; empty when absent."""
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.error(key, "expected an array of tables")
        return [Fields.of(item, f"{self._at(key)}[{index}]") for index, item in enumerate(value)]

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings; empty when absent."""
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(v, str) for v in value):
            raise self.error(key, "expected an array of texts")
        return tuple(value)

    def done(self) -> None:
        """Refuse unknown keys, with the nearest known one, else all of them."""
        for key in self.raw:
            if key not in self._seen:
                near = get_close_matches(str(key), sorted(self._seen), n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(self._seen))}"
                raise self.error(str(key), f"unknown key; {hint}")

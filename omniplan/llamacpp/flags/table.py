"""Rows of ``data/flags.toml``: every flag llama-server knows, and the ones it no longer knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any, Final

from omniplan.documents.source import read_table
from omniplan.errors import TableError

_FILE: Final = "flags.toml"

# A row that does not say since when is in common/arg.cpp of this build; older ones are unknown.
CHECKED: Final = 9093


class ValueKind(StrEnum):
    """What follows a flag on the command line."""

    NONE = "none"
    INT = "int"
    UINT = "uint"
    FLOAT = "float"
    STRING = "string"
    ENUM = "enum"
    SWITCH = "switch"
    LIST = "list"
    PAIR = "pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRow:
    """One flag of llama-server; ``key`` is its name in the table, ``param`` the field of ``ServerParams`` it sets.

    ``since`` is the first build known to take it as described, ``lacks`` the last known not to, ``until`` the first
    known to refuse it again. ``before`` is what a build that lacks it is given instead, by value; ``without`` and
    ``instead`` tell a person what to do; ``builds`` is the source of these numbers.
    """

    key: str
    names: tuple[str, ...]
    kind: ValueKind
    source: str
    negated: tuple[str, ...] = ()
    env: str = ""
    choices: tuple[str, ...] = ()
    words: Mapping[str, int | str] = field(default_factory=dict)
    min: int | None = None
    max: int | None = None
    forbidden: tuple[int, ...] = ()
    default: int | float | bool | str | None = None
    param: str = ""
    sets: Mapping[str, int | bool | str] = field(default_factory=dict)
    since: int = CHECKED
    lacks: int | None = None
    until: int | None = None
    instead: str = ""
    before: Mapping[str, str] = field(default_factory=dict)
    without: str = ""
    builds: str = ""

    @property
    def name(self) -> str:
        """The spelling for messages and ``extra``: the first long one."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every spelling, negated ones last."""
        return self.names + self.negated

    @property
    def is_removed(self) -> bool:
        """Whether the newest known build refuses it."""
        return self.until is not None

    @property
    def negative_env(self) -> str:
        """The ``LLAMA_ARG_NO_`` form of ``env``, which only a flag with a negated spelling has."""
        return self.env.replace("LLAMA_ARG_", "LLAMA_ARG_NO_") if self.env and self.negated else ""


_FIELDS: Final = {item.name for item in fields(FlagRow)} - {"key"}
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "names": list, "negated": list, "choices": list, "forbidden": list, "words": dict, "sets": dict, "before": dict,
    "kind": str, "source": str, "env": str, "param": str, "instead": str,
    "without": str, "builds": str,
    "min": int, "max": int, "since": int, "lacks": int, "until": int, "default": (int, float, str),
}  # fmt: skip


@cache
def load_flags() -> tuple[FlagRow, ...]:
    """Every row in file order, which is the order in which llama.cpp applies the environment."""
    rows = tuple(_row(key, table) for key, table in read_table(_FILE).items())
    _reject_duplicates(rows)
    return rows


@cache
def spellings() -> Mapping[str, FlagRow]:
    """Rows by every spelling, negated and removed ones included."""
    return {name: row for row in load_flags() for name in row.spellings}


def _row(key: str, table: object) -> FlagRow:
    if not isinstance(table, dict):
        raise TableError(f"{_FILE}: {key}: expected a table")
    for problem in _problems(table):
        raise TableError(f"{_FILE}: {key}.{problem}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    values["kind"] = ValueKind(values["kind"])
    return FlagRow(key=key, **values)


def _problems(table: Mapping[str, object]) -> Iterator[str]:
    for name, value in table.items():
        if name not in _FIELDS:
            yield f"{name}: unknown key; known are {', '.join(sorted(_FIELDS))}"
        elif not isinstance(value, _TYPES[name]):
            yield f"{name}: {value!r} has the wrong type"
    for name in ("names", "kind", "source"):
        if not table.get(name):
            yield f"{name}: missing"
    if table.get("kind") not in set(ValueKind):
        yield f"kind: {table.get('kind')!r} is none of {', '.join(ValueKind)}"
    if ("until" in table) != ("instead" in table):
        yield "until: a removed flag needs both until and instead"
    if ("since" in table or "lacks" in table) and not table.get("builds"):
        yield "builds: since and lacks need a source"


def _reject_duplicates(rows: tuple[FlagRow, ...]) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        for name in row.spellings:
            if name in seen:
                raise TableError(f"{_FILE}: {row.key}.names: {name} is already a spelling of {seen[name]}")
            seen[name] = row.key

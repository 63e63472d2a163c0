"""Records from plain data and back: keys, units, bounds, what follows from other fields, and where a fault is."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.documents.column import Column, Count, Gbs, Group, Mib, Name, Positive, Words
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import plain, read
from omniplan.documents.schema import json_schema
from omniplan.documents.toml_text import to_toml
from omniplan.errors import InputError
from tests.refusals import check_one_line

MIB = 1 << 20


class Kind(StrEnum):
    """A closed set."""

    SMALL = "small"
    LARGE = "large"


def _twice(values: Mapping[str, Any]) -> object:
    return 2 * values["size"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A row that is called what its key says."""

    name: Name
    group: Group
    weight: Positive = 1.0


@dataclass(frozen=True, kw_only=True)
class Whole:
    """One of everything."""

    size: Mib
    rate: Annotated[Gbs | None, Column(key="speed_gbs")] = None
    room: Annotated[Mib, Column(default=_twice)]
    kind: Kind = Kind.SMALL
    form: Annotated[str, Column(pattern="[a-z]{2}", example="ab")] = ""
    words: Words = ()
    counts: tuple[Count, ...] = ()
    pair: tuple[str, int] = ("", 0)
    day: date | None = None
    either: int | bool | str = 0
    unless_null: int | None = 512
    by_number: Mapping[int, str] = FrozenMapping()
    parts: Annotated[Mapping[str, Mapping[str, Part]], Column(is_rest=True)] = FrozenMapping()

    def faults(self) -> Iterator[tuple[str, str]]:
        """Less room than the size."""
        if self.room < self.size:
            yield "room_mib", "is less than size_mib"


parts = st.dictionaries(
    st.sampled_from(["a b", "c.d", 'e"f']),
    st.fixed_dictionaries({}, optional={"weight": st.floats(0.1, 10)}),
    min_size=1,
    max_size=2,
)
tables = st.fixed_dictionaries(
    {"size_mib": st.integers(0, 1 << 20) | st.floats(0, 1e6)},
    optional={
        "speed_gbs": st.decimals(0, 5000, places=3).map(float),
        "kind": st.sampled_from(["small", "large"]),
        "form": st.sampled_from(["", "xy"]),
        "words": st.just("one two") | st.lists(st.text(max_size=3), max_size=2),
        "counts": st.lists(st.integers(0, 9), max_size=3),
        "pair": st.tuples(st.text(max_size=3), st.integers()).map(list),
        "unless_null": st.none() | st.integers(),
        "either": st.integers() | st.booleans() | st.text(max_size=3),
        "by_number": st.dictionaries(st.integers(0, 99).map(str), st.text(max_size=3), max_size=2),
        "first": parts,
        "second group": parts,
    },
)


@given(tables)
def test_what_is_read_is_written_and_read(raw: dict[str, Any]) -> None:
    """As plain data in full and without what goes without saying, as JSON and as TOML; all of it by the schema."""
    whole = read(Whole, raw)
    full, sparse = plain(whole), plain(whole, sparse=True)

    assert read(Whole, full) == whole
    assert read(Whole, json.loads(json.dumps(full))) == whole
    if whole.unless_null is not None:  # TOML has no null
        assert read(Whole, tomllib.loads(to_toml(sparse))) == whole
    assert hash(read(Whole, sparse)) == hash(whole)
    for written in (raw, full, sparse):
        jsonschema.validate(written, json_schema(Whole))


def test_units_names_and_what_follows() -> None:
    """1 MiB is 2^20 bytes, 236.4 GB/s exactly that; a row takes its name and group from the tables it stands in."""
    raw = {"size_mib": 1.5, "speed_gbs": 236.4, "words": " a  b ", "by_number": {"7": "x"}, "g": {"n": {"weight": 2}}}

    whole = read(Whole, raw)

    assert (whole.size, whole.room, whole.rate) == (3 * MIB // 2, 3 * MIB, 236_400_000_000.0)
    assert (whole.words, whole.by_number) == (("a", "b"), {7: "x"})
    assert whole.parts["g"]["n"] == Part(name="n", group="g", weight=2.0)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ([], "top level: expected a table, got list"),
        ({}, "size_mib: is missing"),
        ({"size_mib": -1}, "size_mib: expected a number of 0 or more, got -1"),
        ({"size_mib": True}, "size_mib: expected a number of 0 or more, got True"),
        ({"size_mib": 10**400}, "size_mib: expected a number of 0 or more"),
        ({"size_mib": 10**5000}, "size_mib: expected a number of 0 or more, got thousands of digits"),
        ({"size_mib": 1, "kind": 10**5000}, "kind: expected one of small, large"),
        ({"size_mib": 1, "by_number": {"1" * 5000: "x"}}, "by_number.1111"),
        ({"size_mib": 2, "room_mib": 1}, "room_mib: is less than size_mib"),
        ({"size_mib": 1, "kind": "medium"}, "kind: expected one of small, large, got 'medium'"),
        ({"size_mib": 1, "kind": []}, "kind: expected one of small, large"),
        ({"size_mib": 1, "form": "abc"}, "form: expected a form like \"ab\", got 'abc'"),
        ({"size_mib": 1, "counts": 3}, "counts: expected an array of numbers"),
        ({"size_mib": 1, "counts": [1, 2.5]}, "counts[1]: expected a whole number, got 2.5"),
        ({"size_mib": 1, "pair": ["a"]}, "pair: expected 2 values, got 1"),
        ({"size_mib": 1, "day": "yesterday"}, "day: expected a date such as 2026-01-22"),
        ({"size_mib": 1, "by_number": {"x": "y"}}, "by_number.x: expected a number, got x"),
        ({"size_mib": 1, "g": {"n": {"wait": 1}}}, "g.n.wait: unknown key; did you mean 'weight'?"),
        ({"size_mib": 1, "g": {"n": {"x": 1}}}, "g.n.x: unknown key; known are weight"),
        ({"size_mib": 1, "g": {"two\nlines": 1}}, "g.'two\\nlines': expected a table, got int"),
    ],
)
def test_faults_say_where_and_what(raw: object, says: str) -> None:
    """One line: the path as the file has it, and what should be there."""
    with pytest.raises(InputError) as caught:
        read(Whole, raw)

    assert str(caught.value).startswith(says)
    check_one_line(caught.value)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["size_mib", "room_mib", "kind", "words", "pair", "day", "either", "by_number", "other"]


@given(st.dictionaries(st.sampled_from(KEYS), junk))
def test_the_schema_allows_whatever_is_read(raw: dict[str, Any]) -> None:
    """Anything else is one line of InputError: no file is read that its schema refuses."""
    try:
        read(Whole, raw)
    except InputError as error:
        check_one_line(error)
    else:
        # In TOML there is no null; a file that leaves a key out is the same.
        present = {key: item for key, item in raw.items() if item is not None}
        jsonschema.validate(present, json_schema(Whole))

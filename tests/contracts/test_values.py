"""What the package gives away: immutable, equal and hashable by value, and written as JSON that reads back."""

from __future__ import annotations

import json
import pickle
import typing
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from functools import cache
from typing import Any

import jsonschema
import pytest

import omniplan
from omniplan.api.documents import SCHEMAS, schema
from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import Record, read
from tests.contracts.sources import ROOT

TINY = ROOT / "tests/data/models/archs/llama-dense.gguf"
LOG = ROOT / "examples/logs/glm-served.log"
# What a model file holds is no result: `omniplan.inspect` says it in JSON.
INPUTS = (omniplan.Header, omniplan.Model)


def types() -> list[type]:
    """The classes of values among the public names."""
    found = [getattr(omniplan, name) for name in omniplan.__all__]
    return [item for item in found if isinstance(item, type) and is_dataclass(item)]


def inside(kind: Any, seen: set[type]) -> Iterator[tuple[type, str, object]]:
    """Every field of a class and of the classes in it, with its type."""
    seen.add(kind)
    hints = typing.get_type_hints(kind)
    for item in fields(kind):
        yield kind, item.name, hints[item.name]
        for part in parts(hints[item.name]):
            if is_dataclass(part) and part not in seen:
                yield from inside(part, seen)


def parts(hint: Any) -> Iterator[Any]:
    """A type, and the types it is made of."""
    yield typing.get_origin(hint) or hint
    for part in typing.get_args(hint):
        yield from parts(part)


@pytest.mark.parametrize("kind", types(), ids=lambda kind: kind.__name__)
def test_values_are_made_of_values(kind: type) -> None:
    """Frozen through and through: no list, no dict and no set in any of them; results are records."""
    found = list(inside(kind, set()))

    assert [owner for owner, _, _ in found if not owner.__dataclass_params__.frozen] == []  # type: ignore[attr-defined]
    assert [(owner, name) for owner, name, hint in found if {list, dict, set} & {*parts(hint)}] == []
    assert kind in INPUTS or issubclass(kind, Record)


ARGS = ("-c", "4096", "-ngl", "9")
ONE = "single-3090"
# One of each that the functions return, of small models.
RESULTS: dict[str, Callable[[], Record]] = {
    "plan": lambda: omniplan.plan(TINY, ONE, n_ctx=4096),
    "footprint": lambda: omniplan.footprint(TINY, ONE, ARGS),
    "prediction": lambda: omniplan.predict(TINY, ONE, ARGS),
    "fit": lambda: omniplan.fit(TINY, ONE),
    "inspection": lambda: omniplan.inspect(TINY),
    "comparison": lambda: omniplan.compare(TINY, ONE, [ARGS, ("-c", "4096")]),
    "frontier": lambda: omniplan.frontier(TINY, ONE, contexts=[2048, 4096]),
    "recommendation": lambda: omniplan.recommend([TINY], ONE, n_ctx=4096),
    "check": lambda: omniplan.check(list(ARGS), model=TINY, machine=ONE),
    "load-report": lambda: omniplan.read_log(LOG),
    "verification": lambda: omniplan.verify(LOG),
    "weighing": lambda: omniplan.weigh_engines(TINY, ONE, n_ctx=4096),
    "stack": lambda: omniplan.stack(ROOT / "examples/stacks/four-models.toml", machine="omni-nps1"),
    "machine": lambda: omniplan.load_machine("omni-nps4"),
    "calibration": lambda: omniplan.calibrate([LOG]),
    "headroom": lambda: omniplan.Headroom.parse("10%"),
    "request": lambda: omniplan.Request(n_ctx=4096, pins=(omniplan.Override("exps", "CPU"),)),
}


@cache
def result(name: str) -> Any:
    """The one called so, made once."""
    return RESULTS[name]()


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_a_value(name: str) -> None:
    """Hashable, and equal to its copy; nothing of it can be set or changed."""
    value = result(name)
    copied = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own

    assert copied == value
    assert hash(copied) == hash(value)
    assert {value, copied} == {value}
    first = fields(value)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(value, first, None)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_reads_back_from_its_json(name: str) -> None:
    """Byte for byte the same again, and valid by its schema where that is published."""
    value = result(name)
    text = value.to_json()

    again = read(type(value), json.loads(text))

    assert again == value
    assert again.to_json() == text
    if name in SCHEMAS:
        jsonschema.validate(json.loads(text), schema(name))


def test_a_mapping_in_a_result_does_not_change() -> None:
    """However it is tried; a dict made of it does."""
    plan = result("plan")
    buffers: Any = plan.footprint.buffers
    name = next(iter(buffers))

    changes: tuple[Callable[[], object], ...] = (
        lambda: buffers.pop(name),
        lambda: buffers.update({name: None}),
        buffers.clear,
        lambda: buffers.__setitem__(name, None),
        lambda: buffers.__delitem__(name),
        lambda: buffers.__ior__({}),
        lambda: buffers.setdefault("other", None),
        buffers.popitem,
    )
    for change in changes:
        with pytest.raises(TypeError, match="does not change"):
            change()
    assert {**buffers, name: None} != buffers == plan.footprint.buffers


def test_what_goes_in_is_frozen() -> None:
    """A dict or a list given to a record is no back door to it."""
    plan = result("plan")
    given = {"A": "1"}

    changed = replace(plan, environment=given)
    given["A"] = "2"

    assert changed.environment == {"A": "1"}
    assert hash(changed.environment) == hash(FrozenMapping({"A": "1"}))

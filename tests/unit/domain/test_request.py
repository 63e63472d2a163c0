"""A request: one value with every default, refused with the field at fault, and all of it may be changed by name."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import given

import omniplan
from omniplan.domain.params import LoadMode, Override
from omniplan.domain.prediction import Objective
from omniplan.domain.request import DEFAULT, PlacementChanges, Request, RequestChanges
from tests.oracle import cases
from tests.property.strategies import examples, requests

SMALL = "Qwen3-0.6B-Q8_0"


def test_every_field_may_be_changed_by_name() -> None:
    """``plan`` takes all fields but the build, which may be named, with their types; a frontier leaves out more."""
    hints = {name: kind for name, kind in get_type_hints(Request).items() if name != "build"}
    varied = {"n_ctx", "n_ctx_least", "n_parallel", "cache_type_k", "cache_type_v", "cache_types", "n_ubatch"}

    assert get_type_hints(RequestChanges) == hints
    assert hints.keys() - get_type_hints(PlacementChanges).keys() == varied


def test_words_and_lists_stand_for_values() -> None:
    """A request of texts and lists equals, and hashes as, the one of enums and tuples."""
    given: dict[str, Any] = {"objective": "decode", "load_mode": "mlock", "pins": [Override("a", "CPU")]}
    exact = Request(objective=Objective.DECODE, load_mode=LoadMode.MLOCK, pins=(Override("a", "CPU"),))

    assert Request(**given) == exact
    assert hash(Request(**given)) == hash(exact)
    assert Request(**given).objective is Objective.DECODE


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"n_ctx": 0}, "n_ctx"),
        ({"n_ctx_least": -4}, "n_ctx_least"),
        ({"n_parallel": 0}, "n_parallel"),
        ({"n_ubatch": -1}, "n_ubatch"),
        ({"n_prompt": -1}, "n_prompt"),
        ({"n_prompt": 0, "n_gen": 0}, "n_gen"),
        ({"max_patterns": -1}, "max_patterns"),
        ({"objective": "joy"}, "objective"),
        ({"load_mode": "fast"}, "load_mode"),
        ({"n_ctx": 4096, "n_ctx_least": 8192}, "n_ctx_least"),
        ({"n_ctx": 1.5}, "n_ctx"),
        ({"n_ctx": "4096"}, "n_ctx"),
        ({"n_parallel": None}, "n_parallel"),
        ({"n_ubatch": 512.0}, "n_ubatch"),
        ({"max_patterns": True}, "max_patterns"),
        ({"pins": ["a=CPU"]}, "pins"),
        ({"headroom": "10%"}, "headroom"),
    ],
)
def test_what_nobody_can_ask_names_its_field(given: dict[str, Any], field: str) -> None:
    """The error carries field and value as data, and its text begins with them."""
    with pytest.raises(omniplan.RequestError) as caught:
        Request(**given)

    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field} {caught.value.value}: ")


@examples(5)
@given(asked=requests())
def test_a_request_and_its_fields_ask_the_same(asked: Request) -> None:
    """Given as a value, by name, or by name over another value: the plan is the same, and says what was asked."""
    model, machine = cases.model(SMALL), omniplan.load_machine("dual-4090-5070ti")
    names: Any = {item.name: getattr(asked, item.name) for item in fields(Request)}
    try:
        plan = omniplan.plan(model, machine, asked)
    except omniplan.OmniplanError as error:
        with pytest.raises(type(error)):
            omniplan.plan(model, machine, **names)
        return

    assert plan.request == asked
    assert omniplan.plan(model, machine, **names) == plan
    assert omniplan.plan(model, machine, replace(DEFAULT, n_prompt=7), **names) == plan

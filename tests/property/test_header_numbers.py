"""A header's numbers may be anything: what cannot be is refused in one line, soon, and nothing else escapes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.header import Header, Value
from omniplan.gguf import read_header
from omniplan.gguf.model.architectures import repeats, rows
from omniplan.gguf.model.model import build_model
from omniplan.machines.files import load_machine
from tests.property.strategies import examples

ARCHS = Path(__file__).parents[1] / "data" / "models" / "archs"
PATHS = sorted(ARCHS.glob("*.gguf"))
MACHINE = load_machine("dual-4090-5070ti")
# Zero, small, what reads as -1 in 32 and in 64 bits, and what is more than any model has.
EXTREMES = (0, 1, 3, 1 << 16, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, (1 << 64) - 1, -1, 0.0, 0.5, -1.0, 1e30)
NOT_FINITE = (float("nan"), float("inf"))


@cache
def header(name: str) -> Header:
    return read_header(ARCHS / name)


def numeric(known: Header) -> list[str]:
    """The architecture's own keys that hold numbers."""
    return [
        key
        for key, value in known.metadata.items()
        if key.startswith(f"{known.architecture}.") and isinstance(value, int | float | tuple)
    ]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, dict[str, Value | None]]:
    """A header's file and one or two of its keys with other numbers, or gone."""
    name = draw(st.sampled_from([path.name for path in PATHS]))
    keys = draw(st.lists(st.sampled_from(numeric(header(name))), min_size=1, max_size=2, unique=True))
    return name, {key: _changed(draw, header(name).metadata[key]) for key in keys}


def _changed(draw: st.DrawFn, value: Value) -> Value | None:
    number = st.sampled_from(EXTREMES) | st.sampled_from(NOT_FINITE) | st.integers(0, 1 << 12)
    if isinstance(value, tuple):
        entries = st.lists(number, min_size=len(value), max_size=len(value))
        return draw(st.none() | entries.map(tuple) | number.map(lambda one: (one,) * len(value)))
    return draw(st.none() | number)


def outcome(name: str, changes: dict[str, Value | None], *, with_plan: bool) -> str:
    """Why a model whose header has other numbers is refused, if it is; anything but an OmniplanError escapes."""
    known = header(name)
    metadata = {key: value for key, value in {**known.metadata, **changes}.items() if value is not None}
    try:
        model = build_model(replace(known, metadata=metadata))
        for mode in ("tensor", "layer"):
            args = ["-sm", mode, "-c", "512", "-np", "2", "-no-kvu", "-ub", "64", "--fit", "off"]
            omniplan.footprint(model, MACHINE, args)
        if with_plan:
            omniplan.plan(model, MACHINE, n_ctx=512, n_ubatch=64, baselines=False)
    except omniplan.OmniplanError as error:
        return str(error)
    return ""


@examples(60)
@given(case=damaged())
def test_any_numbers_are_priced_or_refused(case: tuple[str, dict[str, Value | None]]) -> None:
    """One or two numbers of any architecture's header are drawn anew or taken away."""
    assert "\n" not in outcome(*case, with_plan=False)


@examples(12)
@given(case=damaged())
def test_any_numbers_are_planned_or_refused(case: tuple[str, dict[str, Value | None]]) -> None:
    """As above, to a plan."""
    assert "\n" not in outcome(*case, with_plan=True)


def test_what_sizes_are_divided_by_is_needed() -> None:
    """Every number that an architecture's row needs is refused when it is 0 or gone, by its own name."""
    wrong = []
    for path in PATHS:
        known = header(path.name)
        row = rows().get(known.architecture)
        for suffix in row.needs if row else ():
            key = f"{known.architecture}.{suffix}"
            for metadata in ({**known.metadata, key: 0}, {k: v for k, v in known.metadata.items() if k != key}):
                try:
                    build_model(replace(known, metadata=metadata))
                    wrong.append(f"{path.name}: {suffix}")
                except omniplan.UnsupportedModel as error:
                    wrong += [] if key in str(error) else [f"{path.name}: {error}"]

    assert wrong == []


def test_what_graphs_are_unrolled_by_is_bounded() -> None:
    """A million rounds or streams of a hyper-connection, or taps of a convolution, are refused by name."""
    wrong = []
    for path in PATHS:
        known = header(path.name)
        for key in (f"{known.architecture}.{suffix}" for suffix in repeats()):
            if key in known.metadata:
                try:
                    build_model(replace(known, metadata={**known.metadata, key: 1 << 20}))
                    wrong.append(f"{path.name}: {key}")
                except omniplan.UnsupportedModel as error:
                    wrong += [] if key in str(error) else [f"{path.name}: {error}"]

    assert wrong == []

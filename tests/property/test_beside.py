"""What a server loads beside its model is part of every price, and a plan has room for it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.footprint import ContextKind, sum_of
from omniplan.domain.header import Header, Value
from omniplan.domain.headroom import shortfall
from omniplan.domain.machine import Machine
from omniplan.domain.model import Companions, Model
from omniplan.errors import Infeasible, RequestError
from omniplan.gguf import read_header
from omniplan.gguf.companions import foreign
from tests.oracle import cases
from tests.projectors import write_projector
from tests.property.strategies import examples, machines
from tests.refusals import check_one_line
from tests.towers import TOWERS

DRAFTED = "Qwen3-8B-Q4_K_M"
HEADED = "Qwen3.6-27B-MTP-Q4_K_M"
DRAFT = "Qwen3-0.6B-Q8_0"


def served(name: str = DRAFTED) -> Model:
    """A model with a small one of its family beside it."""
    return replace(cases.model(name), companions=Companions(draft=cases.model(DRAFT)))


@examples(5)
@given(machine=machines(most=3), n_ctx=st.sampled_from([4096, 16384]), mtp=st.sampled_from([None, 1, 3]))
def test_a_plan_has_room_for_all_of_it(machine: Machine, n_ctx: int, mtp: int | None) -> None:
    """MTP heads, as many drafts as asked or as pay: every pool keeps its headroom, all parts counted."""
    try:
        plan = omniplan.plan(cases.model(HEADED), machine, n_ctx=n_ctx, mtp=mtp, baselines=False)
    except Infeasible:
        return
    priced = omniplan.footprint(cases.model(HEADED), machine, plan.server_args)

    assert plan.footprint.fits
    assert shortfall(plan.margins) == {}
    assert priced.contexts == plan.footprint.contexts
    assert (ContextKind.MTP in priced.contexts) == bool(plan.settings.mtp)
    assert plan.settings.mtp == mtp or mtp is None


@examples(5)
@given(machine=machines(most=3), n_ctx=st.sampled_from([4096, 16384]))
def test_a_draft_model_is_planned_beside(machine: Machine, n_ctx: int) -> None:
    """It takes bytes of its own, the parts add up, and where it fits the model alone fits too."""
    try:
        plan = omniplan.plan(served(), machine, n_ctx=n_ctx, draft="draft.gguf", baselines=False)
    except Infeasible:
        return
    alone = omniplan.plan(cases.model(DRAFTED), machine, n_ctx=n_ctx, baselines=False)

    assert shortfall(plan.margins) == {}
    assert sum_of(plan.footprint.contexts.values()) == plan.footprint.buffers
    assert sum(size.total for size in plan.footprint.contexts[ContextKind.DRAFT].values()) > 0
    assert set(alone.footprint.contexts) == {ContextKind.MAIN}
    assert shortfall(alone.margins) == {}


def worded(name: str, tokenizer: str, count: int) -> Model:
    """A model with a vocabulary, which headers without one leave open."""
    model = cases.model(name)
    words: dict[str, Value] = {"tokenizer.ggml.model": tokenizer, "tokenizer.ggml.tokens": ("a",) * count}
    return replace(model, header=replace(model.header, metadata={**model.header.metadata, **words}))


@pytest.mark.parametrize(("tokenizer", "count"), [("llama", 1000), ("gpt2", 1129)])
def test_a_draft_of_another_family_is_refused(tokenizer: str, count: int) -> None:
    """llama-server would not draft with it, so no plan does; a few tokens more or less are of one family."""
    model, draft = worded(DRAFTED, "gpt2", 1000), worded(DRAFT, tokenizer, count)

    with pytest.raises(RequestError, match="llama-server refuses it"):
        omniplan.plan(replace(model, companions=Companions(draft=draft)), "single-3090", draft="draft.gguf")
    assert foreign(model, worded(DRAFT, "gpt2", 1128)) == foreign(model, cases.model(DRAFT)) == ""


@cache
def projector(kind: str) -> Header:
    """A projector's header of that kind."""
    with tempfile.TemporaryDirectory() as folder:
        return read_header(write_projector(Path(folder) / "projector.gguf", TOWERS[kind]))


DAMAGE: st.SearchStrategy[Value] = st.sampled_from(
    [
        0,
        1,
        -1,
        3,
        10**6,
        2**31 - 1,
        2**40,
        -(2**31),
        0.0,
        float("nan"),
        float("inf"),
        True,
        "x",
        "",
        (),
        (1,),
        (1.0, 2.0),
    ]
)


@examples(60)
@given(kind=st.sampled_from(sorted(TOWERS)), data=st.data())
def test_a_damaged_projector_is_priced_or_refused(kind: str, data: st.DataObject) -> None:
    """Whatever one of its keys says, and whichever tensor is missing: a price, or one clear error."""
    header = projector(kind)
    key = data.draw(st.sampled_from(sorted(header.metadata)))
    metadata: dict[str, Value] = {**header.metadata, key: data.draw(DAMAGE)}
    gone = data.draw(st.integers(-1, len(header.tensors) - 1))
    tensors = tuple(tensor for index, tensor in enumerate(header.tensors) if index != gone)
    broken = replace(header, metadata=metadata, tensors=tensors)
    model = replace(cases.model(DRAFT), companions=Companions(projector=broken))
    try:
        priced = omniplan.footprint(model, "single-3090", ["-c", "512", "-ngl", "99", "--mmproj", "projector.gguf"])
    except omniplan.OmniplanError as error:
        check_one_line(error)
    else:
        assert all(size.total >= 0 for size in priced.contexts.get(ContextKind.PROJECTOR, {}).values())

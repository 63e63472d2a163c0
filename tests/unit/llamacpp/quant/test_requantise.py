"""An estimated quant as a model: what it keeps, what it says of itself, what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.llamacpp.quant.requantise import quant_name
from omniplan.llamacpp.quant.table import find_mix, mix_of, quantize_rules
from omniplan.units import pad
from tests.machines import single
from tests.oracle.cases import model
from tests.property.strategies import examples, names

QUANTS = st.sampled_from(sorted(quantize_rules().mixes))


@examples(12)
@given(name=names(), quant=QUANTS)
def test_an_estimate_is_a_model_of_the_same_weights(name: str, quant: str) -> None:
    """Names and shapes stay, bytes are laid out without gaps or overlaps, and it says what it is."""
    source = model(name)
    made = omniplan.requantise(source, quant)

    assert {t.name: t.shape for t in source.header.tensors} == {t.name: t.shape for t in made.header.tensors}
    end = 0
    for tensor in made.header.tensors:
        assert end == tensor.offset
        assert tensor.shape[0] % tensor.type.block == 0
        end += pad(tensor.nbytes, 32)
    assert quant == quant_name(made.header)
    assert any(quant in item.subject for item in made.assumptions)


@examples(8)
@given(name=names(), quant=QUANTS, again=QUANTS)
def test_the_way_does_not_matter(name: str, quant: str, again: str) -> None:
    """A quant estimated from an estimate is the quant estimated from the file: rules look at shapes, not at types."""
    source = model(name)
    direct = omniplan.requantise(source, again).header
    detour = omniplan.requantise(omniplan.requantise(source, quant), again).header

    assert direct.tensors == detour.tensors


def test_an_estimate_can_be_planned_and_says_so() -> None:
    """The assumption stands in the plan; the path is where the file would lie."""
    made = omniplan.requantise(model("Qwen3-0.6B-Q8_0"), "q4_k_m")
    plan = omniplan.plan(made, single(8), n_ctx=4096)

    assert plan.model.path.endswith("Qwen3-0.6B-Q4_K_M.gguf")
    assert "quant Q4_K_M" in [item.subject for item in plan.assumptions]


def test_an_importance_matrix_where_the_mix_needs_one() -> None:
    """IQ2_M cannot be made without one, so it is taken for granted; Q4_0 has one only when asked for."""
    source = model("Llama-3.1-8B-Q4_K_M")
    statements = [omniplan.requantise(source, quant).assumptions[-1].statement for quant in ("IQ2_M", "Q4_0")]

    assert ["with an importance", "without an importance"] == [
        next(text for text in ("without an importance", "with an importance") if text in statement)
        for statement in statements
    ]
    assert omniplan.requantise(source, "Q4_0", imatrix=True).header.tensors != (
        omniplan.requantise(source, "Q4_0").header.tensors
    )


def test_pure_is_one_type() -> None:
    """--pure leaves no mixture: everything quantised has the mix's own type where its rows allow it."""
    made = omniplan.requantise(model("Llama-3.1-8B-Q4_K_M"), "Q4_K_M", pure=True)

    assert {"f32", "q4_K"} == {tensor.type.name for tensor in made.header.tensors}


def test_unknown_quants_are_told_apart() -> None:
    """A misspelt quant names the nearest; names and aliases are read as llama-quantize reads them."""
    with pytest.raises(omniplan.InputError, match="did you mean Q4_K_M"):
        find_mix("Q4_KM")
    with pytest.raises(omniplan.InputError, match="quant ''"):
        find_mix("")

    assert "Q4_K_M" == find_mix("q4_k").name
    assert mix_of(1024) is None


def test_what_llama_quantize_refuses_is_refused() -> None:
    """Q1_0 has no stand-in for rows that are no whole number of its blocks."""
    with pytest.raises(omniplan.UnsupportedModel, match="choose another quant"):
        omniplan.requantise(model("gpt-oss-20b-MXFP4_MOE"), "Q1_0")

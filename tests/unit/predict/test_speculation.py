"""Speculative decoding: what a round yields, what it takes where, and when it is better not to draft."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from benchmarks.measured.headers import path_of
from benchmarks.measured.speculative import FILE, predicted, rows
from omniplan.domain.model import Companions
from omniplan.domain.prediction import Cause, Speculation
from omniplan.errors import InputError
from omniplan.predict.acceptance import acceptance, chance_of, tokens_per_round, ways

HEADED = omniplan.load_model(path_of("Qwen3.6-27B-MTP-Q4_K_M.gguf"))
DENSE = omniplan.load_model(path_of("Qwen3-8B-Q4_K_M.gguf"))
SMALL = omniplan.load_model(path_of("Qwen3-0.6B-Q8_0.gguf"))
MACHINE = omniplan.load_machine("single-3090")
ALL = ("-ngl", "99", "-c", "8192", "-np", "1", "-fa", "on")
MTP = ("--spec-type", "draft-mtp", "--spec-draft-n-max")
SIMPLE = ("--spec-type", "draft-simple", "-md", "small.gguf", "--spec-draft-n-max")


def found(
    model: omniplan.Model, *args: str, share: float | None = None, machine: omniplan.Machine = MACHINE
) -> Speculation:
    """What is said of a command that drafts."""
    prediction = omniplan.predict(model, machine, [*ALL, *args], acceptance=share)
    assert prediction.speculation is not None
    return prediction.speculation


@given(chance=st.floats(0.01, 0.99), n=st.integers(1, 12))
def test_an_acceptance_and_its_chance_say_the_same(chance: float, n: int) -> None:
    """What is printed at one number of drafts gives the chance of a single one, and that the print again."""
    assert chance_of(acceptance(chance, n), n) == pytest.approx(chance, abs=1e-6)
    assert 1 + n * acceptance(chance, n) == pytest.approx(tokens_per_round(chance, n))


@given(chance=st.floats(0.01, 0.99), n=st.integers(1, 12))
def test_longer_drafts_yield_more_and_are_kept_less(chance: float, n: int) -> None:
    """A further token is kept only where all before it are."""
    assert acceptance(chance, n + 1) <= acceptance(chance, n)
    assert tokens_per_round(chance, n) <= tokens_per_round(chance, n + 1) <= n + 2


def test_terms_are_those_of_a_kept_token() -> None:
    """They sum to the token as without drafts, drafting is one of them, and the gain is the ratio of both."""
    on = omniplan.predict(HEADED, MACHINE, [*ALL, *MTP, "2"])
    off = omniplan.predict(HEADED, MACHINE, ALL)

    assert on.speculation is not None
    assert off.speculation is None
    assert 1 / on.decode_tokens_per_second.value == pytest.approx(sum(on.terms.values()))
    assert on.terms[Cause.DRAFTING] > 0
    gain = on.decode_tokens_per_second.value / off.decode_tokens_per_second.value
    # With drafts the graph has the nodes that take states back, which decoding alone has not.
    assert gain == pytest.approx(on.speculation.gain.value, rel=0.02)
    assert on.speculation.gain.low < on.speculation.gain.value < on.speculation.gain.high


@given(shares=st.lists(st.floats(0, 1), min_size=2, max_size=2), n=st.integers(1, 7))
def test_a_higher_acceptance_is_never_slower(shares: list[float], n: int) -> None:
    """The stated share is what is used, and it alone sets the range of tokens."""
    few, many = (found(HEADED, *MTP, str(n), share=share) for share in sorted(shares))

    assert few.gain.value <= many.gain.value
    assert (many.acceptance.value, many.source) == (max(shares), "stated")
    assert many.tokens_per_round <= n + 1


def test_the_best_number_of_drafts_is_the_best() -> None:
    """None gains a twentieth more by the same chance, fewer gain less; without anything kept it is none."""
    chance = ways()["draft-mtp"].chance
    best = found(HEADED, *MTP, "3")
    others = {n: found(HEADED, *MTP, str(n), share=acceptance(chance, n)).gain.value for n in range(1, 8)}

    assert best.best_gain == pytest.approx(others[best.best_n_max])
    assert best.best_gain >= 0.95 * max(others.values())
    assert max(others[n] for n in range(1, best.best_n_max)) < 0.95 * max(others.values())
    never = found(HEADED, *MTP, "3", share=0.0)
    assert (never.best_n_max, never.best_gain) == (0, 1.0)
    assert never.gain.value < 1


def test_experts_in_ram_gain_less() -> None:
    """Verifying several tokens reads experts that one alone does not ask for."""
    kept, _ = rows(FILE)
    ram = next(row for row in kept if row.id == "v620x4-glm52-mtp3")
    gpus = next(row for row in kept if row.id == "q38-27b-5090-sweep-n3")
    in_ram, on_gpu = (predicted(row).speculation for row in (ram, gpus))

    assert in_ram is not None
    assert on_gpu is not None
    assert in_ram.gain.value < on_gpu.gain.value
    assert in_ram.best_n_max < on_gpu.best_n_max


def test_a_draft_model_is_priced_by_its_own_decode() -> None:
    """A small one gains by a stated acceptance, one as large as the model itself never does."""
    small, large = (replace(DENSE, companions=Companions(draft=draft)) for draft in (SMALL, DENSE))

    assert found(small, *SIMPLE, "3", share=0.8).gain.value > 1
    assert found(large, *SIMPLE, "3", share=1.0).best_n_max == 0


@pytest.mark.parametrize(
    ("model", "args", "why"),
    [
        (DENSE, (*MTP, "2"), "draft-mtp is not counted: what drafts is not at hand"),
        (DENSE, (*SIMPLE, "2"), "draft-simple is not counted: what drafts is not at hand"),
        (
            replace(DENSE, companions=Companions(draft=SMALL)),
            (*SIMPLE, "2"),
            "draft-simple is not counted: its acceptance is not stated, and no measured row has it",
        ),
        (HEADED, (*MTP, "0"), "draft-mtp is not counted: nothing is drafted"),
        (DENSE, ("--spec-type", "ngram-mod"), "ngram-mod is not counted: how often text repeats is not known"),
    ],
)
def test_what_is_not_known_is_not_counted_and_said(model: omniplan.Model, args: tuple[str, ...], why: str) -> None:
    """Rates are then those without drafts."""
    without = omniplan.predict(model, MACHINE, ALL)
    prediction = omniplan.predict(model, MACHINE, [*ALL, *args])

    assert prediction.speculation is None
    assert why in prediction.assumptions
    assert prediction.decode_tokens_per_second == without.decode_tokens_per_second


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_an_acceptance_is_a_share(share: float) -> None:
    """Anything else is the caller's mistake."""
    with pytest.raises(InputError, match="acceptance"):
        omniplan.predict(HEADED, MACHINE, [*ALL, *MTP, "2"], acceptance=share)

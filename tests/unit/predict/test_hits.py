"""How often a cache of experts has the one that is asked for, and what follows for the speed of an answer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.machine import Machine
from omniplan.domain.prediction import Cause, Prediction
from omniplan.errors import InputError
from omniplan.predict.hits import even_from, hits, rows

MODEL = omniplan.load_model("tests/data/models/zoo/Qwen3-Next-80B-A3B-Q4_K_M.gguf")
CACHED = ("--moe-cache-mib", "10000")
SHARES = st.floats(min_value=0, max_value=1)


def predict(
    *args: str, lanes: int = 16, name: str = "CUDA0", gbs: float = 45, hit_rate: float | None = None
) -> Prediction:
    """The speed of all experts in RAM beside an RTX 5070 Ti on PCIe 4."""
    gpu = {"name": name, "description": "RTX 5070 Ti", "total_mib": 16303, "pcie_generation": 4, "pcie_width": lanes}
    memory = {"total_mib": 131072, "bandwidth_gbs": gbs, "bandwidth_basis": "measured"}
    machine = Machine.from_dict({"name": "desk", "gpus": [gpu], "cpu": {"n_cores": 16}, "memory": memory})
    base = ("-c", "8192", "-np", "1", "-ngl", "99", "-cmoe")
    return omniplan.predict(MODEL, machine, (*base, *args), n_prompt=64, build=11549, hit_rate=hit_rate)


def rate(prediction: Prediction) -> float:
    """Tokens per second."""
    return prediction.decode_tokens_per_second.value


@given(less=SHARES, more=SHARES)
def test_a_larger_cache_is_hit_more_often(less: float, more: float) -> None:
    """Never outside its range, and never less often than experts chosen evenly would be in the middle."""
    less, more = sorted((less, more))
    small, large = hits(less), hits(more)

    assert small.low <= large.low <= large.value <= large.high <= 1
    assert small.value <= large.value
    assert small.value >= less


def test_rows_are_met() -> None:
    """Each as it was measured; nothing without a cache, everything where all experts fit."""
    assert [hits(row.share).value for row in rows().values()] == [row.hits for row in rows().values()]
    assert (hits(0).value, hits(1).value) == (0, 1)


def test_it_pays_on_a_fast_link_and_costs_on_a_slow_one() -> None:
    """Four lanes carry a quarter of what sixteen do; pinned memory is copied twice as fast as a mapped file."""
    without, fast, mapped = predict(), predict(*CACHED, "--load-mode", "none"), predict(*CACHED)
    slow = predict(*CACHED, "--load-mode", "none", lanes=4)

    assert rate(fast) > 1.4 * rate(without)
    assert rate(fast) > rate(mapped)
    assert rate(slow) < rate(without)
    assert slow.terms[Cause.EXPERT_UPLOADS] == pytest.approx(4 * fast.terms[Cause.EXPERT_UPLOADS])


def test_it_costs_on_vulkan() -> None:
    """Where experts are copied one by one at a ninth of the link."""
    assert rate(predict(*CACHED, name="Vulkan0")) < rate(predict(name="Vulkan0"))


def test_a_prompt_takes_no_notice() -> None:
    """Large batches read experts from RAM as they do without it."""
    assert predict(*CACHED).prompt_terms == predict().prompt_terms


def test_what_was_assumed_is_said() -> None:
    """The share that it holds, how often that does, and the range that this gives the rate."""
    without, found = predict(), predict(*CACHED)

    assert without.cached_experts is None
    assert found.cached_experts is not None
    assert 0.2 < found.cached_experts.share < 0.25
    assert found.cached_experts.hits.low < found.cached_experts.hits.value < found.cached_experts.hits.high
    plain, wide = without.decode_tokens_per_second, found.decode_tokens_per_second
    assert wide.high / wide.low > plain.high / plain.low
    assert Cause.CPU_WEIGHTS not in found.terms


def test_a_hit_rate_may_be_stated() -> None:
    """What comes over the link is what is not found; the range of the measured rows is gone then."""
    none, half, every = (predict(*CACHED, hit_rate=rate) for rate in (0.0, 0.5, 1.0))

    assert none.terms[Cause.EXPERT_UPLOADS] == pytest.approx(2 * half.terms[Cause.EXPERT_UPLOADS])
    assert Cause.EXPERT_UPLOADS not in every.terms
    assert half.cached_experts is not None
    assert (half.cached_experts.hits.low, half.cached_experts.hits.high) == (0.5, 0.5)
    with pytest.raises(InputError, match="hit_rate: expected a share from 0 to 1"):
        predict(*CACHED, hit_rate=1.5)


def test_where_it_is_even_is_where_both_take_as_long() -> None:
    """Stated at that rate, a token takes what it takes without the cache."""
    without = sum(predict().terms.values())
    (rate,) = re.findall(r"even from (\d+)% hits", even_from(predict(*CACHED), without))

    assert sum(predict(*CACHED, hit_rate=int(rate) / 100).terms.values()) == pytest.approx(without, rel=0.02)
    assert even_from(predict(*CACHED), 1e-9) == "slower at any hit rate"
    assert even_from(predict(*CACHED), 10.0) == "even from 0% hits"

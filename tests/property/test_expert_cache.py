"""A cache of experts, however large, on however many GPUs: it keeps its budget, and more of it never holds less."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import assume, given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.footprint import BufferSize, ContextKind
from omniplan.errors import ArgumentError
from omniplan.units import MIB
from tests.oracle import cases
from tests.property.strategies import examples

MODELS = st.sampled_from(["Qwen3-30B-A3B-Q4_K_M", "gpt-oss-20b-MXFP4_MOE", "GLM-4.7-Flash-Q4_K_M"])
SPLITS = st.lists(st.integers(min_value=1, max_value=9), min_size=2, max_size=4)
SIZES = st.integers(min_value=100, max_value=40_000)


def held(name: str, split: Sequence[int], mib: int) -> dict[str, BufferSize]:
    """Bytes of the cache with all experts in RAM."""
    args = ("-c", "512", "-np", "1", "-ngl", "99", "-cmoe", "-ts", ",".join(map(str, split)))
    priced = omniplan.footprint(
        cases.model(name), cases.machines()["quad-3090"], (*args, "--moe-cache-mib", str(mib)), build=11549
    )
    return dict(priced.contexts[ContextKind.EXPERT_CACHE])


@examples(10)
@given(name=MODELS, split=SPLITS, less=SIZES, more=SIZES)
def test_a_budget_is_kept_and_more_holds_no_less(name: str, split: list[int], less: int, more: int) -> None:
    """All GPUs together take no more than was asked for; a larger cache takes no less on any of them."""
    less, more = sorted((less, more))
    try:
        small, large = held(name, split, less), held(name, split, more)
    except ArgumentError as error:
        assume("do not hold the experts of one token" not in str(error))
        raise

    assert sum(size.context for buffer, size in small.items() if buffer != "CPU") <= less * MIB
    assert all(size.context <= large[buffer].context for buffer, size in small.items())
    assert all(not (size.model or size.compute) for size in small.values())

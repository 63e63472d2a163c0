"""Short prompts are computed where the weights are, long ones where it is fast, and the plan says from where on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.params import OFFLOAD_MIN_BATCH, ServerParams
from omniplan.domain.plan import Plan
from tests.property.strategies import examples

MODELS = Path(__file__).parents[3] / "data/models"


@cache
def loaded(name: str) -> omniplan.Model:
    """A shipped model, read once."""
    return omniplan.load_model(MODELS / f"{name}.gguf")


@cache
def planned(name: str, machine: str) -> Plan:
    """A plan with experts in RAM."""
    return omniplan.plan(loaded(name), omniplan.load_machine(machine), n_ctx=16384, baselines=False)


def prompt_seconds(plan: Plan, n_prompt: int, env: dict[str, str]) -> float:
    """How long a prompt takes under ``env``."""
    model = loaded("DeepSeek-R1-Q4_K_M")
    found = omniplan.predict(model, plan.machine, plan.server_args, n_prompt=n_prompt, n_gen=1, env=env)
    return sum(found.prompt_terms.values())


@examples(40)
@given(machine=st.sampled_from(["omni-nps1", "h100"]), n_prompt=st.integers(1, 3000))
def test_no_prompt_takes_longer(machine: str, n_prompt: int) -> None:
    """Whatever its length: below the number it is faster, in whole micro-batches nothing changes."""
    plan = planned("DeepSeek-R1-Q4_K_M", machine)
    n_tokens = int(plan.environment[OFFLOAD_MIN_BATCH])

    asked = prompt_seconds(plan, n_prompt, {OFFLOAD_MIN_BATCH: str(n_tokens)})
    usual = prompt_seconds(plan, n_prompt, {})

    assert n_tokens == plan.settings.offload_min_batch
    assert asked <= usual * (1 + 1e-9)
    if 32 <= n_prompt < n_tokens:
        assert asked < 0.95 * usual
    if n_prompt % plan.settings.n_ubatch == 0:
        assert asked == usual


def test_a_model_on_gpus_needs_no_number() -> None:
    """Nothing is copied, so nothing is set."""
    assert not planned("GLM-4.7-Flash-Q8_0", "h100").environment


def test_beyond_the_micro_batch_nothing_is_offloaded() -> None:
    """A number that no batch reaches makes the buffers and splits of --no-op-offload."""
    plan = planned("DeepSeek-R1-Q4_K_M", "h100")
    model, args = plan.model.path, plan.server_args

    never = omniplan.footprint(model, plan.machine, args, env={OFFLOAD_MIN_BATCH: "100000"})
    off = omniplan.footprint(model, plan.machine, [*args, "--no-op-offload"])

    assert (never.buffers, never.graph_splits) == (off.buffers, off.graph_splits)
    assert never.graph_splits != omniplan.footprint(model, plan.machine, args).graph_splits


def test_the_number_takes_no_memory() -> None:
    """A footprint under the plan's environment is the plan's own."""
    plan = planned("DeepSeek-R1-Q4_K_M", "omni-nps1")

    priced = omniplan.footprint(plan.model.path, plan.machine, plan.server_args, env=plan.environment)

    assert plan.footprint.buffers == priced.buffers
    assert plan.footprint.graph_splits == priced.graph_splits


@pytest.mark.parametrize(("text", "number"), [("64", 64), (" 128x", 128), ("", 0), ("all", 0), ("-5", -5)])
def test_it_is_read_as_atoi_reads_it(text: str, number: int) -> None:
    """Back ends call atoi, which takes leading digits and says 0 where there are none."""
    assert ServerParams(env=((OFFLOAD_MIN_BATCH, text),)).offload_min_batch == number
    assert ServerParams().offload_min_batch is None

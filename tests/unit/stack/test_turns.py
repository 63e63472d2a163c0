"""Models that take turns need no stack file: each has the machine to itself."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.cli.main import main

MODELS = ["GLM-4.7-Flash-Q8_0", "Qwen3.6-27B-MTP-Q4_K_M"]


def test_each_has_the_machine_to_itself() -> None:
    """A group of one for each, on demand, with the context that was asked for, and no slower than its own plan."""
    found = omniplan.stack(MODELS, "dual-4090-5070ti", n_ctx=8192)

    assert found.fits
    assert [group.members for group in found.groups] == [(member.name,) for member in found.members]
    for name, member in zip(MODELS, found.members, strict=True):
        alone = omniplan.plan(name, "dual-4090-5070ti", n_ctx=8192, baselines=False)
        assert member.plan.footprint.n_ctx == 8192
        took, least = (plan.prediction.request_seconds.value for plan in (member.plan, alone))
        assert took <= 1.1 * least


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["GLM-4.7-Flash-Q8_0", "stack.toml"], "not both"),
        (["GLM-4.7-Flash-Q8_0", "GLM-4.7-Flash-Q8_0.gguf"], "stands there twice"),
        (["nowhere.gguf"], "nowhere.gguf"),
    ],
)
def test_what_cannot_be_asked_is_said(places: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2."""
    assert main(["stack", *places, "--machine", "single-3090"]) == 2
    assert said in capsys.readouterr().err

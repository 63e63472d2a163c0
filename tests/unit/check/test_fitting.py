"""Rules about what fits, to the byte: a pool is made exactly as large as a command needs, and one byte smaller."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.check import document
from omniplan.check.engine import check
from omniplan.check.values import Severity
from omniplan.domain.machine import Machine
from omniplan.units import GIB
from tests.oracle import cases

# A GPU of its own size, so that nothing but the rule decides.
ARGS = ("-c", "4096", "-np", "1", "-ngl", "99", "--fit", "off")
MODEL = "Qwen3-0.6B-Q8_0"


def machine(*, left: int) -> Machine:
    """One GPU with a screen on which ``ARGS`` leave that many bytes."""
    roomy = omniplan.load_machine("single-3090")
    gpu = replace(roomy.gpus[0], is_display=True)
    pools = omniplan.footprint(cases.model(MODEL), roomy, list(ARGS)).pools
    size = left + next(pool.used for pool in pools if pool.name == gpu.name)
    return replace(roomy, gpus=(replace(gpu, total=size, free=size, reserved=()),))


def found(rule: str, *, left: int) -> bool:
    """Whether the rule speaks of a GPU on which so many bytes are left."""
    command = document.of_arguments(ARGS, {})
    return bool(check(command, model=cases.model(MODEL), machine=machine(left=left), only={rule}).of(rule))


@pytest.mark.parametrize(
    ("rule", "least"),
    [
        ("does-not-fit", 0),
        # What the headroom keeps for a screen.
        ("display-without-margin", GIB),
    ],
)
def test_a_pool_is_enough_to_the_byte(rule: str, least: int) -> None:
    """The least that a rule accepts is accepted, and one byte less is not."""
    assert not found(rule, left=least)
    assert found(rule, left=least - 1)


def test_what_does_not_fit_has_no_margin_to_speak_of() -> None:
    """A GPU that is short is one finding, not two."""
    assert found("display-without-margin", left=0)
    assert not found("display-without-margin", left=-1)


def ngl(*args: str, at: Machine | None) -> tuple[str, str]:
    """Severity and message about a fixed number of layers beside --fit."""
    command = document.of_arguments(("-c", "4096", "-np", "1", "-ngl", "99", *args), {})
    report = check(command, model=cases.model(MODEL), machine=at, only={"ngl-with-fit"})
    (finding,) = report.of("ngl-with-fit")
    return finding.severity, finding.message


def test_fit_is_in_the_way_where_something_must_move() -> None:
    """Where it gives up, why and what is short; where nothing must move it is merely said. A choice all the same."""
    severity, message = ngl("--fit", "on", at=machine(left=-1))
    default = "-ngl 99 is fixed while --fit is on by default"

    assert severity == Severity.INFO
    assert "while --fit is on: it gives up here (" in message
    assert "MiB short on CUDA0" in message
    assert ngl(at=machine(left=8 * GIB)) == (Severity.INFO, f"{default}; here nothing must move")
    assert ngl(at=None) == (Severity.INFO, f"{default}: it gives up as soon as something must move")


@pytest.mark.parametrize(("is_unified", "says"), [(False, True), (True, False)])
def test_experts_gain_nothing_by_ram_that_is_the_gpus_own(*, is_unified: bool, says: bool) -> None:
    """A GPU that is short is told to leave them to RAM, unless it is RAM that it draws on."""
    roomy = omniplan.load_machine("single-3090")
    gpu = replace(roomy.gpus[0], is_unified=is_unified)
    command = document.of_arguments(("-c", "4096", "-np", "1", "-ngl", "99", "--fit", "off"), {})
    report = check(command, model=cases.model("gpt-oss-120b-MXFP4_MOE"), machine=replace(roomy, gpus=(gpu,)))

    assert report.of("does-not-fit")
    assert bool(report.of("experts-in-vram")) is says

"""A plan as a process runs it that sees some of a machine's GPUs: names and numbers are those it will see."""

from __future__ import annotations

from dataclasses import replace

import omniplan
from omniplan.formats.visible import visible
from tests.launches import GLM, plan_of


def seen(*args: str, gpus: tuple[str, ...] = ("CUDA1", "CUDA3")) -> omniplan.Plan:
    """A plan with other arguments, on two of four GPUs."""
    return visible(replace(plan_of(GLM.stem, "quad-3090"), server_args=args), gpus)


def test_devices_are_counted_from_0_again() -> None:
    """In values and in patterns, as whole words; the order of all that is there needs no saying."""
    args = ("-ot", r"blk\.1\.=CUDA3,blk\.2\.=CUDA1,blk\.3\.=CPU", "-ts", "3,1")

    assert seen(*args).server_args == ("-ot", r"blk\.1\.=CUDA1,blk\.2\.=CUDA0,blk\.3\.=CPU", "-ts", "3,1")
    assert seen("-dev", "CUDA1,CUDA3", "-ngl", "99").server_args == ("-ngl", "99")
    assert seen("-ot", "a=CUDA30").server_args == ("-ot", "a=CUDA30")


def test_the_main_gpu_is_numbered_as_it_is_seen() -> None:
    """The fourth of the machine is the second of the two."""
    assert seen("-mg", "3").server_args == ("-mg", "1")
    assert seen("-mg", "1").server_args == ("-mg", "0")


def test_the_machine_has_only_what_is_seen() -> None:
    """In its own order, whatever order they are asked for in."""
    plan = seen(gpus=("CUDA3", "CUDA1"))
    known = plan_of(GLM.stem, "quad-3090").machine.gpus

    assert [gpu.name for gpu in plan.machine.gpus] == ["CUDA0", "CUDA1"]
    assert [replace(gpu, name="") for gpu in plan.machine.gpus] == [replace(known[at], name="") for at in (1, 3)]

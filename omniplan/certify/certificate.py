"""A plan against llama.cpp's own count: which llama.cpp to ask, what to compare, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from omniplan.certify import fit_params
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import SOURCE, simulate
from omniplan.certify.values import Certificate, Check, Tally, compare
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.llamacpp.build import build_number
from omniplan.llamacpp.flags.args import parse
from omniplan.units import MIB

_SIMULATED: Final = ("llama.cpp's own count, but for CUDA's kernels, paddings and fusions: those are omniplan's",)


def certify(plan: Plan, model: Model, *, binary: str | None, timeout: float) -> Certificate:
    """Have ``plan`` counted by ``binary`` (llama-fit-params), or on simulated GPUs for None.

    ``model`` is the plan's. Raises InputError when llama.cpp cannot be asked at all.
    """
    if model.header.tensor_bytes != plan.model.tensor_bytes:
        raise InputError(
            f"holds {model.header.tensor_bytes:,} bytes of tensors, the plan was made for {plan.model.tensor_bytes:,}; "
            "name the plan's own model, or plan again",
            field="model",
            value=model.header.paths[0],
        )
    if binary is None:
        return _certificate(plan, SOURCE, 1, _SIMULATED, lambda: _simulated(plan, model, timeout))
    source = f"{binary}, on this machine's devices"
    return _certificate(plan, source, MIB, fit_params.NOTES, lambda: _on_devices(plan, model, binary, timeout))


def _certificate(
    plan: Plan, source: str, resolution: int, notes: tuple[str, ...], ask: Callable[[], tuple[Tally, Tally]]
) -> Certificate:
    started = time.monotonic()
    refused = ""
    checks: tuple[Check, ...] = ()
    try:
        checks = compare(*ask(), resolution=resolution)
    except Refused as error:
        refused = str(error)
    return Certificate(
        model=plan.model.name,
        machine=plan.machine.name,
        args=plan.server_args,
        llama_cpp=plan.llama_cpp,
        source=source,
        resolution=resolution,
        checks=checks,
        refused=refused,
        notes=notes,
        seconds=round(time.monotonic() - started, 3),
    )


def _simulated(plan: Plan, model: Model, timeout: float) -> tuple[Tally, Tally]:
    counted = simulate(model, plan.machine, plan.server_args, env=plan.environment, timeout=timeout)
    return Tally.of(plan.footprint), counted


def _on_devices(plan: Plan, model: Model, binary: str, timeout: float) -> tuple[Tally, Tally]:
    params = parse(plan.server_args, env=plan.environment, build=build_number(plan.llama_cpp))
    return fit_params.price(binary, model, plan.machine, params, timeout=timeout)

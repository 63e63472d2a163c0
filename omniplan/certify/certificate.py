"""A plan against llama.cpp's own count: which llama.cpp to ask, what to compare, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from omniplan.certify import fit_params
from omniplan.certify.library import pinned
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import simulate
from omniplan.certify.values import Certificate, Check, Tally, compare
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.llamacpp.build import build_number
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml.buffers import OPAQUE
from omniplan.llamacpp.load.footprint import footprint
from omniplan.units import GIB, MIB

_SIMULATED: Final = "llama.cpp's own count, but for the GPUs' kernels, paddings and fusions: those are omniplan's"
_LOADED: Final = "the model was loaded, all its bytes read; the GPUs kept none"
_MEASURED: Final = "both as llama.cpp measures without loading, a model this large: several GPUs reserve less in a load"
# A load reads every byte and keeps those of the CPU: two seconds for this much.
_LOADS_UP_TO: Final = 2 * GIB


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
        loads = model.header.tensor_bytes <= _LOADS_UP_TO
        notes = (_SIMULATED, _LOADED if loads else _MEASURED)
        return _certificate(
            plan, pinned().source, 1, notes, lambda: _simulated(plan, model, timeout, no_alloc=not loads)
        )
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


def _simulated(plan: Plan, model: Model, timeout: float, *, no_alloc: bool) -> tuple[Tally, Tally]:
    machine, args, env = plan.machine, plan.server_args, plan.environment
    counted = simulate(model, machine, args, env=env, timeout=timeout, no_alloc=no_alloc)
    if not no_alloc and not set(OPAQUE) & plan.footprint.buffers.keys():
        return Tally.of(plan.footprint), counted
    # What is laid out anew depends on the processor, and the library is asked on another one.
    as_counted = footprint(model, machine, replace(_params(plan), repack=False), no_alloc=no_alloc)
    return Tally.of(as_counted), counted


def _on_devices(plan: Plan, model: Model, binary: str, timeout: float) -> tuple[Tally, Tally]:
    return fit_params.price(binary, model, plan.machine, _params(plan), timeout=timeout)


def _params(plan: Plan) -> ServerParams:
    return parse(plan.server_args, env=plan.environment, build=build_number(plan.llama_cpp))

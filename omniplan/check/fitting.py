"""Rules about what fits, what --fit does about it, and what stands in its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.check.case import DEFAULT, Case
from omniplan.check.hit import Hit
from omniplan.check.options import GivenOption
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.footprint import RAM
from omniplan.domain.headroom import Headroom
from omniplan.domain.params import NEVER_SHRINK, ServerParams, SplitMode
from omniplan.domain.roles import Role
from omniplan.llamacpp.flags.table import spellings
from omniplan.llamacpp.ggml import buffers
from omniplan.units import gib, mib

_OVERRIDES: Final = ("override-tensor", "cpu-moe", "n-cpu-moe", "n-cpu-ffn")


def ngl_with_fit(case: Case) -> Iterator[Hit]:
    """A fixed layer count keeps --fit from moving layers."""
    given = case.option("gpu-layers")
    if given is None or not case.params.is_fitted or case.params.n_gpu_layers in (-1, 0):
        return
    yield _in_the_way(case, given, f"{given.name} {given.value} is fixed")


def overrides_with_fit(case: Case) -> Iterator[Hit]:
    """Overrides or a split of the user's keep --fit from acting."""
    if not case.params.is_fitted:
        return
    split = case.option("tensor-split")
    if split is not None and case.params.split_mode is not SplitMode.NONE and any(case.params.tensor_split):
        yield _in_the_way(case, split, f"{split.name} {split.value} is set")
    for key in _OVERRIDES:
        given = case.option(key)
        if given is not None and case.params.overrides:
            yield _in_the_way(case, given, f"{given.name} is set")


def divided_with_fit(case: Case) -> Iterator[Hit]:
    """--fit does not look at arguments that divide tensors."""
    given = case.option("split-mode")
    if given is None or not case.params.fit or case.params.is_fitted:
        return
    how = "--fit is on" if case.option("fit") else "--fit is on by default"
    short = case.priced.shortfall if case.priced else {}
    missing = "".join(f", {mib(size)} short on {name}" for name, size in short.items())
    is_harmless = case.priced is not None and case.priced.fits
    yield Hit(
        message=f"{given.name} {given.value} while {how}: it changes nothing, whatever is free{missing}",
        at=given.at,
        severity=Severity.INFO if is_harmless or not case.option("fit") else None,
    )


def _in_the_way(case: Case, given: GivenOption, what: str) -> Hit:
    """A finding about something --fit gives up on; an info unless --fit was asked for and has something to do."""
    is_asked = case.option("fit") is not None
    how = "--fit is on" if is_asked else "--fit is on by default"
    mild = None if is_asked else Severity.INFO
    fitted = case.fitted
    if fitted is None:
        text = f"{what} while {how}: it gives up as soon as something must move"
        return Hit(message=text, at=given.at, severity=mild)
    if fitted.failure:
        short = case.priced.shortfall if case.priced else {}
        missing = "".join(f", {mib(size)} short on {name}" for name, size in short.items())
        text = f"{what} while {how}: it gives up here ({fitted.failure}){missing}"
        return Hit(message=text, at=given.at, severity=mild)
    return Hit(message=f"{what} while {how}; here nothing must move", at=given.at, severity=Severity.INFO)


def does_not_fit(case: Case) -> Iterator[Hit]:
    """Short on a GPU or in RAM."""
    if case.priced is None:
        return
    for pool, size in case.priced.shortfall.items():
        free = next(item.free for item in case.priced.pools if item.name == pool)
        given = case.option("gpu-layers")
        yield Hit(
            message=f"{pool} is short by {mib(size)}: {mib(size + (free or 0))} needed, {mib(free or 0)} free",
            at=given.at if given and pool != RAM else None,
        )


def experts_in_vram(case: Case) -> Iterator[Hit]:
    """A model with experts is short on a GPU with memory of its own while experts lie there."""
    if case.priced is None or case.model is None or not case.is_moe:
        return
    apart = {gpu.name for gpu in case.gpus if not gpu.draws_on_ram}
    short = [name for name in case.priced.shortfall if name in apart]
    if short and not case.settled.overrides:
        experts = sum(
            tensor.nbytes for tensor in case.model.header.tensors if case.model.roles[tensor.name] is Role.ROUTED_EXPERT
        )
        yield Hit(
            message=f"the experts, {gib(experts)} of {gib(case.model.header.tensor_bytes)}, are left to the GPUs "
            f"and {' and '.join(short)} cannot hold their share"
        )


def _hold(case: Case) -> str:
    return "hold" if len(case.gpus) > 1 else "holds"


def experts_on_cpu(case: Case) -> Iterator[Hit]:
    """Experts sent to the CPU although the GPUs in use hold the whole model, a tenth of each left free."""
    given = next((found for key in _OVERRIDES[:3] if (found := case.option(key))), None)
    if given is None or not case.is_moe or not case.gpus or case.priced is None:
        return
    kept = tuple(item for item in case.settled.overrides if not buffers.is_host(item.buffer_type))
    if kept == case.settled.overrides:
        return
    whole = replace(case.settled, overrides=kept, n_gpu_layers=-2)
    budgets = tuple(float(DEFAULT.budget_of(gpu)) for gpu in case.gpus)
    for candidate in (whole, replace(whole, tensor_split=budgets), replace(whole, tensor_split=())):
        if not case.fits(candidate):
            continue
        now, then = (_decode(case, params) for params in (case.settled, candidate))
        if now < then:
            yield Hit(
                message=f"{given.name} sends experts to the CPU, but {_names(case)} {_hold(case)} the whole model "
                f"({now:.1f} tokens/s predicted, {then:.1f} without)",
                at=given.at,
            )
            return


def _decode(case: Case, params: ServerParams) -> float:
    speed = case.speed(params)
    return speed.decode_tokens_per_second.value if speed else 0.0


def _names(case: Case) -> str:
    return " and ".join(gpu.name for gpu in case.gpus)


def context_unset(case: Case) -> Iterator[Hit]:
    """No ``-c``: the training context, or whatever --fit leaves of it."""
    params = case.params
    if params.n_ctx_given or params.kv_unified_per_slot or case.may_have("ctx-size") or _is_refused(case):
        return
    if case.model is None:
        text = "no -c: the context is the model's training context" + _may_shrink(case)
        yield Hit(message=text, severity=Severity.INFO)
        return
    trained = case.model.hparams.n_ctx_train
    if case.priced is None:
        text = f"no -c: the context is the training context of {trained:,} tokens" + _may_shrink(case)
        yield Hit(message=text, severity=Severity.INFO)
    elif case.priced.n_ctx < trained:
        yield Hit(message=f"no -c: --fit cuts the context from {trained:,} to {case.priced.n_ctx:,} tokens")
    elif not case.fits(case.settled, Headroom(growth_fraction=0.0, growth_least=0, growth_display=0)):
        held = sum(size.context for size in case.priced.buffers.values())
        yield Hit(message=f"no -c: the training context of {trained:,} tokens takes {gib(held)} of cache")
    else:
        held = sum(size.context for size in case.priced.buffers.values())
        yield Hit(
            message=f"no -c: {trained:,} tokens, the training context, which fits ({gib(held)} of cache)",
            severity=Severity.INFO,
        )


def _is_refused(case: Case) -> bool:
    """Whether a context is given that llama-server refuses, which is a finding already."""
    names = spellings()
    heads = (option.name.partition("=")[0] for option, _ in case.reading.refused if option is not None)
    return any(head in names and names[head].key == "ctx-size" for head in heads)


def _may_shrink(case: Case) -> str:
    return ", and --fit may cut it without a word in the answer" if case.params.is_fitted else ""


def fit_target_for_all(case: Case) -> Iterator[Hit]:
    """One margin for GPUs that need different ones."""
    if not case.params.is_fitted or len(case.gpus) < 2 or (case.params.fit_ctx == NEVER_SHRINK and not case.gpus):
        return
    given = case.option("fit-target")
    if given is not None and "," in given.value:
        return
    screens = [gpu.name for gpu in case.gpus if gpu.is_display]
    if 0 < len(screens) < len(case.gpus):
        margin = mib(case.params.fit_target[0])
        shares = ",".join("1024" if gpu.is_display else "256" for gpu in case.gpus)
        yield Hit(
            message=f"{margin} are kept free on every GPU, on {' and '.join(screens)} with a screen as on the others",
            at=given.at if given else None,
            severity=None if given else Severity.INFO,
            fix=f"-fitt {shares}",
        )


def display_without_margin(case: Case) -> Iterator[Hit]:
    """The GPU with the screen is filled to the brim."""
    for index, gpu in enumerate(case.gpus):
        if not gpu.is_display or gpu.is_unified:
            continue
        pool = next((item for item in case.priced.pools if item.name == gpu.name), None) if case.priced else None
        if pool is not None and pool.used and pool.left is not None and 0 <= pool.left < DEFAULT.growth_display:
            yield Hit(message=f"{gpu.name} drives the screen and keeps {mib(pool.left)} free")
        elif pool is None and case.params.is_fitted and case.params.fit_target[index] < DEFAULT.growth_display:
            given = case.option("fit-target")
            margin = mib(case.params.fit_target[index])
            yield Hit(
                message=f"{gpu.name} drives the screen and --fit keeps {margin} free", at=given.at if given else None
            )


RULES: Final[Mapping[str, CommandRule]] = {
    "does-not-fit": does_not_fit,
    "experts-in-vram": experts_in_vram,
    "experts-on-cpu": experts_on_cpu,
    "ngl-with-fit": ngl_with_fit,
    "overrides-with-fit": overrides_with_fit,
    "divided-with-fit": divided_with_fit,
    "context-unset": context_unset,
    "fit-target-for-all": fit_target_for_all,
    "display-without-margin": display_without_margin,
}

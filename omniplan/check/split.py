"""Rules about dividing a model over GPUs, and about which GPU is which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit, WordEdit
from omniplan.check.options import GivenOption
from omniplan.check.patterns import GPU, items_of
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.footprint import RAM
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.domain.prediction import Prediction
from omniplan.llamacpp.ggml import buffers
from omniplan.machines.probe.order import VISIBLE
from omniplan.units import gib, mib

# Two divisions nearer than this are one.
_SAME: Final = 0.02
_CLEARLY: Final = 1.02


def none_with_split(case: Case) -> Iterator[Hit]:
    """``-sm none`` and ``-ts``."""
    given = case.option("tensor-split")
    if given is not None and case.params.split_mode is SplitMode.NONE and any(case.params.tensor_split):
        yield Hit(
            message=f"-ts {given.value} does nothing with -sm none: one GPU holds all",
            at=given.flag,
            edits=tuple(
                WordEdit(word=word, texts=()) for option in case.options("tensor-split") for word in option.words
            ),
        )


def count_of_shares(case: Case) -> Iterator[Hit]:
    """More or fewer ``-ts`` values than GPUs in use."""
    given = case.option("tensor-split")
    if given is None or len(case.gpus) < 2 or case.params.split_mode is SplitMode.NONE:
        return
    count = len(case.params.tensor_split)
    if not count or not any(case.params.tensor_split) or count == len(case.gpus):
        return
    idle = [gpu.name for gpu in case.gpus[count:]]
    share = "next to nothing" if case.params.split_mode is SplitMode.TENSOR else "no layers"
    effect = f"{' and '.join(idle)} get {share}" if idle else "the last ones do nothing"
    yield Hit(message=f"-ts has {count} values for {len(case.gpus)} GPUs: {effect}", at=given.at)


def count_of_visible(case: Case) -> Iterator[Hit]:
    """More or fewer ``-ts`` values, or another ``-mg``, than CUDA_VISIBLE_DEVICES leaves GPUs."""
    word = dict(case.command.environment).get(VISIBLE)
    if word is None or word.is_open or case.machine is not None:
        return
    count = len([part for part in word.text.split(",") if part.strip() not in ("", "-1")])
    split, main = case.option("tensor-split"), case.option("main-gpu")
    shares = len(case.params.tensor_split)
    if split is not None and count and any(case.params.tensor_split) and shares != count:
        effect = "a GPU without a share gets nothing" if shares < count else "the last ones do nothing"
        yield Hit(
            message=f"-ts has {shares} values and {VISIBLE}={word.text} leaves {count} GPUs: {effect}", at=split.at
        )
    if main is not None and count and case.params.main_gpu >= count:
        message = f"-mg {main.value} and {VISIBLE}={word.text} leaves GPUs 0 to {count - 1}"
        yield Hit(message=message, at=main.at)


def by_nominal_size(case: Case) -> Iterator[Hit]:
    """``-ts`` in proportion to what is printed on the box, not to what is free."""
    given, params = case.option("tensor-split"), case.params
    if given is None or len(case.gpus) < 2 or len(params.tensor_split) != len(case.gpus):
        return
    if params.split_mode is SplitMode.NONE or not any(params.tensor_split):
        return
    shares = _shares(params.tensor_split)
    nominal = _shares([gpu.total for gpu in case.gpus])
    free = _shares([gpu.free for gpu in case.gpus])
    if _apart(shares, nominal) > _SAME or _apart(shares, free) <= _SAME:
        return
    usable = ",".join(f"{gpu.free / (1 << 30):.1f}" for gpu in case.gpus)
    short = [f"{name} is short by {mib(size)}" for name, size in case.priced.shortfall.items()] if case.priced else []
    is_harmless = case.priced is not None and not any(name != RAM for name in case.priced.shortfall)
    yield Hit(
        message=f"-ts {given.value} follows the GPUs' total sizes, not what is free"
        + "".join(f"; {text}" for text in short),
        at=given.at,
        severity=Severity.INFO if is_harmless else None,
        fix=f"what is free divides as -ts {usable}",
    )


def _shares(values: list[int] | tuple[float, ...]) -> list[float]:
    total = sum(values)
    return [value / total for value in values]


def _apart(a: list[float], b: list[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def rows_on_unequal(case: Case) -> Iterator[Hit]:
    """``-sm row`` or ``tensor`` on GPUs that are not alike."""
    given = case.option("split-mode")
    if given is None or case.params.split_mode not in (SplitMode.ROW, SplitMode.TENSOR) or len(case.gpus) < 2:
        return
    kinds = {(gpu.description, gpu.total, gpu.compute_capability) for gpu in case.gpus}
    if len(kinds) > 1:
        shown = ", ".join(f"{gpu.name} {gpu.description} {gib(gpu.total)}" for gpu in case.gpus)
        yield Hit(
            message=f"-sm {given.value} divides every matrix, and the slowest and smallest GPU sets the pace: {shown}",
            at=given.at,
        )


def spread_over_many(case: Case) -> Iterator[Hit]:
    """Several GPUs for a model that one of them holds, and that answers no faster for it.

    A split that was written down and is better at prompts is a choice.
    """
    if case.priced is None or len({device for device in case.priced.layers if device != buffers.CPU}) < 2:
        return
    now = case.speed(case.settled)
    for index, alone in _alone(case):
        then = case.speed(alone)
        if now is None or then is None or not _is_slower(now, then):
            continue
        is_choice = any(case.params.tensor_split) and _prompt(now) > _prompt(then)
        rates = _decode(then), _decode(now)
        yield Hit(
            message=f"CUDA{index} alone holds the model: "
            "{:.1f} tokens/s predicted there, {:.1f} spread over several".format(*rates),
            severity=Severity.INFO if is_choice else None,
            fix=f"-sm none -mg {index}",
        )
        return


def _alone(case: Case) -> Iterator[tuple[int, ServerParams]]:
    """The same on each GPU that holds all of it, the largest first, with that GPU's number."""
    names = [gpu.name for gpu in case.machine.gpus] if case.machine else []
    for gpu in sorted(case.gpus, key=lambda gpu: -gpu.free):
        index = names.index(gpu.name)
        alone = replace(
            case.settled, split_mode=SplitMode.NONE, main_gpu=index, devices=None, tensor_split=(), overrides=(),
            n_gpu_layers=-2,
        )  # fmt: skip
        if case.fits(alone):
            yield index, alone


def _is_slower(now: Prediction, then: Prediction) -> bool:
    """Whether ``now`` is clearly slower at decoding and no faster for the whole request."""
    return _decode(then) > _CLEARLY * _decode(now) and then.request_seconds.value <= now.request_seconds.value


def _decode(speed: Prediction) -> float:
    return speed.decode_tokens_per_second.value


def _prompt(speed: Prediction) -> float:
    return speed.prompt_tokens_per_second.value


def visible_order(case: Case) -> Iterator[Hit]:
    """CUDA_VISIBLE_DEVICES puts a small GPU where ``-ts`` wants a large one."""
    words = dict(case.command.environment)
    split = case.option("tensor-split")
    if VISIBLE not in words or split is None or len(case.params.tensor_split) < 2:
        return
    if case.params.split_mode is SplitMode.NONE:
        return
    word, order = words[VISIBLE], [part.strip() for part in words[VISIBLE].text.split(",")]
    if case.machine is None:
        is_pinned = "CUDA_DEVICE_ORDER" in words or not all(part.isdecimal() for part in order)
        if not is_pinned and order != sorted(order, key=lambda part: int(part[:6])):
            yield Hit(
                message=f"{VISIBLE}={word.text} turns the order round: the first share of -ts {split.value} "
                f"is for GPU {order[0]}",
                at=word,
                severity=Severity.INFO,
            )
        return
    pairs = list(zip(case.params.tensor_split, case.gpus, strict=False))
    for share, gpu in pairs:
        for other_share, other in pairs:
            if share > 1.2 * other_share and gpu.free * 1.2 < other.free:
                yield Hit(
                    message=f"under {VISIBLE}={word.text} the larger share of -ts {split.value} is for {gpu.name}, "
                    f"{gpu.description} with {gib(gpu.free)} free, the smaller for {other.description} "
                    f"with {gib(other.free)}",
                    at=word,
                    severity=Severity.INFO if case.priced is not None and case.priced.fits else None,
                )
                return


def order_not_pinned(case: Case) -> Iterator[Hit]:
    """Arguments that name GPUs by number while nothing says which GPU has which number."""
    names = dict(case.command.environment)
    visible = names.get(VISIBLE)
    if "CUDA_DEVICE_ORDER" in names or (visible is not None and "GPU-" in visible.text):
        return
    if case.machine is not None and (_are_alike(case) or len(case.machine.gpus) < 2):
        return
    for given in _by_number(case):
        yield Hit(message=f"{given.name} {given.value} counts on CUDA's own order of the GPUs", at=given.at)
        return


def _by_number(case: Case) -> Iterator[GivenOption]:
    """Options that mean something else when the GPUs are numbered otherwise."""
    params = case.params
    given = {key: case.option(key) for key in ("tensor-split", "main-gpu", "fit-target", "override-tensor")}
    means = {
        "tensor-split": len(set(params.tensor_split)) > 1 and params.split_mode is not SplitMode.NONE,
        "main-gpu": params.split_mode is SplitMode.NONE and (case.machine is not None or params.main_gpu > 0),
        "fit-target": params.fit and len(set(params.fit_target)) > 1,
        "override-tensor": any(GPU.fullmatch(item.override.buffer_type) for item in items_of(case)),
    }
    yield from (option for key, option in given.items() if option is not None and means[key])


def _are_alike(case: Case) -> bool:
    assert case.machine is not None
    return len({(gpu.description, gpu.total) for gpu in case.machine.gpus}) < 2


RULES: Final[Mapping[str, CommandRule]] = {
    "split-none-with-ts": none_with_split,
    "split-count": count_of_shares,
    "visible-devices-count": count_of_visible,
    "split-by-nominal-size": by_nominal_size,
    "split-rows-on-unequal-gpus": rows_on_unequal,
    "split-though-one-gpu-holds": spread_over_many,
    "visible-devices-order": visible_order,
    "gpu-order-not-pinned": order_not_pinned,
}

"""Rules about the logical batch and the micro-batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.footprint import Footprint
from omniplan.domain.params import Pooling, ServerParams
from omniplan.llamacpp.ggml import buffers
from omniplan.units import mib

USUAL: Final = ServerParams().n_ubatch
_DEFAULT_BATCH: Final = ServerParams().n_batch


def batch_equals_ubatch(case: Case) -> Iterator[Hit]:
    """``-b X -ub X``: an embedding server must have them equal, any other may waste a compute buffer."""
    given = case.option("ubatch-size")
    params = case.settled
    if given is None or params.embedding or params.n_batch != params.n_ubatch:
        return
    if params.n_ubatch > USUAL:
        effect, severity = _raised(case)
        yield Hit(
            message=f"-b and -ub are both {params.n_ubatch}: the compute buffer holds a whole batch{effect}",
            at=given.at,
            severity=severity,
        )
    elif batch := case.option("batch-size"):
        yield Hit(
            message=f"-b and -ub are both {params.n_ubatch}: a batch of one micro-batch",
            at=batch.at,
            fix=f"raise -b to {_DEFAULT_BATCH}: it costs next to nothing",
        )


def ubatch_over_batch(case: Case) -> Iterator[Hit]:
    """``-ub`` larger than ``-b``."""
    given, params = case.option("ubatch-size"), case.params
    if given is not None and params.n_ubatch > params.n_batch > 0:
        yield Hit(message=f"-ub {params.n_ubatch} is over -b {params.n_batch} and is cut down to it", at=given.at)


def embedding_input(case: Case) -> Iterator[Hit]:
    """An embedding server whose slots hold more than a micro-batch, which is the longest input that it takes."""
    params, given = case.params, case.option("ctx-size")
    if params.embedding and (batch := case.option("batch-size")) and params.n_batch > params.n_ubatch:
        yield Hit(message=f"-b {params.n_batch} is cut down to -ub {params.n_ubatch} for embeddings", at=batch.at)
    header = case.model.hparams.pooling_type if case.model else 0
    pooling = Pooling(params.pooling) if params.pooling else dict(enumerate(Pooling)).get(header)
    # A decoder whose last row is the result may take its input in pieces.
    if not params.embedding or pooling is Pooling.LAST:
        return
    longest = min(params.n_batch, params.n_ubatch)
    _, slot = case.slots
    if given is None and not slot:
        flag = case.option("embedding") or case.option("rerank")
        text = f"an input over one micro-batch, {longest} tokens, is refused"
        yield Hit(message=text, at=flag.at if flag else None, severity=Severity.INFO)
    elif slot > longest:
        yield Hit(
            message=f"slots hold {slot} tokens, but an input over one micro-batch, {longest} tokens, is refused",
            at=given.at if given else None,
            fix=f"-b {slot} -ub {slot}, or a smaller -c",
        )


def ubatch_raised(case: Case) -> Iterator[Hit]:
    """A micro-batch over 512 and below the batch."""
    given, params = case.option("ubatch-size"), case.settled
    if given is None or params.embedding or not USUAL < params.n_ubatch < params.n_batch:
        return
    effect, severity = _raised(case)
    is_known = case.priced is not None
    yield Hit(
        message=f"-ub {params.n_ubatch} is over the usual {USUAL}{effect}",
        at=given.at,
        severity=severity if is_known else Severity.INFO,
    )


def _raised(case: Case) -> tuple[str, Severity | None]:
    """What a micro-batch over 512 costs and gains, and whether it is a choice.

    It is one unless 512 would fit and this does not. Where nothing can be computed, weights left in RAM are what it is
    raised for.
    """
    params = case.settled
    usual = replace(params, n_ubatch=USUAL)
    priced, smaller = case.price(params), case.price(usual)
    now, then = case.speed(params), case.speed(usual)
    if priced is None or smaller is None or now is None or then is None:
        is_for_ram = any(buffers.is_host(item.buffer_type) for item in params.overrides)
        return "", Severity.INFO if is_for_ram else None
    cost = _cost(priced, smaller)
    if priced.fits is False and smaller.fits:
        return f"{cost}; with {USUAL} it fits", None
    rates = [speed.prompt_tokens_per_second.value for speed in (now, then)]
    text = "; a prompt of {:,} tokens at {:,.0f} tokens/s predicted, {:,.0f} with 512".format(now.n_prompt, *rates)
    return cost + text, Severity.INFO


def _cost(priced: Footprint, usual: Footprint) -> str:
    """Bytes of compute buffer that the raised micro-batch takes on each device."""
    more = {
        name: size.compute - usual.buffers[name].compute
        for name, size in priced.buffers.items()
        if name in usual.buffers and size.compute > usual.buffers[name].compute
    }
    return "".join(f", {mib(size)} more on {name}" for name, size in more.items())


def prompt_cache_unused(case: Case) -> Iterator[Hit]:
    """A prompt cache for a server that completes nothing."""
    for key in ("cache-ram", "cache-reuse", "cache-idle-slots"):
        given = case.option(key)
        if given is not None and case.params.embedding and given.value != "0":
            yield Hit(message=f"{given.name} does nothing here: only completions use the prompt cache", at=given.at)


RULES: Final[Mapping[str, CommandRule]] = {
    "batch-equals-ubatch": batch_equals_ubatch,
    "embedding-input": embedding_input,
    "prompt-cache-unused": prompt_cache_unused,
    "ubatch-over-batch": ubatch_over_batch,
    "ubatch-raised": ubatch_raised,
}

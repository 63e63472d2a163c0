"""Seconds for a prompt: per micro-batch read or stream the weights, compute, and launch; GPUs may overlap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf, sqrt
from typing import Final

from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Cause
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load.placement import Placement
from omniplan.predict import network
from omniplan.predict.decode import cpu_node, cpu_weights, reading
from omniplan.predict.rates import Rates
from omniplan.predict.traffic import Traffic

# From this micro-batch on a CPU works on groups of rows; below, each weight is read once for all of them.
_GROUPS_FROM: Final = 32
# Sizes of a head that kernels are made for, as far as measured rows tell them apart; latent attention has larger ones.
_HEADS: Final = (64, 128, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """``n_prompt`` tokens in micro-batches of ``n_ubatch``, after ``depth`` tokens in the cache."""

    n_prompt: int
    n_ubatch: int
    depth: int

    @property
    def n_batches(self) -> int:
        """Micro-batches, the last one perhaps smaller."""
        return -(-self.n_prompt // self.n_ubatch)

    def pieces(self, least: float) -> tuple[Prompt, ...]:
        """Itself, or its whole micro-batches and the rest apart where only the rest has fewer than ``least`` tokens."""
        rest = self.n_prompt % self.n_ubatch
        if not rest or rest >= least or self.n_ubatch < least or self.n_prompt < self.n_ubatch:
            return (self,)
        whole = self.n_prompt - rest
        return replace(self, n_prompt=whole), replace(self, n_prompt=rest, n_ubatch=rest, depth=self.depth + whole)

    def n_asking(self, constants: Mapping[str, float]) -> float:
        """Tokens that would ask for as many experts as a micro-batch if each chose by itself: texts favour some."""
        return min(self.n_ubatch, constants["prompt.asking"] * sqrt(self.n_ubatch))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What every term of a prompt is made of; ``traffic`` is of a token in its middle."""

    model: Model
    placement: Placement
    traffic: Traffic
    rates: Rates
    constants: Mapping[str, float]


def prompt_terms(
    model: Model,
    placement: Placement,
    params: ServerParams,
    traffic: Traffic,
    rates: Rates,
    constants: Mapping[str, float],
    prompt: Prompt,
) -> dict[Cause, float]:
    """Seconds for a prompt by cause (``docs/prediction.md``); ``traffic`` is of a token in its middle."""
    if prompt.n_prompt == 0:
        return {}
    work = _Work(model=model, placement=placement, traffic=traffic, rates=rates, constants=constants)
    taker = placement.offloader if params.op_offload else None
    least = inf
    if taker and traffic.weights[buffers.CPU]:
        least = taker.backend.least_batch(params.offload_min_batch)
    found: dict[Cause, float] = defaultdict(float)
    for piece in prompt.pieces(least):
        streams_to = taker.name if taker and piece.n_ubatch >= least else ""
        for cause, seconds in _terms(work, piece, streams_to=streams_to).items():
            found[cause] += seconds
    return dict(found)


def _terms(work: _Work, prompt: Prompt, *, streams_to: str) -> dict[Cause, float]:
    """Seconds of micro-batches whose weights in RAM are copied to the device ``streams_to``, if to any."""
    placement, traffic, rates, constants = work.placement, work.traffic, work.rates, work.constants
    compute, reading = _gpus(work, prompt, streams_to=streams_to)
    terms = {Cause.GPU_COMPUTE: compute, Cause.GPU_WEIGHTS: reading}
    terms[Cause.GPU_LAUNCHES] = prompt.n_batches * sum(
        rates.gpus[device].constant("gpu.prompt_layer", constants)
        for device in placement.layers[:-1]
        if device != buffers.CPU
    )
    if traffic.weights[buffers.CPU]:
        if streams_to:
            # Pinned memory or a mapped file is copied to the first device that takes them.
            share = traffic.touched(buffers.CPU, prompt.n_asking(constants)) / traffic.whole[buffers.CPU]
            terms[Cause.STREAMING] = prompt.n_batches * share * traffic.streamed / rates.gpus[streams_to].copies
        else:
            terms[Cause.CPU_COMPUTE] = _cpu(work, prompt)
    waited = partial(network.seconds, work.model, placement, rates, constants, n_tokens=prompt.n_ubatch)
    terms[Cause.NETWORK] = prompt.n_batches * waited(depth=prompt.depth + (prompt.n_prompt - prompt.n_ubatch) // 2)
    attention = traffic.attention[buffers.CPU] * prompt.n_prompt
    terms[Cause.CPU_ATTENTION] = attention / (constants["cpu.attention_flops"] * rates.cores_batch)
    return {cause: seconds for cause, seconds in terms.items() if seconds > 0}


def _gpus(work: _Work, prompt: Prompt, *, streams_to: str) -> tuple[float, float]:
    """Seconds to compute on the devices and to read their weights; one also computes what ``streams_to`` it."""
    placement, traffic, rates, constants = work.placement, work.traffic, work.rates, work.constants
    compute, read = [], []
    for name in placement.devices:
        owners = (name, buffers.CPU) if name == streams_to else (name,)
        seconds = sum(_products(work, prompt, owner, name) for owner in owners)
        attention = traffic.attention[name] * prompt.n_prompt
        gpu = rates.gpus[name]
        share = gpu.constant(_attention(work.model, placement), constants)
        compute.append(seconds + attention / (share * gpu.fp16))
        read.append(prompt.n_batches * reading(name, traffic, rates, constants, prompt.n_asking(constants)))
    overlap = _overlap(compute, placement, prompt)
    return overlap * sum(compute), overlap * sum(read)


def _attention(model: Model, placement: Placement) -> str:
    """The constant that says how much of a GPU attention keeps busy: kernels differ by the size of a head."""
    if not placement.context.flash_attn:
        return "gpu.attention_no_fa_share"
    head = max(model.hparams.n_embd_head_k)
    return f"gpu.attention_{next((size for size in _HEADS if head <= size), 'latent')}_share"


def _products(work: _Work, prompt: Prompt, owner: str, device: str) -> float:
    """Seconds of the matrix products with ``owner``'s weights on ``device``."""
    traffic, constants = work.traffic, work.constants
    gpu, h = work.rates.gpus[device], work.model.hparams
    plain = traffic.dense[owner] - traffic.dense_f16[owner] - traffic.dense_bf16[owner]
    quantized = gpu.constant("gpu.mmq_share", constants) * gpu.int8
    bf16 = gpu.constant("gpu.bf16_share", constants) * gpu.fp16
    seconds = 2 * plain / quantized + 2 * traffic.dense_bf16[owner] / bf16
    seconds += 2 * traffic.dense_f16[owner] / (gpu.constant("gpu.f16_share", constants) * gpu.fp16)
    if traffic.routed[owner]:
        # An expert's tile is only as full as the tokens of a micro-batch that ask for it.
        per_expert = prompt.n_ubatch * max(h.n_expert_used) / h.n_expert
        fill = per_expert / (per_expert + gpu.constant("gpu.expert_tile", constants))
        mxfp4 = traffic.routed_mxfp4[owner]
        packed = traffic.routed[owner] - traffic.routed_bf16[owner] - mxfp4
        experts = packed + mxfp4 / gpu.constant("gpu.mxfp4_gain", constants)
        seconds += 2 * (experts / quantized + traffic.routed_bf16[owner] / bf16) / fill
    return seconds * prompt.n_prompt


def _overlap(compute: list[float], placement: Placement, prompt: Prompt) -> float:
    """Share of the devices' summed time that passes when they work on different micro-batches at once."""
    total, n_batches = sum(compute), prompt.n_batches
    if placement.n_copies <= 1 or n_batches <= 1 or total == 0:
        return 1.0
    return (total + (n_batches - 1) * max(compute)) / (n_batches * total)


def _cpu(work: _Work, prompt: Prompt) -> float:
    """Seconds on the CPU: arithmetic, the weights once per micro-batch, and the nodes' ends.

    Rows of a larger micro-batch come in groups, between which weights arrive: reading is not hidden behind arithmetic.
    """
    traffic, rates, constants = work.traffic, work.rates, work.constants
    active = traffic.dense[buffers.CPU] + traffic.routed[buffers.CPU]
    rate = constants[f"cpu.flops_per_core{'_avx512' if rates.has_avx512 else ''}"]
    computing = 2 * active * prompt.n_prompt / (rates.cores_batch * rate)
    size = traffic.touched(buffers.CPU, prompt.n_asking(constants))
    if prompt.n_ubatch < _GROUPS_FROM:
        share = size / max(1, traffic.weights[buffers.CPU])
        busy = max(computing, prompt.n_batches * share * cpu_weights(traffic, rates, constants))
    else:
        busy = computing + prompt.n_batches * size / (constants["cpu.batch_share"] * rates.ram)
    return busy + prompt.n_batches * cpu_node(rates, constants) * len(traffic.cpu_layers)

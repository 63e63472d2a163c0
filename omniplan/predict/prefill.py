"""Seconds for a prompt: per micro-batch read or stream the weights, compute, and launch; GPUs may overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Cause
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load.placement import Placement
from omniplan.predict import network
from omniplan.predict.decode import cpu_node, cpu_weights
from omniplan.predict.rates import Rates
from omniplan.predict.traffic import Traffic

# From this micro-batch on a CPU computes longer than it reads each weight once.
_COMPUTES_FROM: Final = 32


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
    taker = placement.offloader if params.op_offload else None
    offloads = taker is not None and prompt.n_ubatch >= (taker.backend.offload_batch or 0)
    streams_to = taker.name if taker and offloads else ""
    compute, reading = _gpus(model, placement, traffic, rates, constants, prompt, streams_to=streams_to)
    terms = {Cause.GPU_COMPUTE: compute, Cause.GPU_WEIGHTS: reading}
    terms[Cause.GPU_LAUNCHES] = prompt.n_batches * sum(
        rates.gpus[device].constant("gpu.prompt_layer", constants)
        for device in placement.layers[:-1]
        if device != buffers.CPU
    )
    if traffic.weights[buffers.CPU]:
        if streams_to:
            # Pinned memory or a mapped file is copied to the first device that takes them.
            terms[Cause.STREAMING] = prompt.n_batches * traffic.streamed / rates.gpus[streams_to].copies
        else:
            terms[Cause.CPU_COMPUTE] = _cpu(traffic, rates, constants, prompt)
    waited = partial(network.seconds, model, placement, rates, constants, n_tokens=prompt.n_ubatch)
    terms[Cause.NETWORK] = prompt.n_batches * waited(depth=prompt.depth + (prompt.n_prompt - prompt.n_ubatch) // 2)
    attention = traffic.attention[buffers.CPU] * prompt.n_prompt
    terms[Cause.CPU_ATTENTION] = attention / (constants["cpu.attention_flops"] * rates.cores_batch)
    return {cause: seconds for cause, seconds in terms.items() if seconds > 0}


def _gpus(
    model: Model,
    placement: Placement,
    traffic: Traffic,
    rates: Rates,
    constants: Mapping[str, float],
    prompt: Prompt,
    *,
    streams_to: str,
) -> tuple[float, float]:
    """Seconds to compute on the devices and to read their weights; one also computes what ``streams_to`` it."""
    compute, reading = [], []
    for name in placement.devices:
        owners = (name, buffers.CPU) if name == streams_to else (name,)
        seconds = sum(_products(model, owner, name, traffic, rates, constants, prompt) for owner in owners)
        attention = traffic.attention[name] * prompt.n_prompt
        gpu = rates.gpus[name]
        share = "gpu.attention_share" if placement.context.flash_attn else "gpu.attention_share_no_fa"
        compute.append(seconds + attention / (gpu.constant(share, constants) * gpu.fp16))
        size = traffic.touched(name, prompt.n_ubatch)
        reading.append(prompt.n_batches * size / (gpu.constant("gpu.weights_share", constants) * gpu.memory))
    overlap = _overlap(compute, placement, prompt)
    return overlap * sum(compute), overlap * sum(reading)


def _products(
    model: Model,
    owner: str,
    device: str,
    traffic: Traffic,
    rates: Rates,
    constants: Mapping[str, float],
    prompt: Prompt,
) -> float:
    """Seconds of the matrix products with ``owner``'s weights on ``device``."""
    gpu, h = rates.gpus[device], model.hparams
    plain = traffic.dense[owner] - traffic.dense_f16[owner]
    packed_rate = gpu.constant("gpu.mmq_share", constants) * gpu.int8
    seconds = 2 * plain / packed_rate
    seconds += 2 * traffic.dense_f16[owner] / (gpu.constant("gpu.f16_share", constants) * gpu.fp16)
    if traffic.routed[owner]:
        # An expert's tile is only as full as the tokens of a micro-batch that ask for it.
        per_expert = prompt.n_ubatch * max(h.n_expert_used) / h.n_expert
        fill = per_expert / (per_expert + gpu.constant("gpu.expert_tile", constants))
        seconds += 2 * traffic.routed[owner] / (fill * packed_rate)
    return seconds * prompt.n_prompt


def _overlap(compute: list[float], placement: Placement, prompt: Prompt) -> float:
    """Share of the devices' summed time that passes when they work on different micro-batches at once."""
    total, n_batches = sum(compute), prompt.n_batches
    if placement.n_copies <= 1 or n_batches <= 1 or total == 0:
        return 1.0
    return (total + (n_batches - 1) * max(compute)) / (n_batches * total)


def _cpu(traffic: Traffic, rates: Rates, constants: Mapping[str, float], prompt: Prompt) -> float:
    """Seconds on the CPU: arithmetic, or the weights once per micro-batch where that is longer, and the nodes' ends."""
    active = traffic.dense[buffers.CPU] + traffic.routed[buffers.CPU]
    computing = 2 * active * prompt.n_prompt / (rates.cores_batch * constants["cpu.flops_per_core"])
    share = traffic.touched(buffers.CPU, prompt.n_ubatch) / max(1, traffic.weights[buffers.CPU])
    reading = prompt.n_batches * share * cpu_weights(traffic, rates, constants)
    return max(computing, reading if prompt.n_ubatch < _COMPUTES_FROM else 0.0) + prompt.n_batches * cpu_node(
        rates, constants
    ) * len(traffic.cpu_layers)

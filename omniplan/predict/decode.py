"""Seconds of a decode: weights and cache over bandwidth, plus launches, CPU layers and graph splits.

One decode is of one token, or of the few that verify a draft: those share what is read and launched, and add the
arithmetic of each and the experts that only it asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from omniplan.domain.footprint import Footprint
from omniplan.domain.prediction import Cause
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load.placement import Placement
from omniplan.predict.rates import Rates
from omniplan.predict.traffic import Traffic

# CPU kernels by how many bytes of weights one core gets through in a second; a type's bits decide, but for these.
_SLOW_TYPES: Final = {"mxfp4": "mxfp4", "nvfp4": "mxfp4"}
_SLOW_PREFIX: Final = ("iq1", "iq2", "iq3", "tq")


def decode_terms(
    placement: Placement,
    priced: Footprint,
    traffic: Traffic,
    rates: Rates,
    constants: Mapping[str, float],
    n_tokens: int = 1,
    *,
    network: float = 0.0,
) -> dict[Cause, float]:
    """Seconds of a decode of ``n_tokens`` by cause, for one sequence (``docs/prediction.md``).

    ``network`` are those that it waits for other hosts.
    """
    on_gpu = traffic.gpu_share() * priced.n_nodes
    terms = {
        Cause.GPU_WEIGHTS: gpu_weights(traffic, rates, constants, n_tokens),
        Cause.GPU_COMPUTE: (n_tokens - 1) * gpu_compute(traffic, rates, constants),
        Cause.CPU_WEIGHTS: cpu_weights(traffic, rates, constants, n_tokens),
        Cause.EXPERT_UPLOADS: sum(
            traffic.asked(n_tokens) * size / rates.gpus[name].uploads for name, size in traffic.missing.items()
        ),
        Cause.KV_READS: sum(_attention(name, placement, traffic, rates, constants, n_tokens) for name in traffic.cache),
        Cause.GPU_LAUNCHES: sum(_launches(name, placement, priced, traffic, rates, constants) for name in rates.gpus),
        Cause.CPU_LAYERS: (priced.n_nodes - on_gpu) * cpu_node(rates, constants),
        Cause.GRAPH_SPLITS: _splits(priced, traffic, constants),
        Cause.NETWORK: network,
    }
    return {cause: seconds for cause, seconds in terms.items() if seconds > 0}


def gpu_weights(traffic: Traffic, rates: Rates, constants: Mapping[str, float], n_tokens: int) -> float:
    """Seconds to read the weights on the GPUs, one GPU after the other.

    A GPU whose back end unpacks them with its ordinary arithmetic takes as long as that where it is longer.
    """
    return sum(
        max(
            reading(name, traffic, rates, constants, n_tokens),
            traffic.packed(name) * constants.get(f"gpu.weight_operations_{gpu.backend}", 0.0) / gpu.fp16,
        )
        for name, gpu in rates.gpus.items()
    )


def reading(name: str, traffic: Traffic, rates: Rates, constants: Mapping[str, float], n_tokens: float) -> float:
    """Seconds to read the weights on one GPU once; BF16 is slower where a back end has no kernels of its own for it."""
    gpu = rates.gpus[name]
    share = gpu.constant("gpu.weights_share", constants)
    # BF16's share of what one token reads is that of what several read.
    bf16 = 2 * (traffic.dense_bf16[name] + traffic.routed_bf16[name]) / max(1, traffic.weights[name])
    slower = share / min(share, gpu.constant("gpu.bf16_read_share", constants))
    return traffic.touched(name, n_tokens) * (1 + bf16 * (slower - 1)) / (share * gpu.memory)


def _launches(
    device: str,
    placement: Placement,
    priced: Footprint,
    traffic: Traffic,
    rates: Rates,
    constants: Mapping[str, float],
) -> float:
    """Seconds of a token that nodes and layers on ``device`` take beside their bytes."""
    gpu = rates.gpus[device]
    counts = {
        "gpu.node": priced.n_nodes * traffic.share_of(device),
        "gpu.layer": placement.layers[:-1].count(device),
        "gpu.latent_layer": traffic.latent_layers[device],
        "gpu.recurrent_layer": traffic.recurrent_layers[device],
    }
    return sum(count * gpu.constant(name, constants) for name, count in counts.items() if count)


def gpu_compute(traffic: Traffic, rates: Rates, constants: Mapping[str, float]) -> float:
    """Seconds that each further token of a decode adds: kernels of few columns do its products on no tensor core."""
    active = ((gpu, traffic.dense[name] + traffic.routed[name]) for name, gpu in rates.gpus.items())
    return sum(2 * products / (gpu.constant("gpu.columns_share", constants) * gpu.int8) for gpu, products in active)


def cpu_weights(traffic: Traffic, rates: Rates, constants: Mapping[str, float], n_tokens: int = 1) -> float:
    """Seconds to read the weights on the CPU, or to compute with them for each token where that takes longer."""
    reading = traffic.touched(buffers.CPU, n_tokens) / min(
        constants["cpu.weights_share"] * rates.ram, rates.threads * constants["cpu.core_bandwidth"]
    )
    useful = min(rates.threads, rates.cores)
    computing = sum(size / core_rate(kind, constants) for kind, size in traffic.cpu_types.items()) / useful
    return max(reading, n_tokens * computing) * oversubscription(rates, constants)


def core_rate(kind: str, constants: Mapping[str, float]) -> float:
    """Bytes of weights of type ``kind`` that one core multiplies in a second."""
    if kind in _SLOW_TYPES:
        return constants["cpu.core_mxfp4"]
    if kind.startswith(_SLOW_PREFIX):
        return constants["cpu.core_codebook"]
    return constants["cpu.core_low_bit" if kind.startswith(("q2", "q3")) else "cpu.core_plain"]


def oversubscription(rates: Rates, constants: Mapping[str, float]) -> float:
    """Factor on time when more threads run than there are physical cores."""
    return 1 + constants["cpu.smt"] * max(0.0, rates.threads / rates.cores - 1) ** 2


def cpu_node(rates: Rates, constants: Mapping[str, float]) -> float:
    """Seconds of one graph node on the CPU besides its bytes: every thread waits for the slowest at its end."""
    return constants["cpu.node"] + constants["cpu.node_per_thread"] * rates.threads


def _attention(
    device: str, placement: Placement, traffic: Traffic, rates: Rates, constants: Mapping[str, float], n_tokens: int
) -> float:
    """Seconds to read the cache, or to score it where that takes longer (one latent row serves every head of MLA).

    Every token leaves a row of recurrent state behind, so that what is not kept can be taken back.
    """
    size: float = traffic.cache[device] + (n_tokens - 1) * traffic.state[device]
    operations = n_tokens * traffic.attention[device]
    if device == buffers.CPU:
        reading = size / (constants["cpu.kv_share"] * rates.ram)
        return max(reading, operations / (constants["cpu.attention_flops"] * min(rates.threads, rates.cores)))
    gpu = rates.gpus[device]
    size += constants.get(f"gpu.kv_passes_{gpu.backend}", 0.0) * traffic.reread[device]
    share = gpu.constant("gpu.kv_share" if placement.context.flash_attn else "gpu.kv_share_no_fa", constants)
    return max(size / (share * gpu.memory), operations / (gpu.constant("gpu.attention_decode", constants) * gpu.fp16))


def _splits(priced: Footprint, traffic: Traffic, constants: Mapping[str, float]) -> float:
    """Seconds the scheduler's pieces cost: each but the first waits for the one before it and copies its input."""
    if priced.graph_splits is None or not traffic.gpu_layers:
        return 0.0
    # The look-up of the token's embedding on the CPU and the first piece on a device are in every run.
    boundaries = max(0, priced.graph_splits.decode - 2)
    # Where nothing is left to the CPU, the host still looks for chosen experts in the cache, layer by layer.
    waits = boundaries if traffic.cpu_layers else min(boundaries, len(traffic.looked_up))
    return waits * constants["cpu.split"] + (boundaries - waits) * constants["gpu.split"]

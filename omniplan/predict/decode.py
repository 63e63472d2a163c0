"""Seconds per generated token: weights and cache over bandwidth, plus launches, CPU layers and graph splits."""

from __future__ import annotations

from omniplan.domain.footprint import GraphSplits
from omniplan.llamacpp import buffers
from omniplan.predict.rates import Rates
from omniplan.predict.traffic import Traffic
from omniplan.tables.calibration import value

# The splits every graph has: the CPU's embedding look-up and the first device.
_LEAST_SPLITS = 2


def decode_terms(traffic: Traffic, rates: Rates, splits: GraphSplits | None, *, is_moe: bool) -> dict[str, float]:
    """Seconds per token by cause, for one sequence (``docs/prediction.md``)."""
    gpu_bytes = {name: size for name, size in traffic.weights.items() if name != buffers.CPU}
    terms = {
        "GPU weights": sum(
            size / (value("gpu.weights_share") * rates.gpus[name].memory) for name, size in gpu_bytes.items()
        ),
        "CPU weights": cpu_weights(traffic, rates),
        "KV reads": sum(_cache(name, size, rates) for name, size in traffic.cache.items()),
        "GPU launches": traffic.gpu_layers * value("gpu.layer_moe" if is_moe else "gpu.layer_dense"),
        "CPU layers": _cpu_layers(traffic, rates),
        "graph splits": _splits(traffic, splits),
    }
    return {name: seconds for name, seconds in terms.items() if seconds > 0}


def cpu_weights(traffic: Traffic, rates: Rates) -> float:
    """Seconds to read the weights on the CPU; below 4 bits the CPU computes more than it reads."""
    penalty = {2: value("cpu.low_bit_2"), 3: value("cpu.low_bit_3"), 1: value("cpu.low_bit_2")}
    weighted = sum(size * penalty.get(bits, 1.0) for bits, size in traffic.low_bit.items())
    return weighted / (value("cpu.weights_share") * rates.ram)


def _cache(device: str, size: int, rates: Rates) -> float:
    if device == buffers.CPU:
        return size / (value("cpu.weights_share") * rates.ram)
    return size / (value("gpu.kv_share") * rates.gpus[device].memory)


def _cpu_layers(traffic: Traffic, rates: Rates) -> float:
    # Without a GPU there is nothing to wait for between layers.
    return len(traffic.cpu_layers) * value("cpu.layer") if rates.gpus and traffic.gpu_layers else 0.0


def _splits(traffic: Traffic, splits: GraphSplits | None) -> float:
    if splits is None:
        return 0.0
    expected = _LEAST_SPLITS + 2 * len(traffic.cpu_layers)
    return max(0, splits.decode - expected) * value("gpu.split")

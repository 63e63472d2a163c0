"""Which device holds which layer: ``-ngl``, ``-ts``, ``-sm``, ``-mg`` and ``-dev`` as b11434 reads them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.load import expert_cache
from omniplan.units import single


def split(n_layer_all: int, n_gpu_layers: int, names: Sequence[str], weights: Sequence[float]) -> tuple[str, ...]:
    """Device of every layer, output layer last.

    ``weights`` are the ``-ts`` proportions or, when all are zero, free bytes. The arithmetic is float32 on purpose:
    ties at layer boundaries fall as in llama.cpp b11434 ``load_tensors``.
    """
    n_all = n_layer_all + 1
    active = min(n_gpu_layers if n_gpu_layers >= 0 else n_all, n_all) if names else 0
    first = n_all - active
    # Rounding after each step is what adding and dividing in float32 does; summing in double precision differs.
    points = list(accumulate((single(weight) for weight in weights[: len(names)]), lambda total, x: single(total + x)))
    if points and points[-1] > 0:
        points = [single(point / points[-1]) for point in points]
    on_gpu = (single(i / active) for i in range(active))
    chosen = [names[min(bisect_right(points, x), len(names) - 1)] for x in on_gpu]
    return (buffers.CPU,) * first + tuple(chosen)


def shares(params: ServerParams, n_devices: int) -> tuple[float, ...]:
    """The ``-ts`` proportions of the first ``n_devices`` devices, 0 where none is given."""
    return (*params.tensor_split, *[0.0] * n_devices)[:n_devices]


def layer_devices(params: ServerParams, machine: Machine, names: Sequence[str], n_layer_all: int) -> tuple[str, ...]:
    """Device of every layer of a model with ``n_layer_all`` blocks split over the devices ``names``."""
    if len(names) < 2:
        return split(n_layer_all, params.n_gpu_layers, names, [1.0])
    given = shares(params, len(names))
    weights = given if any(given) else [float(machine.gpu(name).free) for name in names]
    return split(n_layer_all, params.n_gpu_layers, names, weights)


# GGML_SCHED_MAX_COPIES of llama.cpp b11434.
_PIPELINE_COPIES: Final = 4


def pipeline_copies(params: ServerParams, n_layer_all: int, devices: Sequence[Device]) -> int:
    """Copies of inputs that pipeline parallelism keeps, 1 when it is off (``llama_context`` constructor)."""
    n_gpu_layers = params.n_gpu_layers if params.n_gpu_layers >= 0 else n_layer_all + 1
    is_on = (
        len(devices) > 1
        and all(gpu.backend.pipelines and params.build >= gpu.backend.pipelines_since for gpu in devices)
        and n_gpu_layers > n_layer_all
        and params.split_mode is SplitMode.LAYER
        and params.offload_kqv
        and not params.overrides
        # llama_context of b11549
        and not expert_cache.is_asked(params)
    )
    return _PIPELINE_COPIES if is_on else 1

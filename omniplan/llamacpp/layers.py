"""Which device holds which layer: ``-ngl``, ``-ts``, ``-sm``, ``-mg`` and ``-dev`` as b11434 reads them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np

from omniplan.domain.machine import Machine
from omniplan.domain.params import ServerParams, SplitMode

CPU: Final = "CPU"


def split(n_layer_all: int, n_gpu_layers: int, names: Sequence[str], weights: Sequence[float]) -> tuple[str, ...]:
    """Device of every layer, output layer last.

    ``weights`` are the ``-ts`` proportions or, when all are zero, free bytes. The arithmetic is float32 on purpose:
    ties at layer boundaries fall as in llama.cpp b11434 ``load_tensors``.
    """
    n_all = n_layer_all + 1
    active = min(n_gpu_layers if n_gpu_layers >= 0 else n_all, n_all) if names else 0
    first = n_all - active
    # Adding into a float32 accumulator, as llama.cpp does, differs from summing in double precision.
    points = np.cumsum(np.asarray(weights[: len(names)], dtype=np.float32), dtype=np.float32)
    if len(points) and points[-1] > 0:
        points = points / points[-1]
    bounds = [float(point) for point in points]
    on_gpu = (float(np.float32(i) / np.float32(active)) for i in range(active))
    chosen = [names[min(bisect_right(bounds, x), len(names) - 1)] for x in on_gpu]
    return (CPU,) * first + tuple(chosen)


def layer_devices(
    params: ServerParams, machine: Machine, names: Sequence[str], n_layer_all: int
) -> tuple[str, ...]:
    """Device of every layer of a model with ``n_layer_all`` blocks split over the devices ``names``."""
    given = [*params.tensor_split, *[0.0] * len(names)][: len(names)]
    weights = given if any(given) else [float(machine.gpu(name).free) for name in names]
    return split(n_layer_all, params.n_gpu_layers, names, weights)


# GGML_SCHED_MAX_COPIES of llama.cpp b11434.
_PIPELINE_COPIES: Final = 4


def pipeline_copies(params: ServerParams, n_layer_all: int, devices: Sequence[str]) -> int:
    """Copies of inputs the scheduler keeps for pipeline parallelism, 1 when it is off (``llama_context`` constructor)."""
    n_gpu_layers = params.n_gpu_layers if params.n_gpu_layers >= 0 else n_layer_all + 1
    is_on = (
        len(devices) > 1
        and n_gpu_layers > n_layer_all
        and params.split_mode is SplitMode.LAYER
        and params.offload_kqv
        and not params.overrides
    )
    return _PIPELINE_COPIES if is_on else 1

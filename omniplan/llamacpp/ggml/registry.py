"""The back ends that are known, and a machine's GPUs as their devices (ggml-backend-reg.cpp)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Final

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.machine import Gpu
from omniplan.llamacpp.ggml import earlier
from omniplan.llamacpp.ggml.backend import Backend, Device
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.ggml.cuda import CUDA
from omniplan.llamacpp.ggml.cuda_fattn import AMD, AMPERE
from omniplan.llamacpp.ggml.metal import metal
from omniplan.llamacpp.ggml.rocm import ROCM
from omniplan.llamacpp.ggml.rpc import rpc
from omniplan.llamacpp.ggml.sycl import SYCL
from omniplan.llamacpp.ggml.table import rows
from omniplan.llamacpp.ggml.vulkan import VULKAN, vulkan

BACKENDS: Final = {backend.name: backend for backend in (CPU, CUDA, ROCM, VULKAN, SYCL, metal(DEFAULT_BUILD))}
# Back ends that are others from build to build.
_BY_BUILD: Final[Mapping[str, Callable[[int], Backend]]] = {
    "metal": metal,
    "vulkan": vulkan,
    "cuda": partial(earlier.of, CUDA),
    "rocm": partial(earlier.of, ROCM),
}
_PREFIX: Final = re.compile("[A-Za-z]*")
_TARGET: Final = re.compile("gfx([0-9a-f]{3,4})")


def backend_name(gpu: Gpu) -> str:
    """The back end that a GPU states, else that of its name where it is plugged in: cuda for CUDA0."""
    prefix = _PREFIX.match(gpu.endpoint_device or gpu.name)
    return gpu.backend or (_words().get(prefix[0], prefix[0].lower()) if prefix else "")


@cache
def _words() -> dict[str, str]:
    """The word of each back end by what its devices are called."""
    return {row.device: name for name, row in rows().items()}


def backend_of(gpu: Gpu, build: int = DEFAULT_BUILD) -> Backend:
    """The back end of a GPU in ``build``, RPC's for one of another host; CUDA stands in for one that is not known."""
    found = named(backend_name(gpu), build)
    return rpc(found) if gpu.endpoint else found


def named(name: str, build: int = DEFAULT_BUILD) -> Backend:
    """The back end of ``build`` with a word of machine files; CUDA stands in for one that is not known."""
    make = _BY_BUILD.get(name)
    return make(build) if make else BACKENDS.get(name, CUDA)


def is_integrated(gpu: Gpu) -> bool:
    """Whether a GPU tells llama.cpp that it is integrated, which takes such only where there is no other."""
    row = rows().get(backend_name(gpu))
    return gpu.is_unified and (row is None or row.integrated)


def maps_files(gpu: Gpu) -> bool:
    """Whether load mode auto maps files with this GPU in use; an integrated one of some back ends cannot."""
    return backend_of(gpu).integrated_maps or not gpu.is_unified


def device(gpu: Gpu, build: int = DEFAULT_BUILD) -> Device:
    """A GPU as the scheduler of ``build`` sees it."""
    backend = backend_of(gpu, build)
    return Device(
        name=gpu.name,
        backend=backend,
        buffer=gpu.name,
        memory=backend.memory,
        capability=capability(gpu.compute_capability),
    )


def host(gpus: Sequence[Device]) -> Backend | None:
    """The back end whose pinned memory takes weights on the CPU: the first that has such (make_cpu_buft_list)."""
    return next((gpu.backend for gpu in gpus if gpu.backend.host is not None), None)


def cpu(gpus: Sequence[Device]) -> Device:
    """The CPU beside ``gpus``; its results lie where the first of them copies from (llama-context.cpp)."""
    memory = gpus[0].backend.host or CPU.memory if gpus else CPU.memory
    return Device(name=CPU.memory.name, backend=CPU, buffer=memory.name, memory=memory)


def capability(text: str) -> int:
    """890 for "8.9", AMD's numbers for a target such as "gfx1151" (ggml-cuda.cu: ggml_cuda_parse_id).

    An unknown GPU counts as Ampere, which has the same kernels as everything later.
    """
    if target := _TARGET.fullmatch(text):
        return AMD + int(target[1], 16)
    major, _, minor = text.partition(".")
    return int(major) * 100 + int(minor or 0) * 10 if major.isdigit() else AMPERE

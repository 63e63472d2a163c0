"""Rules about how llama.cpp is built and into what it is put, read line by line from any file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.check.document import File
from omniplan.check.hit import Hit
from omniplan.check.kinds import FileKind
from omniplan.check.rule import FileRule

_NO_VMM: Final = re.compile(
    r"(GGML_CUDA_NO_VMM(?::BOOL)?\s*=\s*)(ON|1|TRUE|YES)\b|set\(GGML_CUDA_NO_VMM (ON|1|TRUE)", re.IGNORECASE
)
_VMM_LOG: Final = re.compile(r"Device \d+: .*\bVMM: no\b")
_HIP: Final = re.compile(r"\bgfx\d|ROCm|HIP", re.IGNORECASE)
_CUDA_IMAGE: Final = re.compile(r"(?:nvidia/)?cuda:(\d+)\.(\d+)[\w.-]*|\bCUDA_VERSION[=: ]\s*[\"']?(\d+)\.(\d+)")
_BLACKWELL: Final = re.compile(r"CMAKE_CUDA_ARCHITECTURES\S*=\S*\b12[01](?:[af]?\b|-)|\bsm_12[01]", re.IGNORECASE)
_NEEDED: Final = (12, 8)
_GVISOR: Final = re.compile(r"\brunsc\b|\bruntimeClassName:\s*[\"']?gvisor|\bgvisor\b", re.IGNORECASE)
_GPUS: Final = re.compile(
    r"--gpus\b|driver:\s*[\"']?nvidia|nvidia\.com/gpu|\bgpus:|NVIDIA_VISIBLE_DEVICES|-ngl\b|n-gpu-layers"
)
_FIXED_LAYERS: Final = re.compile(r"^\s*ENV\s.*\b(?:LLAMA_ARG_)?N_GPU_LAYERS[ =]\"?(\d+)")
_EXCLUSIVE: Final = re.compile(r"nvidia-smi\b.*(?:-c|--compute-mode)[= ]\s*(?:3|1|EXCLUSIVE_\w+)\b")


def no_vmm(file: File) -> Iterator[Hit]:
    """A build without CUDA's virtual memory management."""
    for number, line in file.document.code():
        if match := _NO_VMM.search(line):
            yield Hit(message=f"{match[0]} turns CUDA's virtual memory management off", at=number)


def vmm_off_in_log(file: File) -> Iterator[Hit]:
    """A log that says ``VMM: no`` of an NVIDIA GPU."""
    for number, line in enumerate(file.document.lines, 1):
        if _VMM_LOG.search(line) and not _HIP.search(line):
            yield Hit(message=line.strip()[:120], at=number)


def cuda_too_old(file: File) -> Iterator[Hit]:
    """CUDA older than 12.8 for a GPU of compute capability 12."""
    if file.document.kind is FileKind.LOG:
        return
    lines = list(file.document.code())
    asked = next((number for number, line in lines if _BLACKWELL.search(line)), None)
    known = file.machine.gpus if file.machine else ()
    gpus = [gpu.description for gpu in known if gpu.compute_capability.startswith("12.")]
    if asked is None and not gpus:
        return
    whose = f"line {asked} builds for sm_120" if asked else f"{' and '.join(gpus)} are sm_120"
    for number, line in lines:
        if match := _CUDA_IMAGE.search(line):
            major, minor = (int(part) for part in (match[1] or match[3], match[2] or match[4]))
            if (major, minor) < _NEEDED:
                yield Hit(message=f"CUDA {major}.{minor}, and {whose}", at=number)


def gvisor(file: File) -> Iterator[Hit]:
    """A GPU inside a gVisor sandbox."""
    lines = list(file.document.code())
    if file.document.kind is FileKind.LOG or not any(_GPUS.search(line) for _, line in lines):
        return
    for number, line in lines:
        if _GVISOR.search(line):
            yield Hit(message=f"'{line.strip()[:80]}' and a GPU in the same file", at=number)


def exclusive_process(file: File) -> Iterator[Hit]:
    """EXCLUSIVE_PROCESS with more than one server."""
    if len(file.cases) > 1:
        for number, line in file.document.code():
            if _EXCLUSIVE.search(line):
                yield Hit(message=f"{len(file.cases)} servers and GPUs that take one process each", at=number)


def image_fixes_layers(file: File) -> Iterator[Hit]:
    """An image whose environment fixes the number of GPU layers."""
    if file.document.kind is FileKind.BUILD:
        for number, line in file.document.code():
            if match := _FIXED_LAYERS.search(line):
                yield Hit(message=f"{match[0].strip()} in every container of this image", at=number)


RULES: Final[Mapping[str, FileRule]] = {
    "image-fixes-gpu-layers": image_fixes_layers,
    "cuda-no-vmm": no_vmm,
    "vmm-off-in-log": vmm_off_in_log,
    "cuda-too-old-for-blackwell": cuda_too_old,
    "gpu-in-gvisor": gvisor,
    "exclusive-process": exclusive_process,
}

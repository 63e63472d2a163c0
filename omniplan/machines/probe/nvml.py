"""NVIDIA GPUs through NVML (``nvidia-ml-py``), whose function names and error codes are the seam.

API: https://docs.nvidia.com/deploy/nvml-api/. What one GPU or driver does not support stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from omniplan.domain.machine import Gpu, Reservation, ReservationKind
from omniplan.errors import needs

_PCI: Final = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")
# NVML's "not available" as pynvml passes it through in unsigned fields.
_NO_VALUE: Final = 0xFFFFFFFFFFFFFFFF
# Idle and busy links, PCIe generation by generation, differ by power saving; only the current one is trained down.
IDLE_LINK: Final = "the link is trained down while idle; read it again with nvidia-smi -q while a model runs"


class NvmlMissing(Exception):
    """NVML cannot be used; the text says why."""


def read_gpus(nvml: Any = None) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """GPUs in NVML's order (by PCI id), called "NVML0" and on, and notes; raises NvmlMissing."""
    with opened(nvml) as seen:
        return tuple(device.gpu() for device in seen), tuple(note for device in seen for note in device.notes)


@contextmanager
def opened(nvml: Any = None) -> Iterator[list[NvmlDevice]]:
    """The GPUs in NVML's order, while NVML is started; raises NvmlMissing."""
    library = _library() if nvml is None else nvml
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        raise NvmlMissing(f"NVML does not start: {error}") from error
    try:
        yield [NvmlDevice(library, index) for index in range(library.nvmlDeviceGetCount())]
    except library.NVMLError as error:
        raise NvmlMissing(f"NVML stopped answering: {error}") from error
    finally:
        library.nvmlShutdown()


def _library() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise NvmlMissing(needs("nvidia-ml-py")) from error
    return pynvml


class NvmlDevice:
    """One GPU being read; ``notes`` collects what it does not say."""

    def __init__(self, nvml: Any, index: int) -> None:
        self.nvml = nvml
        self.index = index
        self.handle = nvml.nvmlDeviceGetHandleByIndex(index)
        self.notes: list[str] = []

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of one NVML function, None where library, driver or GPU does not have it."""
        function: Callable[..., Any] | None = getattr(self.nvml, name, None)
        if function is None:
            return None
        try:
            return function(self.handle, *arguments)
        except self.nvml.NVMLError:
            return None

    def text(self, name: str) -> str:
        """A text answer; older bindings return bytes."""
        found = self.ask(name)
        return found.decode(errors="replace") if isinstance(found, bytes) else str(found or "")

    @property
    def description(self) -> str:
        """What people call it."""
        return self.text("nvmlDeviceGetName").removeprefix("NVIDIA ").removeprefix("GeForce ")

    def count(self, name: str) -> int | None:
        """A whole number, None where unknown or zero."""
        found = self.ask(name)
        return int(found) if isinstance(found, int) and 0 < found < 1 << 31 else None

    def gpu(self) -> Gpu:
        """What NVML says of this GPU."""
        total, free, reserved = self._memory()
        capability = self.ask("nvmlDeviceGetCudaComputeCapability")
        power = self.count("nvmlDeviceGetPowerManagementLimit")
        gpu = Gpu(
            name=f"NVML{self.index}",
            description=self.description,
            total=total,
            free=free,
            compute_capability=f"{capability[0]}.{capability[1]}" if capability else "",
            uuid=self.text("nvmlDeviceGetUUID"),
            pci=self._pci(),
            pcie_generation=self.count("nvmlDeviceGetCurrPcieLinkGeneration"),
            pcie_width=self.count("nvmlDeviceGetCurrPcieLinkWidth"),
            pcie_generation_max=self.count("nvmlDeviceGetMaxPcieLinkGeneration"),
            pcie_width_max=self.count("nvmlDeviceGetMaxPcieLinkWidth"),
            power_limit=power / 1000 if power else None,
            is_display=bool(self.ask("nvmlDeviceGetDisplayActive")),
            is_unified=not total,
            reserved=reserved,
        )
        self._note(gpu)
        return gpu

    def _note(self, gpu: Gpu) -> None:
        now, most = gpu.pcie_generation, gpu.pcie_generation_max
        if now and most and now < most:
            self.notes.append(f"{gpu.description}: PCIe {now}.0 now, {most}.0 possible; {IDLE_LINK}")
        mode = self.ask("nvmlDeviceGetMigMode")
        if mode and mode[0] == 1:
            self.notes.append(f"{gpu.description}: MIG is on; CUDA sees its instances, not the whole GPU")

    def _pci(self) -> str:
        info = self.ask("nvmlDeviceGetPciInfo")
        if info is None:
            return ""
        busid = info.busId.decode() if isinstance(info.busId, bytes) else str(info.busId)
        return short_pci(busid)

    def _memory(self) -> tuple[int, int, tuple[Reservation, ...]]:
        """Total and free bytes, and who has the rest: the driver, each process, and what nobody names."""
        version = getattr(self.nvml, "nvmlMemory_v2", None)
        info = (self.ask("nvmlDeviceGetMemoryInfo", version) if version else None) or self.ask(
            "nvmlDeviceGetMemoryInfo"
        )
        if info is None:
            return 0, 0, ()
        total, free = int(info.total), min(int(info.total), int(info.free))
        rows = [Reservation(size=int(getattr(info, "reserved", 0)), reason="driver", kind=ReservationKind.DRIVER)]
        rows += self._processes()
        left = total - free
        kept: list[Reservation] = []
        for row in rows:
            size = min(row.size, left)
            left -= size
            kept.append(Reservation(size=size, reason=row.reason, kind=row.kind))
        kept.append(Reservation(size=left, reason="in use, by nothing NVML names", kind=ReservationKind.PROCESS))
        return total, free, tuple(row for row in kept if row.size)

    def _processes(self) -> list[Reservation]:
        found: dict[int, int] = {}
        for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
            for process in self.ask(name) or ():
                used = process.usedGpuMemory
                if isinstance(used, int) and 0 < used < _NO_VALUE:
                    found[process.pid] = max(used, found.get(process.pid, 0))
        return [
            Reservation(size=size, reason=f"process {pid} {self._name_of(pid)}".rstrip(), kind=ReservationKind.PROCESS)
            for pid, size in sorted(found.items())
        ]

    def _name_of(self, pid: int) -> str:
        function = getattr(self.nvml, "nvmlSystemGetProcessName", None)
        try:
            name = function(pid) if function else ""
        except self.nvml.NVMLError:
            return ""
        text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
        return text.split()[0].rsplit("/", 1)[-1] if text.split() else ""


def short_pci(busid: str) -> str:
    """The kernel's spelling of a PCI id, "" for what is none: NVML writes an eight-digit domain, the kernel four."""
    found = _PCI.fullmatch(busid.lower())
    if found is None:
        return ""
    domain, place = int(found[1] or "0", 16), found[2]
    return f"{domain:04x}:{place}"

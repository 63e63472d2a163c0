"""How NVIDIA GPUs are while they work, through NVML: how warm, how busy, and what holds their clocks down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.machines.probe.nvml import NvmlDevice

# Names of NVML's bits (nvml.h: nvmlClocksEventReason*) that slow a GPU down below what it can do for long. Its power
# limit is none of them: at that a GPU does what its maker says.
_SLOWING: Final = {
    "nvmlClocksEventReasonHwThermalSlowdown": "by heat",
    "nvmlClocksEventReasonSwThermalSlowdown": "by heat",
    "nvmlClocksEventReasonHwPowerBrakeSlowdown": "by the power supply",
    "nvmlClocksEventReasonHwSlowdown": "by the hardware",
}
# Drivers before 535 have the reasons under the older name.
_REASONS: Final = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
# nvmlTemperatureSensors_t: the GPU's own.
_CORE_SENSOR: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """One GPU at one moment: ``degrees`` Celsius and the share of time it computes are None where it does not say.

    ``slowed`` says by what its clocks are held down, "" for nothing.
    """

    name: str
    degrees: int | None = None
    busy: float | None = None
    slowed: str = ""


def states(devices: Sequence[NvmlDevice]) -> tuple[GpuState, ...]:
    """Each GPU as it is now."""
    return tuple(_state(device) for device in devices)


def _state(device: NvmlDevice) -> GpuState:
    degrees = device.ask("nvmlDeviceGetTemperature", _CORE_SENSOR)
    used = device.ask("nvmlDeviceGetUtilizationRates")
    return GpuState(
        name=device.description,
        degrees=degrees if isinstance(degrees, int) else None,
        busy=None if used is None else used.gpu / 100,
        slowed=next(_slowing(device), ""),
    )


def _slowing(device: NvmlDevice) -> Iterator[str]:
    found = next((bits for name in _REASONS if isinstance(bits := device.ask(name), int)), 0)
    for name, reason in _SLOWING.items():
        if found & getattr(device.nvml, name, 0):
            yield reason

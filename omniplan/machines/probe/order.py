"""Which physical GPU becomes CUDA0: CUDA's order, the variables that change it, and how to pin it.

Rules: CUDA C++ Programming Guide, "CUDA Environment Variables" (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from omniplan.domain.machine import Gpu, Machine
from omniplan.errors import InputError
from omniplan.machines.gpus import find_gpu

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_FASTEST_FIRST = "FASTEST_FIRST"
_PCI_BUS_ID = "PCI_BUS_ID"
_GUESS = (
    "{} is taken for CUDA0: CUDA puts the GPU it guesses fastest first and leaves the rest unspecified, "
    "nvidia-smi counts by PCI id; pin by UUID"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """GPUs as CUDA numbers them, what was taken for true on the way, and the environment that makes it certain."""

    gpus: tuple[Gpu, ...]
    assumptions: tuple[str, ...] = ()
    pin: Mapping[str, str]


def cuda_order(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> Order:
    """``gpus`` of any order, renamed CUDA0 and on as CUDA would under ``environment``; raises InputError."""
    mode = environment.get("CUDA_DEVICE_ORDER", _FASTEST_FIRST)
    if mode not in (_FASTEST_FIRST, _PCI_BUS_ID):
        raise InputError(f"CUDA_DEVICE_ORDER: expected {_FASTEST_FIRST} or {_PCI_BUS_ID}, got {mode[:40]!r}")
    ordered = by_pci(gpus)
    assumptions: tuple[str, ...] = ()
    if mode == _FASTEST_FIRST and len({gpu.description for gpu in ordered}) > 1:
        first = max(range(len(ordered)), key=lambda index: (_speed(ordered[index]), -index))
        ordered.insert(0, ordered.pop(first))
        assumptions = (_GUESS.format(ordered[0].description),)
    if (visible := environment.get(VISIBLE)) is not None:
        ordered = _visible(ordered, visible)
    named = tuple(replace(gpu, name=f"CUDA{index}") for index, gpu in enumerate(ordered))
    return Order(gpus=named, assumptions=assumptions, pin=pin(named))


def as_visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """``gpus`` in CUDA's own order as a process under ``environment`` sees them, renamed CUDA0 and on.

    Raises InputError for a CUDA_VISIBLE_DEVICES that names a GPU twice or a MIG instance.
    """
    visible = environment.get(VISIBLE)
    if visible is None:
        return tuple(gpus)
    ordered = by_pci(gpus) if environment.get("CUDA_DEVICE_ORDER") == _PCI_BUS_ID else list(gpus)
    return tuple(replace(gpu, name=f"CUDA{index}") for index, gpu in enumerate(_visible(ordered, visible)))


def seen_by(machine: Machine, environment: Mapping[str, str]) -> Machine:
    """``machine`` as a process sees it that has ``environment``; as it is where that names GPUs nobody can find."""
    wanted = [word for word in environment.get(VISIBLE, "").split(",") if word.strip() not in ("", "-1")]
    try:
        gpus = as_visible(machine.gpus, environment)
    except InputError:
        return machine
    # A UUID that the machine file does not have names a GPU all the same.
    return replace(machine, gpus=gpus) if len(gpus) >= len(wanted) else machine


def without_integrated(gpus: Sequence[Gpu]) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """``gpus`` as llama.cpp takes them: an integrated one only where there is no other; and what to tell.

    src/llama.cpp of b11434: llama_prepare_model_devices. Names count anew.
    """
    apart = [gpu for gpu in gpus if not gpu.is_unified]
    if not apart or len(apart) == len(gpus):
        return tuple(gpus), ()
    left = ", ".join(gpu.description for gpu in gpus if gpu.is_unified)
    counts: Counter[str] = Counter()
    kept = []
    for gpu in apart:
        prefix = gpu.name.rstrip("0123456789")
        kept.append(replace(gpu, name=f"{prefix}{counts[prefix]}"))
        counts[prefix] += 1
    return tuple(kept), (
        f"{left}: left out, llama.cpp takes no integrated GPU beside another unless --device names it",
    )


def by_pci(gpus: Sequence[Gpu]) -> list[Gpu]:
    """In PCI order, which is NVML's and nvidia-smi's; as given where an id is unknown."""
    return sorted(gpus, key=_bus) if all(gpu.pci for gpu in gpus) else list(gpus)


def _bus(gpu: Gpu) -> tuple[int, ...]:
    """Domain, bus, device and function as numbers; the domain may be left out."""
    places = [int(part, 16) for part in gpu.pci.replace(".", ":").split(":")]
    return tuple([0] * (4 - len(places)) + places)


def _speed(gpu: Gpu) -> tuple[float, float]:
    """A stand-in for CUDA's undocumented guess: FP16 throughput from the table, then memory bandwidth."""
    row = find_gpu(gpu.description, gpu.total)
    throughput = gpu.fp16_flops or (row.fp16_flops if row else None) or 0.0
    return throughput, gpu.bandwidth or (row.bandwidth if row else None) or 0.0


def _visible(gpus: list[Gpu], value: str) -> list[Gpu]:
    """The GPUs CUDA_VISIBLE_DEVICES names; what follows the first name nobody has is hidden, as CUDA does it."""
    chosen: list[Gpu] = []
    for word in (part.strip() for part in value.split(",")):
        if word.startswith("MIG-"):
            raise InputError(f"CUDA_VISIBLE_DEVICES: {word[:60]} is a MIG instance; describe it as a GPU of its own")
        found = _named(gpus, word)
        if found is None:
            break
        if found in chosen:
            raise InputError(f"CUDA_VISIBLE_DEVICES: {word[:60]} names a GPU twice; CUDA then shows none")
        chosen.append(found)
    return chosen


def _named(gpus: list[Gpu], word: str) -> Gpu | None:
    """The GPU of an index, or of the beginning of a UUID when only one has it."""
    if word.isascii() and word.isdigit():
        return gpus[int(word)] if int(word[:6]) < len(gpus) else None
    matches = [gpu for gpu in gpus if word.startswith("GPU-") and gpu.uuid.startswith(word)]
    return matches[0] if len(matches) == 1 else None


def pin(gpus: Sequence[Gpu]) -> Mapping[str, str]:
    """The environment that makes CUDA number ``gpus`` as listed; empty when there is nothing to pin or no way to.

    UUIDs where every GPU has one, else PCI order with the indices in it.
    """
    if len(gpus) < 2:
        return {}
    if all(gpu.uuid for gpu in gpus):
        return {VISIBLE: ",".join(gpu.uuid for gpu in gpus)}
    if all(gpu.pci for gpu in gpus):
        order = by_pci(gpus)
        indices = ",".join(str(order.index(gpu)) for gpu in gpus)
        return {"CUDA_DEVICE_ORDER": _PCI_BUS_ID, VISIBLE: indices}
    return {}

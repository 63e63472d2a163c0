"""AMD GPUs: what amdgpu shows in ``/sys/class/drm``, and such a GPU as a machine has it.

Files: Linux Documentation/gpu/amdgpu/driver-misc.rst (mem_info_vram_total, mem_info_gtt_total, what is used of each).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.domain.machine import Gpu, Reservation, ReservationKind
from omniplan.errors import InputError
from omniplan.machines.advice import share_limits
from omniplan.machines.gpus import find_gpu, find_gpus
from omniplan.machines.pci import VENDORS, amd_name
from omniplan.machines.probe.nvml import short_pci
from omniplan.machines.probe.sysfs import read_text
from omniplan.units import GIB, MIB, gib

_WANTED: Final = (
    "vendor", "device", "revision", "mem_info_vram_total", "mem_info_vram_used", "mem_info_gtt_total",
    "mem_info_gtt_used", "max_link_speed", "max_link_width", "uevent",
)  # fmt: skip
# What `grep -s "" /sys/class/drm/card*/device/*` prints of those files.
LISTED: Final = re.compile(r"^(?:\S*/)?(card\d+)/device/(\w+):(.*)$", re.MULTILINE)
# GT/s of PCIe 1.0 to 6.0.
_SPEEDS: Final = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
# APUs are given up to this by their firmware unless somebody asks for more.
_CARVE_OUT: Final = 4 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdGpu:
    """What one program says of one GPU; bytes, None where it does not say."""

    name: str = ""
    pci: str = ""
    vram: int | None = None
    vram_used: int = 0
    gtt: int | None = None
    gtt_used: int = 0
    generation: int | None = None
    width: int | None = None
    is_apu: bool = False


def read_cards(root: Path) -> tuple[AmdGpu, ...]:
    """The AMD GPUs under ``root``/sys/class/drm."""
    folders = sorted((root / "sys/class/drm").glob("card[0-9]*"), key=lambda path: path.name)
    cards = {path.name: path / "device" for path in folders if re.fullmatch(r"card\d+", path.name)}
    ids = read_text(root / "usr/share/libdrm/amdgpu.ids")
    files = {card: {name: read_text(folder / name) for name in _WANTED} for card, folder in cards.items()}
    return tuple(_of_files(files, ids))


def parse_listing(text: str, where: str) -> tuple[AmdGpu, ...]:
    """The same from what ``grep`` printed of these files; raises InputError where none is AMD's."""
    cards: dict[str, dict[str, str]] = {}
    for card, name, value in LISTED.findall(text):
        files = cards.setdefault(card, {})
        files[name] = f"{files[name]}\n{value}" if name in files else value
    if not (found := tuple(_of_files(cards, ""))):
        raise InputError(f"{where}: expected an AMD GPU (vendor 0x1002) with mem_info_vram_total, and there is none")
    return found


def _of_files(cards: Mapping[str, Mapping[str, str]], ids: str) -> Iterator[AmdGpu]:
    for files in cards.values():
        vendor, device = _hex(files.get("vendor", "")), _hex(files.get("device", ""))
        if VENDORS.get(vendor) != "amd" or not files.get("mem_info_vram_total"):
            continue
        slot = re.search(r"^PCI_SLOT_NAME=(\S+)$", files.get("uevent", ""), re.MULTILINE)
        speed = re.match(r"([\d.]{1,5}) GT/s", files.get("max_link_speed", ""))
        yield AmdGpu(
            name=amd_name(device, _hex(files.get("revision", "")), ids) or f"AMD {device:04x}",
            pci=short_pci(slot[1]) if slot else "",
            vram=_count(files.get("mem_info_vram_total")),
            vram_used=_count(files.get("mem_info_vram_used")) or 0,
            gtt=_count(files.get("mem_info_gtt_total")),
            gtt_used=_count(files.get("mem_info_gtt_used")) or 0,
            generation=generation(float(speed[1])) if speed and speed[1].count(".") < 2 else None,
            width=lanes(_count(files.get("max_link_width"))),
        )


def generation(speed: float) -> int | None:
    """The PCIe generation of a link of ``speed`` GT/s."""
    return _SPEEDS.get(speed)


def lanes(width: int | None) -> int | None:
    """Lanes of a link, None for what none has."""
    return width if width and width <= 32 else None


def gpus_of(seen: Sequence[AmdGpu], prefix: str, source: str) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """These GPUs as a machine has them, named ``prefix`` and a number, and what to tell."""
    gpus = tuple(_gpu(item, f"{prefix}{index}", source) for index, item in enumerate(seen))
    notes = tuple(
        f"{gpu.description}: its memory is the RAM; the GPU may take {gib(gpu.room)} of it"
        for gpu in gpus
        if gpu.is_unified
    )
    return gpus, notes


def _gpu(seen: AmdGpu, name: str, source: str) -> Gpu:
    row = find_gpu(seen.name, seen.vram) or next(iter(find_gpus(seen.name)), None)
    vram, gtt = (seen.vram or 0) // MIB * MIB, (seen.gtt or 0) // MIB * MIB
    is_apu = row.is_unified if row else seen.is_apu or (0 < vram <= _CARVE_OUT and gtt > vram)
    # llama.cpp sees the larger of an APU's both as all there is (amdkfd).
    total, used = (gtt, seen.gtt_used) if is_apu and gtt > vram else (vram, seen.vram_used)
    kept = min(total, -(-used // MIB) * MIB)
    in_use = Reservation(size=kept, reason="in use", kind=ReservationKind.PROCESS)
    return Gpu(
        name=name,
        description=row.name if row else seen.name,
        total=total,
        free=total - kept,
        reserved=(in_use,) if kept else (),
        pci=seen.pci,
        pcie_generation_max=None if is_apu else seen.generation,
        pcie_width_max=None if is_apu else seen.width,
        is_unified=is_apu,
        gtt=gtt if is_apu and gtt else None,
        carve_out=vram if is_apu and vram else None,
        limit_source=f"amdgpu's mem_info files ({source}); {share_limits()['amd'].source}"
        if is_apu and gtt + vram
        else "",
    )


def _hex(text: str) -> int:
    """The number in a text such as "0x744c", 0 for another."""
    return int(text, 16) if re.fullmatch(r"(?:0x)?[0-9a-fA-F]{1,4}", text.strip()) else 0


def _count(text: str | None) -> int | None:
    """The whole number in a text, None where there is none."""
    return int(text) if text and re.fullmatch(r"\d{1,15}", text.strip()) else None

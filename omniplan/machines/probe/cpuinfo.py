"""What ``/proc/cpuinfo`` says of the processor, and py-cpuinfo where there is no such file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from omniplan.machines.probe.sysfs import read_text

# What ggml-cpu has kernels for (llama.cpp b11434, ggml/src/ggml-cpu/CMakeLists.txt), by the kernel's names.
FEATURES: Final = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512vbmi",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "amx_tile",
    "asimddp",
    "i8mm",
    "sve",
    "sve2",
)


def read_cpuinfo(root: Path = Path("/")) -> tuple[str, tuple[str, ...]]:
    """Brand and instruction sets from ``root``/proc/cpuinfo; empty where it does not say."""
    text = read_text(root / "proc/cpuinfo")
    brand = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    present = set(flags[1].split()) if flags else set()
    return tidy_brand(brand[1]) if brand else "", tuple(name for name in FEATURES if name in present)


def slow_brand() -> str:
    """The brand through py-cpuinfo (1 to 2 seconds); "" when it is not installed or does not know."""
    try:
        from cpuinfo import get_cpu_info
    except ImportError:
        return ""
    return tidy_brand(str(get_cpu_info().get("brand_raw", "")))


def tidy_brand(brand: str) -> str:
    """A CPU's name without trademark signs, clock and padding: "Intel(R) Xeon(R) Gold 6138 CPU @ 2.00GHz"."""
    plain = re.sub(r"\((?:R|TM|r|tm)\)", "", brand)
    plain = re.sub(r"\s+(?:CPU\s+)?@.*$|\s+\d+-Core Processor.*$|\s+\d+-Cores\s*$|\s+with Radeon.*$", "", plain)
    return " ".join(plain.split())

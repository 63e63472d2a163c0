"""What the page's controls offer, out of the shipped tables; ``make web`` writes it beside the page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from omniplan.domain.build import DEFAULT_NAME
from omniplan.gguf import read_header
from omniplan.llamacpp.flags.table import spellings
from omniplan.llamacpp.quant.table import quantize_rules
from omniplan.machines.cpus import cpu_rows
from omniplan.machines.files import load_machine, shipped
from omniplan.machines.gpus import gpu_rows
from omniplan.page.headers import catalogue
from omniplan.page.values import PageChoice, PageQuestion, PageTables
from omniplan.units import gib
from omniplan.version import __version__

# What people buy, in GB; more in words.
_MEMORIES: Final = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
_SLOTS: Final = (1, 2, 4, 8, 16, 32)
# As --headroom takes them.
_HEADROOMS: Final = {
    "default": "usual",
    "512": "512 MiB per GPU",
    "1024": "1 GiB per GPU",
    "2048": "2 GiB per GPU",
    "4096": "4 GiB per GPU",
    "5%": "5 % of each GPU",
    "10%": "10 % of each GPU",
}
_UBATCHES: Final = (128, 256, 512, 1024, 2048, 4096)
# What the page shows whoever comes without a link: a model and a machine that need a plan.
_START: Final = PageQuestion(model="gpt-oss-120b-MXFP4_MOE", machine="RTX 4090, Ryzen 9 9950X, 96 GB")


def page_tables() -> PageTables:
    """All of it; raises TableError."""
    return PageTables(
        version=__version__,
        build=DEFAULT_NAME,
        models=tuple(PageChoice(value=name, text=_size(path)) for name, path in catalogue().items()),
        gpus=tuple(PageChoice(value=row.name, text=gib(row.memory).replace(".00", "")) for row in gpu_rows()),
        cpus=tuple(PageChoice(value=row.name, text=f"{row.cores} cores") for row in cpu_rows()),
        memories=tuple(PageChoice(value=f"{size} GB RAM", text=f"{size:,} GB") for size in _MEMORIES),
        machines=tuple(PageChoice(value=name, text=load_machine(path).description) for name, path in shipped().items()),
        quants=tuple(
            PageChoice(value=mix.name, text=mix.name) for mix in quantize_rules().mixes.values() if not mix.rare
        ),
        cache_types=tuple(PageChoice(value=name, text=name) for name in spellings()["-ctk"].choices),
        slots=tuple(PageChoice(value=str(count), text=str(count)) for count in _SLOTS),
        ubatches=(
            *(PageChoice(value=str(size), text=f"{size:,}") for size in _UBATCHES),
            PageChoice(value="0", text="the fastest"),
        ),
        headrooms=tuple(PageChoice(value=value, text=text) for value, text in _HEADROOMS.items()),
        start=_START,
    )


def _size(path: Path) -> str:
    return gib(read_header(path).tensor_bytes)

"""Words that people use of machines: numbers, units, rates, what says nothing, and names of devices."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

from omniplan.errors import InputError
from omniplan.machines import cpus, gpus
from omniplan.machines.cpus import CpuRow
from omniplan.machines.gpus import GpuRow

NUMBERS: Final = {
    "single": 1, "one": 1, "dual": 2, "two": 2, "twin": 2, "pair of": 2, "three": 3, "triple": 3, "four": 4, "quad": 4,
    "six": 6, "eight": 8, "octa": 8, "twelve": 12,
    # German, French, Spanish
    "zwei": 2, "drei": 3, "vier": 4, "sechs": 6, "acht": 8, "deux": 2, "trois": 3, "quatre": 4, "huit": 8, "dos": 2,
    "tres": 3, "cuatro": 4, "seis": 6, "ocho": 8,
}  # fmt: skip
WORD_COUNT: Final = "|".join(NUMBERS)
UNIT: Final = r"(TB|TiB|To|T|GB|GiB|Gio|Gigs?|Go|G|MB|MiB|Mo)\b(?!/s)"
# JEDEC's and makers' transfer rates: a bare number behind a size of RAM is one of them.
RATES: Final = frozenset(
    map(
        int,
        "1333 1600 1866 2133 2400 2666 2667 2933 3000 3200 3466 3600 3733 4000 4266 4267 4400 4800 5200 5600 6000 6400 "
        "6800 7200 7467 7500 7600 8000 8400 8533 8800".split(),
    )
)
# Words around names that say nothing about what the machine is.
NOISE: Final = re.compile(
    r"(?:of|and|with|plus|on|in|at|a|an|the|de|my|each|ram|system|memory|sdram|dram|vram|ecc|reg|registered|rdimm|udimm"
    r"|lrdimm|sodimm|unified|shared|modded|mod|cards?|gpus?|cpus?|processors?|desktop|pc|server|workstation|rig|machine"
    r"|host|laptop|notebook|mac ?book(?: pro| air)?|mac (?:mini|studio|pro)|imac(?: pro)?|founders edition|fe|oc|mt/s"
    r"|mhz|nvlink|bridge|kit|cl\d{2}|vga compatible controller:?|sockets?|nvme|ssd|no igpu|igpu|mining|\(r\)|\(tm\)|®|™"
    r"|gddr\d\w?|hbm\d?e?|wsl ?\d?|mit|und|je|jeweils|arbeitsspeicher|hauptspeicher|speicher|prozessor|grafikkarten?"
    r"|et|avec|chacune|m[ée]moire|vive|processeur|cartes? graphiques?|con|y|memoria|procesador|tarjetas? gr[áa]ficas?"
    r"|(?:ubuntu|debian|fedora|arch|mint|cachyos|nixos|proxmox|unraid|linux|macos)(?: \d[\d.]*)?)(?![\w/.])",
    re.IGNORECASE,
)
SEPARATOR: Final = re.compile(r"[\s,;|&/+():=@]+|-(?!\d)")
# What follows a size that can only be RAM's.
OF_MEMORY: Final = re.compile(
    r"[\s,]*-?(?:of\s+|de\s+)*(?:LP)?(?:DDR|RAM\b|ECC|system|memory|main|m[ée]moire|memoria|\w*speicher|@\s?\d)",
    re.IGNORECASE,
)
# What is written in several ways: signs, laptops, a count glued to a number.
SAME: Final = (
    (re.compile(r"[×✕]"), "x"),  # noqa: RUF001
    (re.compile(r"\b(?:mobile|notebook)\b", re.IGNORECASE), "laptop"),
    (re.compile(r"(?<=\d{4})x(?=\d{1,2}\b)", re.IGNORECASE), " x"),
)
# A card's size and RAM's are told apart by what stands between: not by a blank.
APART: Final = re.compile(r"[,;|/\n]|\s[+&]\s|\b(?:and|with|plus|und|mit|et|avec|y|con)\b", re.IGNORECASE)
SIZED: Final = re.compile(r"\d\s*G(?:B|o)?$", re.IGNORECASE)
# Memory of a card in words.
VRAM: Final = (
    r"(?:(?:of|de)\s+)?(?:vram|video (?:memory|ram)|gpu (?:memory|ram)|graphics memory|grafikspeicher|videospeicher"
    r"|m[ée]moire vid[ée]o|memoria de v[ií]deo)\b"
)
# Longest name of a device, in words: "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition".
LONGEST: Final = 8
WORD: Final = re.compile(r"[^\s,;|()@=+]+(?:\+(?![A-Za-z\d]))?")
# What stands before a bare number: "4090", "7900 XTX".
_SERIES: Final = ("RTX", "GTX", "RX", "PRO")
# Words that begin a name: before another word they are the name of something that no table has.
FAMILIES: Final = re.compile(
    r"(?:G|R)TX|RX|Arc|Tesla|Quadro|Instinct|Jetson|Ryzen|EPYC|Core|Xeon|Threadripper", re.IGNORECASE
)


def devices(name: str) -> tuple[tuple[GpuRow, ...], CpuRow | None]:
    """GPUs and a processor called ``name``, a plural or a bare number too."""
    for word in dict.fromkeys((name, name.rstrip("+"), re.sub(r"(?<=[\dA-Za-z])s$", "", name))):
        rows = gpus.find_gpus(word) if gpus.key_of(word) else ()
        cpu = cpus.find_cpu(word)
        # A bare number may be a card's and a processor's, which whoever asks is told.
        if not rows and (word.isdecimal() or not cpu) and re.search(r"\d{2}", word):
            rows = next((found for series in _SERIES if (found := gpus.find_gpus(f"{series} {word}"))), ())
        if rows or cpu:
            return rows, cpu
    return (), None


def unknown(name: str) -> InputError:
    """The error of a name that no table has, with names that are near."""
    known = {other.lower(): other for other in (*gpus.known_names(), *cpus.known_names())}
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(known[item] for item in near)}?" if near else ""
    hint = hint or '; a card in no table is described as "unknown GPU 16 GB 448 GB/s"'
    return InputError(f"machine: {name[:60]!r} is no GPU, CPU or RAM in the tables{hint}")


def number_of(text: str) -> int:
    """A count in digits or words."""
    return NUMBERS.get(text.lower()) or int(text)

"""Several machines in words: "two Strix Halo over RPC", "RTX 4090, 64 GB, second machine: RTX 3090, 32 GB, 10 GbE"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Where the words of another machine begin.
_OTHER: Final = re.compile(
    r"[\s,;+]*\b(?:and\s+|with\s+)?(?:(?:a|one)\s+)?(?:(?:second|third|fourth|other|another|remote)\s+"
    r"(?:machine|host|computer|pc|box|server|node)|(?:rpc\s+)?host)\b\s*(?::|with\b|,)\s*",
    re.IGNORECASE,
)
# Bits per second of a network.
_LINK: Final = re.compile(
    r"\b(\d+(?:[.,]\d+)?)\s*(?:G(?:bit|bps|b)?(?:/s)?\s*(?:ethernet|lan|network|link)|GbE|Gbps|Gbit(?:/s)?)\b",
    re.IGNORECASE,
)
# The same in no figure, which only says that there are several.
_OVER: Final = re.compile(
    r"[\s,(]*\b(?:(?:over|via|using|through|connected\s+(?:by|over|with|via))\s+(?:a\s+|an\s+|the\s+)?(?:llama\.cpp\s+)?)?"
    r"(?:RPC|(?:USB-?4|Thunderbolt(?:\s?\d)?|Wi-?Fi|Infiniband|ethernet|local)?\s*\b(?:network|LAN|ethernet|Thunderbolt"
    r"(?:\s?\d)?|USB-?4|Wi-?Fi|Infiniband)(?:\s+(?:link|cable|switch))?)\b[\s:)]*",
    re.IGNORECASE,
)
# A link whose figure was taken out leaves its preposition.
_LEFT: Final = re.compile(r"[\s,(]*\b(?:over|via|using|through|by|with)\s*\)?\s*(?=[,;+]|$)", re.IGNORECASE)
# What a count before a card counts, where there is a network.
_BOXES: Final = re.compile(r"\b(?:PC|machine|box|computer|desktop|node|host)(?:e?s)?\b", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?:\b(?:at|on)\s+)?\b(\d{1,3}(?:\.\d{1,3}){3}:\d{1,5})\b")
_PORT: Final = 50052


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """The words of each machine, the first the main one; bytes per second between them, None where nobody said.

    ``counts_machines``: there is a network and one kind of machine, so that a count before a card counts machines.
    ``addresses`` are those of hosts, as far as they were said.
    """

    machines: tuple[str, ...]
    link: float | None
    counts_machines: bool
    addresses: tuple[str, ...]

    def address(self, index: int) -> str:
        """That of host ``index``, or a name that stands for it."""
        return self.addresses[index] if index < len(self.addresses) else f"host-{index + 2}:{_PORT}"


def apart(text: str) -> Several:
    """The words of each machine that ``text`` speaks of."""
    addresses = tuple(_ADDRESS.findall(text))
    links = _LINK.findall(text)
    plain = _OVER.sub(" ", _LINK.sub(" ", _ADDRESS.sub(" ", text)))
    is_network = plain != text
    parts = tuple(part.strip(" ,;+") for part in _OTHER.split(_LEFT.sub(" ", plain) if is_network else text))
    counts_machines = is_network and len(parts) == 1
    return Several(
        machines=tuple(_BOXES.sub(" ", part) for part in parts) if counts_machines else parts,
        link=float(links[0].replace(",", ".")) * 1e9 / 8 if links else None,
        counts_machines=counts_machines,
        addresses=addresses,
    )

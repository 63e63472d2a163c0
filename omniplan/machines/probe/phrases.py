"""Reads what people write of a machine, piece by piece from the left: sizes, counts, speeds, names of devices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from omniplan.errors import InputError
from omniplan.machines import gpus
from omniplan.machines.cpus import CpuRow
from omniplan.machines.gpus import GpuRow
from omniplan.machines.probe import vocabulary as known
from omniplan.machines.probe.said import Said, SaidGpu, in_bytes

_PLAIN_COUNT: Final = re.compile(r"(\d{1,2})\s+(?=\S)")


def read(text: str) -> Said:
    """What ``text`` says of a machine; raises InputError with the part that no table knows."""
    scanner = _Scanner(text)
    while scanner.at < len(scanner.text):
        scanner.step()
    scanner.said.drop_total()
    return scanner.said


class _Scanner:
    """One reading: the text, how far it has come, and what was said."""

    def __init__(self, text: str) -> None:
        for pattern, plain in known.SAME:
            text = pattern.sub(plain, text)
        self.text = text
        self.at = 0
        self.said = Said()
        self.count = 1
        self.last: SaidGpu | None = None
        self.last_end = 0
        self.after_memory = False
        self.is_laptop = False

    def step(self) -> None:
        """Take the piece at hand, by the first rule that knows it."""
        if match := known.SEPARATOR.match(self.text, self.at):
            self.at = match.end()
            return
        for pattern, rule in _RULES:
            match = pattern.match(self.text, self.at)
            if match is not None and rule(self, match):
                self.at = max(self.at, match.end())
                return
        if self._device() or self._counted():
            return
        if match := known.NOISE.match(self.text, self.at):
            self.is_laptop |= match[0].lower() in ("laptop", "notebook")
            self.at = match.end()
            return
        if not self._passed_over():
            raise known.unknown(self._rest())

    def _passed_over(self) -> bool:
        """A word before a device that names its maker or the box it is in, which is told."""
        start, word = self.at, known.WORD.match(self.text, self.at)
        if word is None or not word[0].isalpha() or known.FAMILIES.fullmatch(word[0]):
            return False
        end = start + len(self._rest())
        for following in known.WORD.finditer(self.text, word.end(), end):
            self.at = following.start()
            if self._device():
                self.said.notes.append(f"not read: {self.text[start : following.start()].strip()}")
                return True
        self.at = start
        return False

    def _rest(self) -> str:
        """What stands here up to the next comma."""
        return re.split(r"[,;\n]|\s[+]\s|\s(?:and|with)\s", self.text[self.at :])[0].strip()

    def _device(self) -> bool:
        """The longest run of words that names a device."""
        ends = [match.end() for match in list(known.WORD.finditer(self.text, self.at))[: known.LONGEST]]
        for end in reversed(ends):
            name = self.text[self.at : end].strip(" .-")
            if re.search(r"[,;\n]", name):
                continue
            rows, cpu = known.devices(name)
            if rows or cpu:
                self._take(name, rows, cpu)
                self.at = self.last_end = end
                return True
        return False

    def _take(self, name: str, rows: Sequence[GpuRow], cpu: CpuRow | None) -> None:
        if not 1 <= self.count <= 64:
            raise InputError(f"machine: {name[:60]!r}: expected 1 to 64 of them")
        if rows and cpu and not any(row.is_unified for row in rows):
            raise InputError(f"machine: {name[:60]!r}: it is two things; write {rows[0].name} or {cpu.name}")
        if cpu is not None:
            self.said.take_cpu(cpu, 1 if rows else self.count, name)
            self.last = None
        if self.is_laptop:
            rows = [other for row in rows for other in gpus.find_gpus(f"{row.name} laptop")] or rows
        if rows:
            self.last = SaidGpu(rows=tuple(rows), text=name, count=self.count)
            if known.SIZED.search(name):
                self.last.size = rows[0].memory
            self.said.gpus.append(self.last)
        self.count, self.after_memory = 1, False

    def _counted(self) -> bool:
        """A plain number before a device: "3 RTX 3090"."""
        match = _PLAIN_COUNT.match(self.text, self.at)
        if match is None or self.count != 1:
            return False
        start, self.at, self.count = self.at, match.end(), int(match[1])
        if self._device():
            return True
        self.at, self.count = start, 1
        return False


# Rules: each takes a match, and says whether it was meant.


def _no_gpu(_: _Scanner, __: re.Match[str]) -> bool:
    return True


def _nps(scanner: _Scanner, match: re.Match[str]) -> bool:
    scanner.said.nps = int(match[1])
    return True


def _windows(scanner: _Scanner, _: re.Match[str]) -> bool:
    scanner.said.is_windows = True
    return True


def _display(scanner: _Scanner, _: re.Match[str]) -> bool:
    if scanner.last is not None:
        scanner.last.is_display = True
    return scanner.last is not None


def _bandwidth(scanner: _Scanner, match: re.Match[str]) -> bool:
    if scanner.last is None:
        return False
    scanner.last.bandwidth = float(match[1].replace(",", ".")) * (1e12 if match[2].lower() == "t" else 1e9)
    return True


def _link(scanner: _Scanner, match: re.Match[str]) -> bool:
    for gpu in scanner.said.gpus:
        gpu.pcie, gpu.lanes = int(match[1]), int(match[2]) if match[2] else None
    return True


def _channels(scanner: _Scanner, match: re.Match[str]) -> bool:
    scanner.said.channels = known.number_of(match[1])
    return True


def _unknown_gpu(scanner: _Scanner, match: re.Match[str]) -> bool:
    scanner.last = SaidGpu(rows=(), text=match[0], count=scanner.count)
    scanner.said.gpus.append(scanner.last)
    scanner.count = 1
    return True


def _vram(scanner: _Scanner, match: re.Match[str]) -> bool:
    """A size of video memory: that of the card just named, or of all so far, else of one in no table."""
    count, number, unit = match.groups()[:3] if match[2] else (None, match[4], match[5])
    size = in_bytes(number, unit)
    if scanner.said.has_in_all(size):
        return True
    scanner.count = int(count or scanner.count)
    if scanner.last is None or not scanner.last.takes(size, is_sure=True):
        _unknown_gpu(scanner, match)
        assert scanner.last is not None
        scanner.last.size = size
    return True


def _size(scanner: _Scanner, match: re.Match[str]) -> bool:
    """A size: of modules, of the card just named, or of RAM."""
    if any(known.devices(match[0])):
        # "5600G" is a processor.
        return False
    count, number, unit = match.groups()
    size = in_bytes(number, unit)
    is_memory = count or known.OF_MEMORY.match(scanner.text, match.end())
    is_apart = known.APART.search(scanner.text, scanner.last_end, match.start()) is not None
    if scanner.last is not None and not is_memory and scanner.last.takes(size, is_sure=False, is_apart=is_apart):
        return True
    scanner.said.take_memory((int(count) if count else 1) * size, match[0])
    scanner.last, scanner.after_memory = None, True
    return True


def _bare_size(scanner: _Scanner, match: re.Match[str]) -> bool:
    """A number behind a card that is one of the sizes it comes in: "RTX 5060 Ti 16"."""
    gpu, size = scanner.last, in_bytes(match[1], "G")
    return gpu is not None and gpu.comes_in(size) and gpu.takes(size, is_sure=True)


def _kind(scanner: _Scanner, match: re.Match[str]) -> bool:
    if match[1]:
        scanner.said.speed_mts = int(match[1])
    scanner.after_memory = True
    return True


def _rate(scanner: _Scanner, match: re.Match[str]) -> bool:
    scanner.said.speed_mts = int(match[1])
    return True


def _bare_rate(scanner: _Scanner, match: re.Match[str]) -> bool:
    if not scanner.after_memory or int(match[1]) not in known.RATES or scanner.said.speed_mts:
        return False
    scanner.said.speed_mts = int(match[1])
    return True


def _before(scanner: _Scanner, match: re.Match[str]) -> bool:
    scanner.count = known.number_of(match[1])
    return True


def _behind(scanner: _Scanner, match: re.Match[str]) -> bool:
    """``x3`` behind a card, or behind a processor."""
    if scanner.last is not None:
        scanner.last.count = int(match[1])
    elif scanner.said.cpu is not None:
        scanner.said.sockets = int(match[1])
    return scanner.last is not None or scanner.said.cpu is not None


def _form(scanner: _Scanner, match: re.Match[str]) -> bool:
    """How a card is built, behind its size: "A100 80GB SXM"."""
    gpu = scanner.last
    if gpu is not None:
        gpu.rows = tuple(row for row in gpu.rows if match[1].lower() in row.name.lower()) or gpu.rows
    return gpu is not None


def _laptop(scanner: _Scanner, _: re.Match[str]) -> bool:
    """``laptop`` behind a card's size: the other card of that name."""
    gpu = scanner.last
    rows = tuple(row for found in (gpu.rows if gpu else ()) for row in gpus.find_gpus(f"{found.name} laptop"))
    if gpu is not None and rows:
        gpu.rows, size, gpu.size = rows, gpu.size, None
        if size is not None:
            gpu.takes(size, is_sure=True)
    return bool(rows)


Rule = Callable[[_Scanner, re.Match[str]], bool]


def _rules() -> Iterator[tuple[re.Pattern[str], Rule]]:
    number = r"(\d{1,6}(?:[.,]\d{1,2})?)"
    for pattern, rule in (
        (r"(?:no|without(?: an?)?) (?:dedicated |discrete )?gpu\b|cpu[- ]only\b", _no_gpu),
        (r"NPS\s?-?([124])\b", _nps),
        (r"\(?\s*display\s*\)?", _display),
        (r"(?:microsoft\s+)?windows(?:\s*(?:7|8(?:\.1)?|1[01])\b)?(?:\s+(?:home|pro(?:fessional)?)\b)?", _windows),
        (rf"{number}\s*([GT])(?:i?B|B)?/s", _bandwidth),
        (r"(?:PCI-?e?x?(?:press)?|gen)\s*(?:gen\s*)?(\d)(?:\.0)?\s*(?:x\s*(\d{1,2})\b)?", _link),
        (rf"(\d{{1,2}}|{known.WORD_COUNT})[- ]?(?:ch|channels?)\b", _channels),
        (r"\d{1,3}[- ]?(?:cores?|threads?)\b|\d(?:\.\d+)?\s*GHz", _no_gpu),
        (r"(?:unknown|other|unlisted|some)\s+(?:gpu|card)\b", _unknown_gpu),
        (
            rf"(?:(\d{{1,2}})\s*[x*]\s*)?{number}\s*{known.UNIT}\s*{known.VRAM}|{known.VRAM}\s*:?\s*{number}\s*{known.UNIT}",
            _vram,
        ),
        (rf"(?:(\d{{1,2}})\s*[x*]\s*)?{number}\s*{known.UNIT}", _size),
        (r"(\d{1,3})\b(?!\s*[x*.,/-]?\s*[\w])", _bare_size),
        (r"(?:LP)?DDR\d[XLR]?(?:[- ]?(\d{3,5})\b)?", _kind),
        (r"(\d{3,5})\s*(?:MT/s|MTs|MHz)\b", _rate),
        (r"(?<=@)\s?(\d{4,5})\b", _rate),
        (r"(\d{4,5})\b(?!\s*(?:XT|Ti|Super|X3D|X\b|D\b))", _bare_rate),
        (r"(\d{1,3})\s*[x*]\s*(?=[A-Za-z\d])", _before),
        (rf"({known.WORD_COUNT})\s+(?=\S)", _before),
        (r"[x*]\s?(\d{1,2})\b", _behind),
        (r"laptop\b", _laptop),
        (r"(SXM|PCIe|NVL)\d?\b", _form),
    ):
        yield re.compile(pattern, re.IGNORECASE), rule


_RULES: Final[tuple[tuple[re.Pattern[str], Rule], ...]] = tuple(_rules())

"""Shared objects that ask for a newer C library only by the C23 names of old functions, made to load with an older.

A compiler set to C23 turns ``strtol`` into ``__isoc23_strtol``, which glibc has since 2.38; they differ only in reading
"0b" as a prefix. The old name is the end of the new one, so a symbol is renamed by moving its offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from omniplan.errors import InputError

# elf.h, 64 bits, little-endian.
_MAGIC: Final = b"\x7fELF\x02\x01"
_SECTIONS: Final = Struct("<40xQ10xHH")  # Elf64_Ehdr: e_shoff, e_shentsize, e_shnum
_SECTION: Final = Struct("<4xI16xQQII8xQ")  # Elf64_Shdr: sh_type, sh_offset, sh_size, sh_link, sh_info, sh_entsize
_SYMBOL: Final = Struct("<I2xH16x")  # Elf64_Sym: st_name, st_shndx
_NEED: Final = Struct("<2xH4xII")  # Elf64_Verneed: vn_cnt, vn_aux, vn_next
_ASKED: Final = Struct("<4xHHII")  # Elf64_Vernaux: vna_flags, vna_other, vna_name, vna_next
_WORD: Final = Struct("<H")
_OFFSET: Final = Struct("<I")
_DYNAMIC_SYMBOLS, _VERSIONS, _NEEDS = 11, 0x6FFFFFFF, 0x6FFFFFFE
_UNDEFINED, _ANY_VERSION, _WEAK = 0, 1, 2
_FLAGS_AT: Final = 4  # vna_flags behind vna_hash
_PREFIX: Final = b"__isoc23_"


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int
    count: int
    step: int


def relaxed(data: bytes) -> bytes:
    """The object ``data`` with the old names; the same bytes when it asks for none of the new ones.

    Raises InputError for what is no shared object of 64 bits.
    """
    if not data.startswith(_MAGIC):
        raise InputError("is no shared object of 64 bits for Linux; name a libllama.so or libggml.so")
    try:
        return _relaxed(data)
    except (error, IndexError, ValueError, StopIteration) as problem:
        raise InputError(f"is a damaged shared object: {problem}") from problem


def _relaxed(data: bytes) -> bytes:
    offset, step, count = _SECTIONS.unpack_from(data)
    sections = [_Section(*_SECTION.unpack_from(data, offset + i * step)) for i in range(count)]
    by_kind = {section.kind: section for section in sections}
    if not {_DYNAMIC_SYMBOLS, _VERSIONS, _NEEDS} <= by_kind.keys():
        return data
    symbols, versions, needs = (by_kind[kind] for kind in (_DYNAMIC_SYMBOLS, _VERSIONS, _NEEDS))
    names = sections[symbols.link].offset
    changed, renamed, kept = bytearray(data), set[int](), set[int]()
    for i in range(symbols.size // _SYMBOL.size):
        at = symbols.offset + i * _SYMBOL.size
        name, section = _SYMBOL.unpack_from(data, at)
        version = versions.offset + i * _WORD.size
        (asked,) = _WORD.unpack_from(data, version)
        if section == _UNDEFINED and data.startswith(_PREFIX, names + name):
            _OFFSET.pack_into(changed, at, name + len(_PREFIX))
            _WORD.pack_into(changed, version, _ANY_VERSION)
            renamed.add(asked)
        else:
            kept.add(asked)
    for at, index in _asked(data, needs):
        # A version that nothing else is asked of may be missing.
        if index in renamed - kept:
            _WORD.pack_into(changed, at + _FLAGS_AT, _WEAK)
    return bytes(changed)


def _asked(data: bytes, needs: _Section) -> Iterator[tuple[int, int]]:
    """Where each version that is asked of another object stands, and its index."""
    at = needs.offset
    for _ in range(needs.count):
        count, first, following = _NEED.unpack_from(data, at)
        aux = at + first
        for _ in range(count):
            _, index, _, step = _ASKED.unpack_from(data, aux)
            yield aux, index
            aux += step
        at += following

"""Shared objects made to load with an older C library."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.certify.elf import relaxed
from omniplan.errors import InputError

_SYMBOL = struct.Struct("<IBBHQQ")
_NAMES = b"\0__isoc23_strtol\0puts\0GLIBC_2.38\0GLIBC_2.2.5\0libc.so.6\0"


def written(*, others: bytes = b"puts") -> bytes:
    """An object that asks for ``__isoc23_strtol`` of version 2, and for ``puts`` of version 3 or of that one, too."""
    symbols = b"".join(
        _SYMBOL.pack(name, 0x12, 0, 0, 0, 0) for name in (0, _NAMES.index(b"__isoc23"), _NAMES.index(b"puts"))
    )
    versions = struct.pack("<HHH", 0, 2, 3 if others == b"puts" else 2)
    asked = [struct.pack("<IHHII", 0, 0, index, 0, 16 if index == 2 else 0) for index in (2, 3)]
    needs = struct.pack("<HHIII", 1, 2, 0, 16, 0) + b"".join(asked)
    offset, parts, sections = 64, b"", []
    for kind, data, link, info in (
        (11, symbols, 1, 0), (3, _NAMES, 0, 0), (0x6FFFFFFF, versions, 0, 0), (0x6FFFFFFE, needs, 1, 1)
    ):  # fmt: skip
        sections.append(struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, offset + len(parts), len(data), link, info, 1, 0))
        parts += data
    head = b"\x7fELF\x02\x01".ljust(40, b"\0") + struct.pack("<QIHHHHHH", offset + len(parts), 0, 64, 0, 0, 64, 4, 0)
    return head + parts + b"".join(sections)


def asked(data: bytes) -> tuple[bytes, list[int], list[int]]:
    """The first symbol's name, versions of symbols, flags of versions asked for."""
    symbols, names = 64, 64 + 3 * _SYMBOL.size
    (start,) = struct.unpack_from("<I", data, symbols + _SYMBOL.size)
    versions = names + len(_NAMES)
    flags = [struct.unpack_from("<H", data, versions + 6 + 16 + 16 * i + 4)[0] for i in range(2)]
    return data[names + start :].split(b"\0")[0], [*struct.unpack_from("<HHH", data, versions)], flags


def test_new_names_become_the_old_ones_of_any_version() -> None:
    """And the version that only they asked for may be missing; every other byte stays."""
    data = written()

    assert asked(data) == (b"__isoc23_strtol", [0, 2, 3], [0, 0])
    assert asked(relaxed(data)) == (b"strtol", [0, 1, 3], [2, 0])
    assert sum(a != b for a, b in zip(data, relaxed(data), strict=True)) == 3
    assert relaxed(relaxed(data)) == relaxed(data)


def test_a_version_that_others_need_stays_asked_for() -> None:
    """The loader then says what is missing, instead of the program crashing later."""
    assert asked(relaxed(written(others=b"strlcpy"))) == (b"strtol", [0, 1, 2], [0, 0])


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(80)])
def test_anything_else_is_refused(data: bytes) -> None:
    """A script and an object of 32 bits are named as what they are not."""
    with pytest.raises(InputError, match="no shared object of 64 bits"):
        relaxed(data)


@given(st.data())
def test_damaged_objects_are_one_line(data: st.DataObject) -> None:
    """Cut anywhere or with any byte changed: bytes come back, or one line."""
    whole = written()
    cut = bytearray(whole[: data.draw(st.integers(6, len(whole)))])
    cut[data.draw(st.integers(6, len(cut) - 1)) if len(cut) > 6 else 0] ^= data.draw(st.integers(0, 255))
    with suppress(InputError):
        assert len(relaxed(bytes(cut))) == len(cut)

"""Logs of every generation, in any wrapper and in any state: what they state is read, and nothing ends in a crash."""

from __future__ import annotations

import io
import json
import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.documents import record
from omniplan.verify.expected import Expected
from omniplan.verify.logs import parse_stream
from omniplan.verify.logs.lines import process_of
from omniplan.verify.logs.report import LoadReport
from omniplan.verify.logs.table import log_rows
from omniplan.verify.verify import verify
from tests.log_writer import ERAS, WRAPPERS, render, stated
from tests.property.log_strategies import reports
from tests.property.strategies import examples


def read(data: bytes) -> LoadReport:
    return parse_stream(io.BytesIO(data), source="")


@pytest.mark.parametrize("era", ERAS.values(), ids=ERAS)
@examples(15)
@given(data=st.data())
def test_a_rendered_report_reads_back(era: object, data: st.DataObject) -> None:
    """What a generation prints is what is read, whatever wraps the lines."""
    report = data.draw(reports(era))  # type: ignore[arg-type]
    wrapper = data.draw(st.sampled_from(sorted(WRAPPERS)))

    found = read(WRAPPERS[wrapper](render(report, era)))  # type: ignore[arg-type]

    assert stated(report) == stated(found)


@examples(15)
@given(data=st.data())
def test_interleaved_processes_are_kept_apart(data: st.DataObject) -> None:
    """Lines of two processes mixed in any order, each in its own, read as the two logs do."""
    era = ERAS["b11434"]
    both = [data.draw(reports(era)) for _ in range(2)]
    logs = [render(report, era) for report in both]
    order = data.draw(st.randoms(use_true_random=False))
    rest = [list(lines) for lines in logs]
    mixed = []
    while any(rest):
        index = order.choice([i for i, lines in enumerate(rest) if lines])
        mixed.append(f"[{4000 + index}] {rest[index].pop(0)}")

    found = read("\n".join(mixed).encode())

    assert [stated(report.loads[0]) for report in both] == [
        stated(load) for load in sorted(found.loads, key=lambda load: load.process)
    ]


@examples(40)
@given(data=st.data(), seed=st.integers(0, 1 << 16))
def test_damaged_logs_give_what_is_left(data: st.DataObject, seed: int) -> None:
    """A prefix, a shuffle or garbled bytes of a log give a report of what was found, and a verdict."""
    era = data.draw(st.sampled_from(list(ERAS.values())))
    wrapper = data.draw(st.sampled_from(sorted(WRAPPERS)))
    lines = render(data.draw(reports(era)), era)
    whole = WRAPPERS[wrapper](lines)
    damage = data.draw(st.sampled_from(("prefix", "shuffle", "garble", "repeat", "numbers")))

    found = read(_damaged(whole, damage, random.Random(seed)))

    verify(found, Expected())
    assert found.to_json()
    assert found.n_recognised <= found.n_lines * 2 + 2


def _damaged(whole: bytes, damage: str, noise: random.Random) -> bytes:
    if damage == "prefix":
        return whole[: noise.randrange(len(whole) + 1)]
    lines = whole.split(b"\n")
    if damage == "shuffle":
        noise.shuffle(lines)
        return b"\n".join(lines)
    if damage == "repeat":
        return b"\n".join(noise.choices(lines, k=3 * len(lines)))
    if damage == "numbers":
        return bytes(
            noise.choice(b"0123456789") if 48 <= byte < 58 and noise.random() < 0.2 else byte for byte in whole
        )
    data = bytearray(whole)
    for _ in range(noise.randrange(1, 200)):
        data[noise.randrange(len(data))] = noise.randrange(256)
    return bytes(data)


@examples(20)
@given(data=st.binary(max_size=4000))
def test_anything_else_states_nothing(data: bytes) -> None:
    """Bytes that are no log are no error either."""
    assert read(data).n_recognised <= data.count(b"\n") + 1


def test_a_line_without_end_is_read_in_bounded_memory() -> None:
    """A file of one line of many megabytes counts as one line."""
    found = read(b"A" * (8 << 20))

    assert (1, 0) == (found.n_lines, found.n_recognised)


PIECES = (
    "1",
    "1:",
    "a ",
    "A",
    "  ",
    "| _ ",
    "[1",
    "CUDA0 ",
    "0.00 MiB ",
    "1 = 1 + (",
    "x.",
    "2026-",
    "a|",
    "-m ",
    "\t",
)


@examples(40)
@given(data=st.data())
def test_no_line_makes_a_pattern_hang(data: st.DataObject) -> None:
    """A line of two thousand characters out of pieces of real ones costs each pattern milliseconds, not seconds."""
    row = data.draw(st.sampled_from([row for rows in log_rows().values() for row in rows]))
    pieces = data.draw(st.lists(st.sampled_from((*PIECES, row.contains)), min_size=1, max_size=3))
    line = (f"{row.contains} {''.join(pieces) * 2000}")[: min(row.longest, 4000)]

    start = time.process_time()
    row.pattern.search(line)
    process_of(line)

    assert time.process_time() - start < 0.5


def test_a_report_survives_its_own_json() -> None:
    """The report as JSON reads back as the same report."""
    era = ERAS["b11434"]
    report = read("\n".join(render(_example(), era)).encode())

    assert report == record.read(LoadReport, json.loads(report.to_json()))


def _example() -> LoadReport:
    from tests.diary import glm

    return replace(glm(), source="")

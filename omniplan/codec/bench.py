"""Benchmark reports: JSON back to a BenchReport."""

from __future__ import annotations

from pathlib import Path

from omniplan.codec.document import parse_document
from omniplan.codec.text_file import read_utf8
from omniplan.domain.bench import BENCH_VERSION, BenchReport


def load_bench(path: str | Path) -> BenchReport:
    """The report that ``omniplan bench --json`` wrote at ``path``."""
    return parse_document(
        read_utf8(path), BenchReport, version=BENCH_VERSION, where=str(path), written_by="omniplan bench URL --json"
    )

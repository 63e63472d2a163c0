"""Benchmark reports: JSON back to a BenchReport."""

from __future__ import annotations

from pathlib import Path

from omniplan.bench.values import BENCH_VERSION, BenchReport
from omniplan.documents.document import parse_document
from omniplan.documents.text_file import read_utf8


def load_bench(path: str | Path) -> BenchReport:
    """The report that ``omniplan bench --json`` wrote at ``path``."""
    return parse_document(read_utf8(path), BenchReport, version=BENCH_VERSION, where=str(path), verb="bench")

"""Benchmark reports: JSON back to a BenchReport."""

from __future__ import annotations

from pathlib import Path

from omniplan.codec.document import parse_document
from omniplan.domain.bench import BENCH_VERSION, BenchReport
from omniplan.errors import InputError


def load_bench(path: str | Path) -> BenchReport:
    """The report that ``omniplan bench --json`` wrote at ``path``."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return parse_document(
        text, BenchReport, version=BENCH_VERSION, where=str(path), written_by="omniplan bench URL --json"
    )

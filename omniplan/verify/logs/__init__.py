"""Reading llama.cpp's logs: a file, a stream or lines at hand, to a ``LoadReport``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from omniplan.errors import InputError
from omniplan.verify.logs.collect import Collector
from omniplan.verify.logs.lines import numbered
from omniplan.verify.logs.report import LoadReport

__all__ = ["parse_log", "read_log"]


def read_log(path: str | Path) -> LoadReport:
    """What the log at ``path``, "-" for standard input, says.

    Reads in one pass with bounded memory, whatever the size. Raises InputError where it cannot be read or states no
    fact of llama.cpp's.
    """
    if str(path) == "-":
        return _checked(parse_stream(sys.stdin.buffer, source="standard input"))
    try:
        with Path(path).open("rb") as stream:
            report = parse_stream(stream, source=str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _checked(report)


def parse_log(lines: Iterable[str], *, source: str = "log") -> LoadReport:
    """The same of lines at hand; raises InputError where they state no fact."""
    collector = Collector()
    collector.take(enumerate((line.rstrip("\r\n") for line in lines), 1))
    return _checked(collector.finish(source))


def parse_stream(stream: BinaryIO, *, source: str) -> LoadReport:
    """The same of a stream of bytes, and a report without facts where it states none."""
    collector = Collector()
    collector.take(numbered(stream))
    return collector.finish(source)


def _checked(report: LoadReport) -> LoadReport:
    # A command line alone may stand in any document.
    if not report.n_recognised - report.facts.get("command", 0):
        raise InputError(
            f"{report.source}: none of its {report.n_lines:,} lines is one that llama.cpp prints while it loads or "
            "measures; give the standard error of llama-server, llama-cli, llama-bench or llama-fit-params"
        )
    return report

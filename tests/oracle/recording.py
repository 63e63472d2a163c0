"""Asks the library for many cases at once, says what differs from ours, and writes down what it answered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.oracle.cases import Case


def record(
    cases: Sequence[Case],
    names: Sequence[str],
    path: Path,
    *,
    label: Callable[[Case], str],
    ask: Callable[[Case], Case],
    differences: Callable[[Case], Sequence[str]],
) -> int:
    """Ask for ``cases``, or those with one of ``names`` in their label; all go to ``path``. 1 when any differs."""
    chosen = [case for case in cases if not names or any(name in label(case) for name in names)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(ask, chosen))
    wrong = {label(row): lines for row in rows if (lines := differences(row))}
    refused = sum("error" in row for row in rows)
    print(f"{len(rows) - len(wrong)} of {len(rows)} agree in every figure, {refused} of them refused")
    for name, lines in wrong.items():
        print(f"{name}:", *lines, sep="\n  ")
    if not names:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return int(bool(wrong))

"""Read every log in a folder and hold it against its own text, and against expected values where there are any.

    python benchmarks/logs.py FOLDER [EXPECTED.jsonl]
    python benchmarks/logs.py --speed [MEGABYTES]

The text is searched once more by a plain expression for each kind of buffer, apart from the parser's table. A line of
EXPECTED is a JSON object with ``id`` (as in a log's ``#META id=`` line), ``buffers`` in MiB by kind and device, and
``n_ctx``, ``arch``, ``offloaded_layers``, ``graph_nodes``, ``eval_tps`` where known.
"""

from __future__ import annotations

import io
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from omniplan.domain.prediction import Phase
from omniplan.units import MIB
from omniplan.verify.expected import Expected
from omniplan.verify.logs import parse_stream, read_log
from omniplan.verify.logs.report import BufferKind, Load, LoadReport
from omniplan.verify.verify import verify

_KINDS: Final = {
    "model": BufferKind.MODEL,
    "kv": BufferKind.KV,
    "rs": BufferKind.RECURRENT,
    "compute": BufferKind.COMPUTE,
    "output": BufferKind.OUTPUT,
}
_WORDS: Final = {"model": "model ", "kv": "KV ", "rs": "RS ", "compute": "compute ", "output": "output "}
_ROUNDING: Final = MIB // 50


def check(path: Path, expected: dict[str, Any]) -> Iterator[str]:
    """Disagreements of one log: between report and text, and between report and expected values."""
    text = path.read_text(encoding="utf-8", errors="replace")
    report = read_log(path)
    verify(report, Expected())
    load = report.load
    if load is None:
        yield "no load found"
        return
    found = Counter({kind: sum(_all(report, kind).values()) for kind in _KINDS})
    for kind, word in _WORDS.items():
        pattern = rf"[\w\]]+ +{word}buffer size = +([\d.]+) MiB"
        stated = sum(round(float(size) * MIB) for size in re.findall(pattern, text))
        if abs(stated - found[kind]) > _ROUNDING:
            yield f"{kind}: the text states {stated / MIB:.2f} MiB, the report {found[kind] / MIB:.2f}"
    yield from _against(load, report, expected)


def _all(report: LoadReport, kind: str) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for load in report.loads:
        contexts = [buffer for context in load.contexts for buffer in context.buffers]
        for buffer in (*load.buffers, *contexts):
            if buffer.kind is _KINDS[kind]:
                sizes[buffer.device] += buffer.size
    return sizes


def _against(load: Load, report: LoadReport, expected: dict[str, Any]) -> Iterator[str]:
    for kind, sizes in expected.get("buffers", {}).items():
        own = load.sizes(_KINDS[kind])
        for device, mib in sizes.items():
            if abs(own.get(device, 0) - mib * MIB) > _ROUNDING:
                yield f"{kind} on {device}: expected {mib} MiB, the report has {own.get(device, 0) / MIB:.2f}"
    for name, value in _facts(load, report).items():
        known = expected.get(name)
        if known is not None and value is not None and str(known) != str(value):
            yield f"{name}: expected {known}, the report has {value}"


def _facts(load: Load, report: LoadReport) -> dict[str, object]:
    context = load.contexts[0] if load.contexts else None
    rates = [timing.rate for timing in report.timings if timing.phase is Phase.DECODE]
    offloaded = None if load.offloaded is None else f"{load.offloaded}/{load.offloadable}"
    return {
        "arch": load.model.architecture or None,
        "n_ctx": context.settings.get("n_ctx") if context else None,
        "n_ubatch": context.settings.get("n_ubatch") if context else None,
        "graph_nodes": context.n_nodes if context else None,
        "offloaded_layers": offloaded,
        "eval_tps": rates[-1] if rates else None,
        "n_tensors": load.model.n_tensors,
    }


def speed(megabytes: int) -> str:
    """Seconds and peak memory for a log of that size: a load, then requests, all lines different."""
    import resource

    lines = ["load_tensors: CUDA0 model buffer size = 100.00 MiB\n", "llama_context: n_ctx = 4096\n"]
    block, size, number = io.BytesIO(), 0, 0
    while size < megabytes * 1_000_000:
        number += 1
        task = f"0.{number % 60:02d}.{number % 1000:03d}.001 I slot update_slots: id  0 | task {number} | "
        lines += [f"{task}new prompt, n_ctx_slot = 4096, n_keep = 0, task.n_tokens = {number}\n"] * 4
        rate = f"( 190.00 ms per token, {number % 97}.26 tokens per second)"
        lines.append(f"{task}eval time = 1900.00 ms / 10 tokens {rate}\n")
        size += block.write("".join(lines).encode())
        lines = []
    block.seek(0)
    start = time.process_time()
    report = parse_stream(block, source="speed")
    took = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - size / 1e6
    return f"{size / 1e6:.0f} MB, {report.n_lines:,} lines: {took:.2f} s, {peak:.0f} MB beside the log itself"


def main(argv: list[str]) -> int:
    if argv[:1] == ["--speed"]:
        sys.stdout.write(speed(int(argv[1]) if len(argv) > 1 else 100) + "\n")
        return 0
    folder, known = Path(argv[0]), {}
    if len(argv) > 1:
        rows = map(json.loads, Path(argv[1]).read_text(encoding="utf-8").splitlines())
        known = {row["id"]: row for row in rows}
    wrong = 0
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    for path in paths:
        name = re.search(r"#META id=(\S+)", path.read_text(encoding="utf-8", errors="replace"))
        expected = known.get(name[1], {}) if name else {}
        problems = list(check(path, expected))
        wrong += bool(problems)
        sys.stdout.write(f"{path.name}: {'; '.join(problems) or 'as it says'}{'' if expected else ' (text only)'}\n")
    sys.stdout.write(f"{len(paths) - wrong} of {len(paths)} logs read as they say\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

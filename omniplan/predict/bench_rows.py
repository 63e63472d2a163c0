"""What ``llama-bench -o json`` prints, as measured speeds with llama-server's arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from omniplan.documents.column import LARGEST
from omniplan.domain.model import Model
from omniplan.errors import InputError
from omniplan.predict.calibrate import MeasuredSpeed

# llama-bench's model_size against the header's bytes.
_SAME_SIZE: Final = 0.03
# Columns whose text is what llama-server's flag takes, but for what stands between the items of a list.
_COLUMNS: Final = {
    "n_gpu_layers": "-ngl", "n_batch": "-b", "n_ubatch": "-ub", "n_threads": "-t", "type_k": "-ctk", "type_v": "-ctv",
    "split_mode": "-sm", "main_gpu": "-mg", "n_cpu_moe": "-ncmoe", "tensor_buft_overrides": "-ot",
    "load_mode": "--load-mode", "lazy_mode": "-lzm", "devices": "-dev",
}  # fmt: skip
_SWITCHES: Final = {"no_kv_offload": "-nkvo", "no_op_offload": "--no-op-offload", "no_host": "--no-host"}
# What a column holds where nothing was said.
_NOTHING: Final = frozenset({"", "None", "0", "none", "auto"})
_UNSAID: Final = {"n_gpu_layers": frozenset({"", "None"}), "load_mode": frozenset({"", "auto"})}
# What stands between the items of a list.
_BETWEEN: Final = {"devices": "/", "tensor_buft_overrides": ";"}


class BadRows(Exception):
    """What llama-bench printed is not what it prints; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSpeed:
    """One test: tokens per second, how far its repetitions lie from that as a share, the build that ran it, the day."""

    rate: float
    scatter: float
    build: str
    date: str


def read_speed(text: bytes) -> BenchSpeed:
    """The one test that ``llama-bench -o json`` printed; raises BadRows.

    The rate is the middle of its repetitions: the first is often slow, and llama-bench's own mean has it in.
    """
    try:
        (row,) = json.loads(text)
        rates = [float(rate) for rate in row["samples_ts"]]
        build, date = f"b{int(row['build_number'])}", str(row["test_time"])[:10]
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise BadRows(f"not the row of one test: {str(error)[:80]}") from error
    if not rates or not all(0 < rate < LARGEST for rate in rates):
        raise BadRows(f"its repetitions run at {str(rates)[:80]} tokens per second")
    rate = median(rates)
    return BenchSpeed(rate=rate, scatter=(max(rates) - min(rates)) / rate / 2, build=build, date=date)


def bench_runs(rows: Iterable[Mapping[str, Any]], model: Model) -> list[MeasuredSpeed]:
    """Runs of ``llama-bench -o json``; mixed tests (pp+tg) are skipped, another model's rows raise InputError."""
    own = model.header.tensor_bytes
    runs = []
    for index, row in enumerate(rows):
        try:
            size, n_prompt, n_gen = int(row["model_size"]), int(row["n_prompt"]), int(row["n_gen"])
            rate = float(row["avg_ts"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"row {index}: not a row of llama-bench -o json: {error!r}") from error
        if abs(size / own - 1) > _SAME_SIZE:
            raise InputError(f"row {index}: model_size {size:,} expected this model's {own:,}")
        if rate <= 0:
            raise InputError(f"row {index}: avg_ts is {rate}, expected tokens per second above 0")
        if bool(n_prompt) != bool(n_gen):
            runs.append(
                MeasuredSpeed(
                    label=f"{'pp' if n_prompt else 'tg'}{n_prompt or n_gen} in row {index}",
                    args=_bench_args(row, n_prompt + n_gen),
                    n_prompt=n_prompt,
                    n_gen=n_gen,
                    depth=int(row.get("n_depth") or 0),
                    rate=rate,
                    date=str(row.get("test_time") or "")[:10],
                )
            )
    return runs


def _bench_args(row: Mapping[str, Any], n_tokens: int) -> tuple[str, ...]:
    """llama-server's arguments for a llama-bench row."""
    args = ["-c", str(n_tokens + int(row.get("n_depth") or 0)), "-np", "1", "--fit", "off"]
    for key, flag in _COLUMNS.items():
        text = str(row.get(key, "")).strip()
        if text not in _UNSAID.get(key, _NOTHING):
            args += [flag, text.replace(_BETWEEN.get(key, ","), ",")]
    flash = str(row.get("flash_attn", "auto")).lower()
    args += ["-fa", {"true": "on", "1": "on", "false": "off", "0": "off"}.get(flash, "auto")]
    if any(float(part) for part in str(row.get("tensor_split") or "").split("/") if part):
        args += ["-ts", str(row["tensor_split"]).replace("/", ",")]
    args += [flag for key, flag in _SWITCHES.items() if row.get(key) in (True, 1)]
    if row.get("repack") in (False, 0):
        args.append("--no-repack")
    # Before b10108 two columns said how the file is read.
    if "load_mode" not in row and row.get("use_direct_io") in (True, 1):
        args += ["--load-mode", "dio"]
    elif "load_mode" not in row and row.get("use_mmap") in (False, 0):
        args += ["--load-mode", "none"]
    return tuple(args)

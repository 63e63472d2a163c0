"""Hold what a process takes of its GPUs, all together, against what nvidia-smi showed of real ones.

    python -m benchmarks.totals FOLDER [--verbose]

FOLDER holds ``measurements/load_logs_2026.jsonl``, ``measurements/vram_totals.jsonl`` and ``models/zoo``. Which rows
are scored is decided by ``_of_log`` and ``_of_total`` alone, as docs/totals.md states it, and none is dropped
afterwards. Rows that show both a dry pass of ``--fit`` and the load after it are scored on the difference as well.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Final

import omniplan
from benchmarks.measured.reshape import reshaped
from omniplan.units import MIB

# Architecture, layers and width of a row, or a model's name -> a header of the same graph in models/zoo.
HEADERS: Final[Mapping[object, str]] = {
    ("qwen35", 64, 5120): "Qwen3.6-27B-MTP-Q4_K_M",
    ("qwen35moe", 40, 2048): "Qwen3.5-35B-A3B-Q6_K",
    ("gemma3", 62, 5376): "gemma-3-27b-Q4_K_M",
    ("deepseek4", 43, 4096): "DeepSeek-V4-Flash-MXFP4",
    ("llama", 40, 5120): "Mistral-Small-24B-Q4_K_M",
    ("qwen3", 36, 2560): "Qwen3-8B-Q4_K_M",
    "Qwen3-30B-A3B Q4_K_M": "Qwen3-30B-A3B-Q4_K_M",
}
# What a log leaves out and the model's published config.json says.
_PUBLISHED: Final = {"Qwen3-8B-Q4_K_M": {"n_ff": 9728}}
# Since then llama.cpp reserves logits for a row a slot, as b11434 does.
_SINCE: Final = "2026-06"
_IDLE: Final = re.compile(r"(\d[\d.]*)(?:-(\d+))? (MiB|GB)")
# Of a command: what names files that are not at hand, and what no figure depends on.
_FILES: Final = ("--mmproj", "-mm", "-md", "--lora", "-otd")
_MODEL: Final = ("-m", "--model")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that can be priced again; ``used`` and ``weights`` are MiB on all its GPUs, None where the header says."""

    name: str
    model: omniplan.Model
    machine: omniplan.Machine
    args: list[str]
    used: float
    weights: float | None
    probe: dict[str, float]
    loaded: dict[str, float]


def runs(folder: Path) -> Iterator[Run]:
    """Every row of both files that can be rebuilt."""
    for file, rebuilt in (("load_logs_2026.jsonl", _of_log), ("vram_totals.jsonl", _of_total)):
        path = folder / "measurements" / file
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            is_mainline = re.match(r"llama\.cpp( [bv]\d|$)", row["engine"] or "")
            is_asked = is_mainline and row["backend"] == "CUDA" and (row["date"] or "") >= _SINCE
            if is_asked and (run := rebuilt(row, folder)) and _is_known(run):
                yield run


def _is_known(run: Run) -> bool:
    """Whether llama-server takes the arguments, and everything that they load has a price."""
    try:
        return not omniplan.footprint(run.model, run.machine, run.args).unpriced
    except omniplan.OmniplanError:
        return False


def _of_log(row: Row, folder: Path) -> Run | None:
    """A log's row: VRAM by process, weights as printed, every file but the model's own left alone."""
    used, h = row["vram_used_mib"], row["hparams"] or {}
    header = HEADERS.get((row["arch"], h.get("n_layer"), h.get("n_embd")))
    weights = row["buffers"]["model"]
    # With -sm tensor a log prints the share of one card.
    printed = list(_on_gpus(weights).values()) or [weights.get("Meta", 0.0)] * len(row["gpus"] or ())
    args = _arguments((row["flags"] or "").split(" (")[0], row["n_ctx"])
    if not isinstance(used, dict) or header is None or not args or not (any(printed) or _value(args, "-ngl") == "0"):
        return None
    total = used.get("llama-server process, both cards") or sum(_on_gpus(used).values())
    gpus = [(gpu["name"], gpu["vram_mib"]) for gpu in row["gpus"] or () if gpu.get("vram_mib")]
    probe = (row["fit_lines"] or {}).get("fit_pass_compute", {})
    return Run(
        name=row["id"],
        model=_model(folder, header, tuple(sorted((k, v) for k, v in h.items() if isinstance(v, int)))),
        machine=_machine(gpus),
        args=args,
        used=total,
        weights=sum(printed),
        probe=probe,
        loaded=_on_gpus(row["buffers"]["compute"]),
    )


def _of_total(row: Row, folder: Path) -> Run | None:
    """A row of totals: one whose quant is a header's own, and whose idle use is stated."""
    header, idle = HEADERS.get(f"{row['model']} {row['quant']}"), _IDLE.search(row["other_use"] or "")
    args = _arguments(row["command"].split(" (")[0], None)
    size = re.search(r"(\d+) ?GB|\((\d+) MiB", row["gpu"])
    if header is None or idle is None or not args or not size:
        return None
    beside = float(idle[1]) * (1000 if idle[3] == "GB" else 1)
    gpus = [(row["gpu"].split(" (")[0], int(size[2] or int(size[1]) * 1024))] * len(row["vram_used_mib"])
    return Run(
        name=f"{row['model']} on {row['gpu']}",
        model=_model(folder, header, ()),
        machine=_machine(gpus),
        args=args,
        used=sum(row["vram_used_mib"]) - beside,
        weights=None,
        probe={},
        loaded={},
    )


def _on_gpus(sizes: dict[str, Any]) -> dict[str, float]:
    return {name: size for name, size in sizes.items() if re.fullmatch(r"CUDA\d", name)}


def _value(args: list[str], flag: str) -> str:
    return args[args.index(flag) + 1] if flag in args else ""


def _arguments(command: str, n_ctx: int | None) -> list[str]:
    """The command's own arguments without the model; empty where it says no context or names other files."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    if not words or not words[0].endswith("llama-server") or set(words) & set(_FILES):
        return []
    args = words[1:]
    for flag in _MODEL:
        if flag in args:
            del args[args.index(flag) : args.index(flag) + 2]
    return [*args, "--fit", "off"] if "-c" in args or n_ctx else []


def _machine(gpus: list[tuple[str, int]]) -> omniplan.Machine:
    # A log's total is what CUDA has after the driver took its own.
    listed = [
        {"name": f"CUDA{i}", "description": name, "total_mib": size, "free_mib": size}
        for i, (name, size) in enumerate(gpus)
    ]
    return omniplan.Machine.from_dict({"name": "log", "gpus": listed})


@cache
def _model(folder: Path, header: str, hparams: tuple[tuple[str, int], ...]) -> omniplan.Model:
    found = omniplan.load_model(folder / "models" / "zoo" / f"{header}.gguf")
    return reshaped(found, {**dict(hparams), **_PUBLISHED.get(header, {})}) if hparams else found


def predicted(run: Run) -> float:
    """MiB on all GPUs: weights as the row prints them, all else as omniplan prices it."""
    priced = omniplan.footprint(run.model, run.machine, run.args)
    gpus = {gpu.name for gpu in run.machine.gpus}
    held = [size for name, size in priced.buffers.items() if name in gpus]
    weights = sum(size.model for size in held) / MIB if run.weights is None else run.weights
    return weights + (sum(priced.vram.values()) - sum(size.model for size in held)) / MIB


def moved(run: Run) -> dict[str, tuple[float, float]]:
    """By GPU, how much more the dry pass printed than the load, and how much more omniplan's is; MiB."""
    dry = omniplan.footprint(run.model, run.machine, run.args, no_alloc=True).buffers
    load = omniplan.footprint(run.model, run.machine, run.args).buffers
    return {
        name: (run.probe[name] - run.loaded[name], (dry[name].compute - load[name].compute) / MIB) for name in run.probe
    }


def main(argv: list[str]) -> int:
    """Print the figures; 1 when a target is missed."""
    errors, pairs = [], []
    for run in runs(Path(argv[0])):
        found = predicted(run)
        errors.append(((found - run.used) / run.used, found - run.used))
        pairs += [(run.name, *pair) for pair in moved(run).values()]
        if "--verbose" in argv:
            told = f"{run.used:,.0f} MiB, predicted {found:,.0f}"
            print(f"{run.name}: {told}, {errors[-1][0]:+.1%} ({errors[-1][1]:+,.0f})")
    sizes = sorted(abs(error) for error, _ in errors)
    middle, most = median(sizes), sizes[int(0.9 * len(sizes))]
    near = sum(abs(error) <= 0.05 or abs(mib) <= 400 for error, mib in errors)
    under = sum(error < -0.02 for error, _ in errors)
    print(f"{len(errors)} totals: median {middle:.1%} off, nine in ten within {most:.1%}, {near} within 5% or 400 MiB")
    print(f"{under} more than 2% under, {under / len(errors):.1%}")
    wrong = [pair for pair in pairs if abs(pair[1] - pair[2]) > 0.02]
    print(f"{len(pairs)} buffers in a dry pass and its load: {len(pairs) - len(wrong)} with the same difference")
    for name, theirs, ours in wrong:
        print(f"{name}: {theirs:.2f} MiB more in the dry pass, omniplan {ours:.2f}")
    return int(middle > 0.02 or near < 0.9 * len(errors) or under > 0.03 * len(errors) or bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

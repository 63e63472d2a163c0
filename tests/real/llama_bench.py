"""Stands in for llama-bench: takes its arguments, and prints a row that a real one printed with speeds of its own.

The row is of llama-bench b11434 with the library of b11413, on the suite's small model. Speeds follow from the
micro-batch and the threads, so that there is something to tune.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

RECORDED: Final = Path(__file__).resolve().parent.parent / "data/llama_bench/b11413.json"
# llama-bench's flags by the columns that show them.
_NUMBERS: Final = {
    "-p": "n_prompt", "-n": "n_gen", "-d": "n_depth", "-b": "n_batch", "-ub": "n_ubatch", "-t": "n_threads",
    "-ngl": "n_gpu_layers", "-ncmoe": "n_cpu_moe", "-mg": "main_gpu", "-nkvo": "no_kv_offload",
    "-nopo": "no_op_offload", "--no-host": "no_host", "--repack": "repack", "--poll": "poll",
}  # fmt: skip
_TEXTS: Final = {
    "-ctk": "type_k", "-ctv": "type_v", "-sm": "split_mode", "-ts": "tensor_split", "-fa": "flash_attn",
    "-ot": "tensor_buft_overrides", "-dev": "devices", "-lm": "load_mode", "-lzm": "lazy_mode", "-C": "cpu_mask",
}  # fmt: skip


def row_of(words: list[str]) -> dict[str, Any]:
    """The row of one test; exits as llama-bench does for a word that it does not know."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-m", required=True)
    parser.add_argument("-r", type=int, default=5)
    parser.add_argument("-o", choices=["json"], required=True)
    for flag, column in _NUMBERS.items():
        parser.add_argument(flag, dest=column, type=int)
    for flag, column in _TEXTS.items():
        parser.add_argument(flag, dest=column)
    given = vars(parser.parse_args(words))
    row: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))[0]
    columns = {*_NUMBERS.values(), *_TEXTS.values()}
    row |= {column: value for column, value in given.items() if column in columns and value is not None}
    row["flash_attn"] = {"on": 1, "off": 0, "auto": -1}.get(row["flash_attn"], row["flash_attn"])
    rate = 20.0 * row["n_threads"] if row["n_gen"] else 900.0 * row["n_ubatch"] / (row["n_ubatch"] + 300)
    rates = [rate * (1 + 0.01 * at) for at in range(given["r"])]
    return row | {"avg_ts": sum(rates) / len(rates), "samples_ts": rates}


if __name__ == "__main__":
    print(json.dumps([row_of(sys.argv[1:])], indent=2))

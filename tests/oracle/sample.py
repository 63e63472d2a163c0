"""Draws the oracle cases under ``tests/data/oracle`` and copies the headers they need.

``python -m tests.oracle.sample ../shared`` always draws the same cases: every case llama.cpp refuses; of the cases of
tiny headers four kinds of arguments per header, so that every kind meets about a fifth of the headers; of the cases of
real models the cheapest cover of every quant, of all pairs of model and machine, and of all pairs of machine, flag and
way of using it that occur together.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parents[1] / "data"
SHIPPED: Final = DATA.parents[1] / "data" / "models"
PER_HEADER: Final = 4
# Words for values that differ between models: a set of layers, a number of layers.
_LAYERS: Final = re.compile(r"\d+(\|\d+)*|\[\d+-\d+\]")
_QUANT: Final = re.compile(r"-(Q\d|MXFP4).*")
_COUNTED: Final = ("-ncmoe", "-ts")

Case = dict[str, Any]


def main() -> None:
    """Draw the sample and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("shared", type=Path, help="the folder that holds oracle/ and models/")
    shared = parser.parse_args().shared
    archs, models = (_read(shared / "oracle" / name) for name in ("arch_cases.jsonl", "model_cases.jsonl"))
    refused = [case for case in (*archs, *models) if "error" in case]
    drawn = [*draw_by_header(archs), *cover_pairs(models), *refused]
    (DATA / "oracle").mkdir(exist_ok=True)
    with (DATA / "oracle" / "cases.jsonl").open("w") as file:
        file.writelines(json.dumps(case, separators=(",", ":")) + "\n" for case in drawn)
    shutil.copyfile(shared / "oracle" / "machines.json", DATA / "oracle" / "machines.json")
    for name in sorted({case["model"] for case in drawn}):
        for part in _shards(shared / "models" / name):
            if not any((folder / part.name).exists() for folder in (SHIPPED, DATA / "models", DATA / "models/archs")):
                shutil.copyfile(part, DATA / "models" / "zoo" / part.name)
    print(f"{len(drawn)} cases, {len(refused)} of them refused")


def draw_by_header(cases: Sequence[Case]) -> Iterator[Case]:
    """``PER_HEADER`` cases of every header, evenly over the kinds of arguments."""
    by_header = itertools.groupby(sorted(cases, key=lambda case: str(case["model"])), key=lambda case: case["model"])
    for index, (_, group) in enumerate(by_header):
        kinds = list(group)
        step = len(kinds) // PER_HEADER
        picks = {(index + k * step) % len(kinds) for k in range(PER_HEADER)}
        yield from (kinds[k] for k in sorted(picks) if "error" not in kinds[k])


def cover_pairs(cases: Sequence[Case]) -> list[Case]:
    """A small set of cases that shows every pair of ``_pairs`` once, by new pairs per node of the graph."""
    pairs = {i: set(_pairs(case)) for i, case in enumerate(cases) if "error" not in case}
    missing = set().union(*pairs.values())
    chosen = []
    while missing:
        best = max(pairs, key=lambda i: (len(pairs[i] & missing) / cases[i]["nodes"], -i))
        missing -= pairs.pop(best)
        chosen.append(best)
    return [cases[i] for i in sorted(chosen)]


def _pairs(case: Case) -> Iterator[tuple[str, str]]:
    """What a case shows: its quant, its model on its machine, and its machine and flags in pairs."""
    args: list[str] = case["args"]
    words = [f"{flag} {_kind(flag, value)}" for flag, value in itertools.pairwise((*args, "")) if flag[:1] == "-"]
    yield case["model"], ""
    yield _QUANT.sub("", case["model"]), case["machine"]
    yield from itertools.combinations((case["machine"], *sorted(words)), 2)


def _kind(flag: str, value: str) -> str:
    if flag == "-ngl" and value not in ("99", "0"):
        return "some"
    if flag == "-ot":
        return _LAYERS.sub("N", value)
    return "" if flag in _COUNTED or value[:1] == "-" else value


def _shards(path: Path) -> list[Path]:
    pattern = re.sub(r"-00001-of-", "-*-of-", path.name)
    return sorted(path.parent.glob(pattern))


def _read(path: Path) -> list[Case]:
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main()

"""The sample of the oracle as values: cases, their machines and models, and our price of each."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import omniplan
from omniplan.certify.values import Tally, compare
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.footprint import BufferSize, Footprint, GraphSplits

DATA: Final = Path(__file__).parents[1] / "data"
_FOLDERS: Final = (
    DATA / "models" / "zoo",
    DATA / "models" / "archs",
    DATA / "models" / "small",
    DATA / "models" / "cut",
    DATA / "models" / "types",
    DATA / "models",
    DATA.parents[1] / "data" / "models",
)

Case = dict[str, Any]


def load(name: str = "cases") -> list[Case]:
    """Every case of the sample, or of another file of figures."""
    return [json.loads(line) for line in (DATA / "oracle" / f"{name}.jsonl").read_text().splitlines()]


def label(case: Case) -> str:
    """A test id that can be typed back: header, machine, arguments."""
    return f"{Path(case['model']).stem}-{case['machine']}-{' '.join(case['args'])}"


@cache
def machines() -> dict[str, omniplan.Machine]:
    """The oracle's machines: GPUs alone, or also a processor, RAM and other hosts."""
    rows = json.loads((DATA / "oracle" / "machines.json").read_text())
    parts = {name: {"gpus": row} if isinstance(row, list) else row for name, row in rows.items()}
    return {name: omniplan.Machine.from_dict({"name": name, **part}) for name, part in parts.items()}


@cache
def model(name: str) -> omniplan.Model:
    """The model of a header, by its file name with or without folder and suffix."""
    file = f"{Path(name).name.removesuffix('.gguf')}.gguf"
    return omniplan.load_model(next(folder / file for folder in _FOLDERS if (folder / file).exists()))


def is_measured(case: Case) -> bool:
    """Whether llama.cpp measured a case without loading, as it did all those of the oracle's own files."""
    return bool(case.get("no_alloc", True))


def price(case: Case, *, build: int = DEFAULT_BUILD) -> Footprint:
    """Our footprint of a case."""
    machine, no_alloc = machines()[case["machine"]], is_measured(case)
    return omniplan.footprint(model(case["model"]), machine, case["args"], build=build, no_alloc=no_alloc)


def layers(case: Case) -> tuple[str, ...]:
    """The oracle's device of every layer, from its run-length code."""
    runs = (run.split("*") for run in case["layers"].split())
    return tuple(device for device, count in runs for _ in range(int(count)))


def column(buffers: dict[str, BufferSize], name: str) -> dict[str, int]:
    """One column of a footprint, buffers that hold nothing left out."""
    return {buffer: size for buffer, sizes in buffers.items() if (size := getattr(sizes, name))}


def truth(case: Case, name: str) -> dict[str, int]:
    """One column of the oracle, buffers that hold nothing left out."""
    index = ("model", "context", "compute").index(name)
    return {buffer: sizes[index] for buffer, sizes in case["buffers"].items() if sizes[index]}


def differences(case: Case, number: int) -> list[str]:
    """What build ``number`` makes of a recorded case otherwise than the library did."""
    prefill, decode = case["splits"]
    recorded = Tally(
        buffers={name: BufferSize(model=m, context=c, compute=x) for name, (m, c, x) in case["buffers"].items()},
        layers=layers(case),
        graph_splits=GraphSplits(prefill=prefill, decode=decode),
        sched_copies=case["sched_copies"],
        n_ctx=case["n_ctx"],
    )
    checks = compare(Tally.of(price(case, build=number)), recorded)
    return [
        f"{check.what}: {check.planned}, recorded {check.counted}" for check in checks if check.planned != check.counted
    ]

"""What plans gain over --fit and the other baselines, by the time model: writes ``docs/gains.md``.

``python -m benchmarks.gains FOLDER [--cells FILE] [--write]``, FOLDER of header-only or whole GGUF files; about ten
minutes for fifty. FILE keeps one JSON line a plan, so that a run goes on where another ended.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import omniplan
from omniplan.domain.plan import Baseline
from omniplan.machines.files import shipped
from omniplan.planning.baselines import FIT, FIT_SET
from omniplan.planning.solution import MORE_GPUS
from omniplan.predict.accuracy import Devices, comparison_error

PAGE: Final = Path(__file__).parents[1] / "docs" / "gains.md"
WORKLOADS: Final = ((2048, 256), (8192, 256), (512, 1024))
CONTEXT: Final = 16384
# A shard of a set is reached through the file that stands for all of it.
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One plan beside its baselines: seconds of the request; ``fit`` of plain --fit, ``same`` with the plan's settings.

    Both are None where that does not load, and ``fit_keeps`` and ``same_keeps`` say whether they keep the headroom.
    ``best`` is the fastest baseline that does, None when none does; ``error`` is how far off comparing the plan with
    --fit is. ``is_baseline`` says that the plan's arguments are those of a baseline.
    """

    model: str
    machine: str
    is_unequal: bool
    workload: tuple[int, int]
    plan: float
    fit: float | None
    same: float | None
    best: float | None
    strategy: str
    devices: str
    error: float
    fit_keeps: bool
    same_keeps: bool
    is_baseline: bool


def cells(paths: Sequence[Path], known: set[tuple[str, str]]) -> Iterator[list[Cell]]:
    """The cells of every model on every shipped machine, those of ``known`` pairs left out."""
    for path in paths:
        model = omniplan.load_model(path)
        for name in shipped():
            if (path.stem, name) not in known:
                yield list(_row_cells(path.stem, model, omniplan.load_machine(name)))


def _row_cells(name: str, model: omniplan.Model, machine: omniplan.Machine) -> Iterator[Cell]:
    """A cell per workload; none where nothing fits, which no workload changes."""
    try:
        yield from (_cell(name, model, machine, workload) for workload in WORKLOADS)
    except omniplan.Infeasible:
        return


def _cell(name: str, model: omniplan.Model, machine: omniplan.Machine, workload: tuple[int, int]) -> Cell:
    plan = omniplan.plan(model, machine, n_ctx=CONTEXT, n_prompt=workload[0], n_gen=workload[1])
    known = plan.baselines
    same = FIT_SET if FIT_SET in known else FIT
    keeps = [baseline for baseline in known.values() if baseline.fits]
    theirs = [known[same].prediction] if same in known else []
    return Cell(
        model=name,
        machine=machine.name,
        is_unequal=len({(gpu.description, gpu.total) for gpu in machine.gpus}) > 1,
        workload=workload,
        plan=plan.prediction.request_seconds.value,
        fit=_loaded(known, FIT),
        same=_loaded(known, same),
        best=min((baseline.prediction.request_seconds.value for baseline in keeps), default=None),
        strategy=plan.strategy,
        devices=Devices.of(plan.prediction),
        error=comparison_error(plan.request.objective, plan.prediction, *theirs),
        fit_keeps=FIT in known and known[FIT].fits,
        same_keeps=same in known and known[same].fits,
        is_baseline=any(baseline.args == plan.server_args for baseline in keeps),
    )


def _loaded(known: Mapping[str, Baseline], name: str) -> float | None:
    """Seconds of a baseline that loads at all."""
    return known[name].prediction.request_seconds.value if name in known and known[name].loads else None


def mean(ratios: Iterable[float]) -> str:
    """The geometric mean, or a dash."""
    logs = [math.log(ratio) for ratio in ratios]
    return f"{math.exp(sum(logs) / len(logs)):.2f}" if logs else "-"


def page(found: Sequence[Cell]) -> str:
    """The whole page."""
    names = sorted({cell.model for cell in found})
    machines = sorted({cell.machine for cell in found})
    slower = [cell for cell in found if _lost(cell) > 0]
    worst = max(map(_lost, found), default=0.0)
    groups: list[tuple[str, Callable[[Cell], bool]]] = [
        ("all", lambda _: True),
        ("machines with unequal GPUs", lambda cell: cell.is_unequal),
        *((f"`{name}`", lambda cell, name=name: cell.machine == name) for name in machines),
        *(
            (f"{n_prompt:,} + {n_gen:,} tokens", lambda cell, load=(n_prompt, n_gen): cell.workload == load)
            for n_prompt, n_gen in WORKLOADS
        ),
        ("weights in RAM", lambda cell: cell.devices != Devices.GPUS),
        ("everything on GPUs", lambda cell: cell.devices == Devices.GPUS),
    ]
    lines = [
        "# What plans gain",
        "",
        "Written by `python -m benchmarks.gains FOLDER --write`; do not edit.",
        "",
        f"{len(names)} models on {len(machines)} shipped machines, {len(found)} plans, context {CONTEXT:,}, default",
        "micro-batch and headroom. Figures are geometric means of predicted request time, the baseline's over the",
        "plan's: 1.20 means that the plan takes a sixth less. Both sides come from the same time",
        "model ([prediction.md](prediction.md), [accuracy.md](accuracy.md)); nothing here was measured.",
        "",
        "- **--fit**: `llama-server -c N -np 1 -ub 512` and whatever llama.cpp chooses, its defaults for the rest.",
        "- **--fit, plan's settings**: the same with the plan's load mode, op offload, threads and headroom: what the",
        "  placement alone gains.",
        "- **best baseline**: the fastest of --fit, `-ngl 99`, `-cmoe`, the best `-ngl`, the nominal split and the",
        "  above that keeps the headroom. A plan takes a baseline's layout when that is clearly faster, else the",
        "  simpler one of both, which may be a little slower.",
        "",
        "What does not load has no time and is in no mean; what loads but leaves less than the headroom is marked.",
        "",
        "| | plans | over --fit | over --fit, plan's settings | over the best baseline |",
        "|---|---|---|---|---|",
        *(_row(name, [cell for cell in found if wanted(cell)]) for name, wanted in groups),
        "",
        f"Plans slower than the best baseline that keeps the headroom: {len(slower)}, by {worst:.1%} at most.",
        "They are simpler, and slower by less than comparing both is off by, or with fewer GPUs by less than the",
        f"{MORE_GPUS:.0%} that more must save.",
        "",
        *_declined(found),
        "",
        *_table(found),
    ]
    return "\n".join(lines) + "\n"


def _lost(cell: Cell) -> float:
    """The share of the plan's time that the best baseline saves."""
    return 1 - cell.best / cell.plan if cell.best is not None else 0.0


def _row(name: str, found: Sequence[Cell]) -> str:
    over_fit = mean(cell.fit / cell.plan for cell in found if cell.fit)
    same = mean(cell.same / cell.plan for cell in found if cell.same)
    best = mean(cell.best / cell.plan for cell in found if cell.best)
    return f"| {name} | {len(found)} | {over_fit} | {same} | {best} |"


def _why(cell: Cell) -> str:
    """Why a plan is no better than --fit with its settings."""
    if cell.is_baseline:
        return "the plan is a baseline's layout: nothing the search found was faster"
    if cell.devices == Devices.CPU:
        return "everything is in RAM: there is nothing to place"
    if cell.devices == Devices.GPUS:
        return "everything is on GPUs either way"
    return "as many weights are in RAM either way"


def _declined(found: Sequence[Cell]) -> Iterator[str]:
    even = [cell for cell in found if cell.same and 1 - cell.plan / cell.same <= cell.error]
    yield "## Where a plan is no better than --fit"
    yield ""
    yield (
        f"In {len(even)} of {len(found)} plans the gain over --fit with the plan's settings is no more than "
        "comparing them is off; such"
    )
    yield "a plan says so and carries --fit's command (`plan.fit_instead`) where that keeps the headroom:"
    yield ""
    for reason, count in Counter(_why(cell) for cell in even).most_common():
        yield f"- {count}: {reason}."


def _table(found: Sequence[Cell]) -> Iterator[str]:
    load = WORKLOADS[0]
    yield "## Every plan"
    yield ""
    yield f"Seconds for {load[0]:,} + {load[1]:,} tokens; * leaves less than the headroom, - does not load."
    yield ""
    yield "| model | machine | plan | --fit | same settings | best baseline | strategy |"
    yield "|---|---|---|---|---|---|---|"
    for cell in found:
        if cell.workload == load:
            fit, same = _time(cell.fit, keeps=cell.fit_keeps), _time(cell.same, keeps=cell.same_keeps)
            times = f"{cell.plan:.4g} | {fit} | {same} | {_time(cell.best, keeps=True)}"
            yield f"| {cell.model} | {cell.machine} | {times} | {cell.strategy} |"


def _time(seconds: float | None, *, keeps: bool) -> str:
    return "-" if seconds is None else f"{seconds:.4g}{'' if keeps else '*'}"


def _kept(path: Path | None) -> list[Cell]:
    """The cells of an earlier run."""
    if path is None or not path.exists():
        return []
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Cell(**{**row, "workload": tuple(row["workload"])}) for row in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the page or write it; 1 when a plan is clearly slower than a baseline that keeps the headroom."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    paths = [path for path in sorted(options.folder.glob("*.gguf")) if not _SHARD.search(path.stem)]
    found = _kept(options.cells)
    for row in cells(paths, {(cell.model, cell.machine) for cell in found}):
        found += row
        if options.cells:
            with options.cells.open("a", encoding="utf-8") as kept:
                kept.writelines(json.dumps(asdict(cell)) + "\n" for cell in row)
    found.sort(key=lambda cell: (cell.model, cell.machine))
    text = page(found)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text)
    return int(any(_lost(cell) > max(cell.error, MORE_GPUS) for cell in found))


if __name__ == "__main__":
    sys.exit(main())

"""Price published measurements through omniplan's public functions; write docs/accuracy.md and data/accuracy.toml.

Takes about ten minutes. ``--check`` writes nothing and exits 1 when a target is missed.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import omniplan
from benchmarks.measured.headers import ROOT
from benchmarks.measured.rows import RULE, Case, cases
from benchmarks.measured.spread import Score, ends
from benchmarks.measured.tables import by_others, errors, kind, line, order, p90, ranges, seeds, table, worst
from benchmarks.measured.words import (
    COMMENT,
    DIARIES,
    HOW,
    INTRODUCTION,
    LEFT_OUT,
    ORDER,
    PAIRS,
    RANGES,
    TARGET_NOTE,
)
from omniplan.documents.record import plain
from omniplan.documents.toml_text import to_toml
from omniplan.domain.prediction import Phase
from omniplan.predict.accuracy import Accuracy, Devices
from omniplan.predict.calibrate import MeasuredSpeed, calibrate
from omniplan.predict.learned import learned_of

PAGE = ROOT / "docs/accuracy.md"
ROWS = ROOT / "data/accuracy.toml"
# Median and p90 of the error, and the median with one calibration row per machine.
TARGETS = {"decode": (0.09, 0.35), "prompt": (0.20, 0.50)}
CALIBRATED_TARGET = 0.08


def rate(case: Case, test: str, calibration: str | None = None) -> float:
    """What omniplan predicts for one test of a row, tokens per second."""
    n_prompt, n_gen, depth = (0, case.n_gen, case.depth) if test == "decode" else (case.n_prompt, 1, case.depth)
    if test == "prompt" and case.is_whole and depth:
        n_prompt, depth = depth, 0
    found = omniplan.predict(
        case.model,
        case.machine,
        case.args,
        n_prompt=n_prompt,
        n_gen=n_gen,
        depth=depth,
        calibration=calibration,
    )
    return (found.decode_tokens_per_second if test == "decode" else found.prompt_tokens_per_second).value


def measured(case: Case, test: str) -> float | None:
    """What the row says."""
    return case.decode if test == "decode" else case.prompt


def scores(known: Iterable[Case], test: str) -> list[Score]:
    """Every row that has the test."""
    return [Score(case, rate(case, test), value) for case in known if (value := measured(case, test))]


def calibrated(known: Iterable[Case], test: str) -> list[Score]:
    """Rows of machines with several: the first sets the machine's constants, the others are scored."""
    rigs: dict[tuple[str, str, bool], list[Case]] = defaultdict(list)
    for case in known:
        if measured(case, test):
            rigs[case.rig, case.engine, case.is_old].append(case)
    return [score for rig in rigs.values() if len(rig) > 1 for score in _others(rig, test)]


def _others(rig: list[Case], test: str) -> Iterator[Score]:
    first, *others = rig
    sizes = (0, first.n_gen) if test == "decode" else (first.n_prompt, 0)
    value = measured(first, test)
    assert value is not None
    run = MeasuredSpeed(
        label=first.id, args=first.args, n_prompt=sizes[0], n_gen=sizes[1], depth=first.depth, rate=value
    )
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/machine.toml"
        try:
            constants = calibrate(first.model, first.machine, [run])
        except omniplan.InputError:  # over eight times off: the row sets nothing, its machine counts as it is
            constants = {}
        Path(path).write_text(learned_of(constants).to_toml(f"calibrated by {first.id}"), encoding="utf-8")
        for case in others:
            if other := measured(case, test):
                yield Score(case, rate(case, test, path), other)


def accuracy(devices: Devices, own: list[Score], every: list[Score]) -> Accuracy:
    """What planning knows of one device class and phase: ``own`` rows are llama.cpp's, pairs are of one engine each."""
    single = [score.error for score in own if score.case.devices is devices]
    fast, slow = ends([score for score in own if score.case.devices is devices and not score.case.is_old])
    pairs = [pair for pair in paired(every) if all(score.case.devices is devices for score in pair)]
    ratios = [(1 + one.ratio) / (1 + other.ratio) for one, other in pairs]
    apart = [max(ratio, 1 / ratio) - 1 for ratio in ratios]
    return Accuracy(
        n_rows=len(single),
        median=round(median(single), 3),
        p90=round(p90(single), 3),
        n_pairs=len(pairs),
        pair_median=round(median(apart), 3),
        pair_p90=round(p90(apart), 3),
        fast=round(fast, 3),
        slow=round(slow, 3),
        source="benchmarks/accuracy.py, published rows of tests/data/measurements",
    )


def paired(found: Iterable[Score]) -> Iterator[tuple[Score, Score]]:
    """Every two rows of one model on one machine under one engine: placements, settings and depths differ."""
    groups: dict[tuple[object, ...], list[Score]] = defaultdict(list)
    for score in found:
        case = score.case
        groups[case.engine, case.is_old, case.rig, case.model].append(score)
    for group in groups.values():
        yield from combinations(group, 2)


def page() -> tuple[str, str, list[str]]:
    """The report, the rows that planning reads, and the targets that are missed."""
    kept, left_out = cases()
    own = [case for case in kept if case.engine == "llama.cpp"]
    other = [case for case in kept if case.engine != "llama.cpp"]
    n_rows = len(kept) + left_out.total()
    text = ["<!-- Written by benchmarks/accuracy.py; do not edit. -->", "", "# How far predictions are off", ""]
    text += [*INTRODUCTION, "", "## Which rows", ""]
    text += [f"{n_rows} rows; {len(kept)} meet the rule, {len(own)} of llama.cpp and {len(other)} of ik_llama.cpp.", ""]
    text += ["| the rule, in this order | rows left out by it |", "|---|---|"]
    text += [f"| {part} | {left_out[part]} |" for part in RULE]
    text += ["", *HOW, ""]
    missed: list[str] = []
    recent: dict[str, list[Score]] = {}
    rows: dict[Devices, dict[Phase, Accuracy]] = {devices: {} for devices in Devices}
    for test in ("decode", "prompt"):
        found = scores(own, test)
        after = calibrated(own, test)
        foreign = scores(other, test)
        recent[test] = [score for score in found if not score.case.is_old]
        text += _section(test, found, after, foreign)
        missed += _missed(test, found, after)
        for devices in Devices:
            rows[devices][Phase(test)] = accuracy(devices, found, [*found, *foreign])
    text += ["## Two predictions on one machine", "", *PAIRS, "", *errors(rows), ""]
    text += ["## Ranges", "", *RANGES, "", *ranges(recent), ""]
    text += ["## Which of two is faster", "", *ORDER, "", *order(recent), ""]
    text += ["## Each rig by the others", "", *LEFT_OUT, "", *by_others(own)]
    text += ["## Runs of two diaries", "", DIARIES, "", *seeds(), "## Targets", ""]
    text += [f"- {sentence}" for sentence in missed or ["All are met."]]
    text += ["", *TARGET_NOTE]
    tables = {
        str(devices): {str(phase): plain(row) for phase, row in phases.items()} for devices, phases in rows.items()
    }
    return "\n".join(text) + "\n", to_toml(tables, comment=COMMENT), missed


def _section(test: str, found: list[Score], after: list[Score], other: list[Score]) -> list[str]:
    new, old = ([score for score in found if score.case.is_old is is_old] for is_old in (False, True))
    text = [f"## {test.capitalize()}", "", *table(found, "device class", kind)]
    text += ["| builds | rows | median | p90 | bias |", "|---|---|---|---|---|"]
    text += [line("since 2025", new), line("2024, their own constants", old), ""]
    text += [*table(found, "architecture", lambda case: case.model.arch)]
    text += ["With one calibration row per machine (the first of its rows; the others are scored):", ""]
    text += [*table(after, "device class", kind)]
    text += ["ik_llama.cpp, which omniplan does not model (other kernels, other formats), priced as llama.cpp:", ""]
    text += [*table(other, "device class", kind), "Both engines together, as if they were one:", ""]
    text += [*table([*found, *other], "device class", kind)]
    return [*text, "Rows of llama.cpp more than 40 % off:", "", *worst(found)]


def _missed(test: str, found: list[Score], after: list[Score]) -> list[str]:
    wanted_median, wanted_p90 = TARGETS[test]
    errors = [score.error for score in found]
    checks = [(f"{test} median", median(errors), wanted_median), (f"{test} p90", p90(errors), wanted_p90)]
    if test == "decode":
        checks.append(("decode median with one row per machine", median(s.error for s in after), CALIBRATED_TARGET))
    return [f"missed: {name} {got:.1%}, wanted {want:.0%}" for name, got, want in checks if want and got > want]


def main() -> int:
    """Write the page, or only check."""
    text, rows, missed = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
        ROWS.write_text(rows, encoding="utf-8")
    print("\n".join(missed) or "all targets met")
    return 1 if missed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())

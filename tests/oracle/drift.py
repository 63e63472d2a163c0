"""Prices the oracle's sample again by the llama.cpp inside xllamacpp, and reports how far it is from b11434's figures.

``python -m tests.oracle.drift [--every N] [NAME ...]`` takes every N-th case (default 4) and plans of the shipped
models on the shipped machines, or the cases whose label contains a NAME. 1 when a column that no build should move has
moved, too many of the others have, or a plan is not what llama.cpp counts.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import omniplan
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import SOURCE, simulate
from omniplan.certify.values import Check, Tally, compare
from omniplan.domain.footprint import BufferSize, GraphSplits
from omniplan.machines.files import shipped
from tests.contracts.sources import ROOT
from tests.oracle import cases
from tests.oracle.cases import Case

# Share of cases in which a column has to agree: bytes within a MiB, everything else exactly.
TARGETS: Final = {
    "refusal": 1.0,
    "layers": 1.0,
    "model": 1.0,
    "context": 1.0,
    "pipeline copies": 1.0,
    "compute": 0.98,
    "splits, prompt batch": 0.9,
    "splits, one token": 0.98,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What llama.cpp said of one case: the figures beside the oracle's, or why it refuses."""

    case: Case
    checks: tuple[Check, ...] = ()
    refused: str = ""

    @property
    def is_refusal_known(self) -> bool:
        """Whether both builds refuse, or both do not."""
        return bool(self.refused) == ("error" in self.case)


def truth(case: Case) -> Tally:
    """The oracle's figures of a case."""
    prefill, decode = case["splits"]
    return Tally(
        buffers={
            name: BufferSize(model=sizes[0], context=sizes[1], compute=sizes[2])
            for name, sizes in case["buffers"].items()
        },
        layers=cases.layers(case),
        graph_splits=GraphSplits(prefill=prefill, decode=decode),
        sched_copies=case["sched_copies"],
        n_ctx=case["n_ctx"],
    )


def ask(case: Case, *, timeout: float = 120) -> Outcome:
    """Have one case counted."""
    machine, args = cases.machines()[case["machine"]], tuple(case["args"])
    try:
        counted = simulate(cases.model(case["model"]), machine, args, env={}, timeout=timeout)
    except Refused as error:
        return Outcome(case, refused=str(error))
    return Outcome(case, () if "error" in case else compare(truth(case), counted))


def column(check: Check) -> str:
    """The column a figure belongs to, whatever its buffer: "compute" of "CUDA0 compute"."""
    return check.what.split()[-1] if check.is_bytes else check.what


def report(outcomes: Sequence[Outcome]) -> bool:
    """Print one line a column and one for each case that moved; whether every target is kept."""
    kept = _line("refusal", [o.is_refusal_known for o in outcomes], [o.is_refusal_known for o in outcomes], 0)
    priced = [outcome for outcome in outcomes if outcome.checks]
    for name in list(TARGETS)[1:]:
        rows = [[check for check in outcome.checks if column(check) == name] for outcome in priced]
        exact = [all(check.planned == check.counted for check in row) for row in rows]
        largest = max((abs(_difference(check)) for row in rows for check in row), default=0)
        kept &= _line(name, exact, [all(check.agrees for check in row) for row in rows], largest)
    for outcome in outcomes:
        _moved(outcome)
    return kept


def _line(name: str, exact: Sequence[bool], agrees: Sequence[bool], largest: int) -> bool:
    kept = sum(agrees) >= TARGETS[name] * len(agrees)
    verdict = "" if kept else "  MISSED"
    print(f"{name:22} {sum(exact):4} of {len(exact)} exact, {sum(agrees):4} agree, at most {largest:,} off{verdict}")
    return kept


def _difference(check: Check) -> int:
    if isinstance(check.planned, int) and isinstance(check.counted, int):
        return check.counted - check.planned
    return int(check.planned != check.counted)


def _moved(outcome: Outcome) -> None:
    label = cases.label(outcome.case)
    if not outcome.is_refusal_known:
        print(f"{label}: {outcome.refused or 'no longer refused'}")
    for check in outcome.checks:
        if check.planned != check.counted:
            print(f"{label}: {check.what} {check.planned} -> {check.counted}")


def certify(pair: tuple[Path, str]) -> str | None:
    """The verdict on the plan for a shipped model and machine: what differs, "" for nothing, None without a plan."""
    path, name = pair
    try:
        found = omniplan.certify(omniplan.plan(path, omniplan.load_machine(name), n_ctx=32768), simulate=True)
    except omniplan.Infeasible:
        return None
    return found.refused or ", ".join(found.differences)


def report_plans(pool: Executor) -> bool:
    """Print how many plans are what llama.cpp counts, and which are not; whether all are."""
    pairs = [(path, name) for path in sorted((ROOT / "data" / "models").glob("*.gguf")) for name in shipped()]
    verdicts = {
        pair: verdict for pair, verdict in zip(pairs, pool.map(certify, pairs), strict=True) if verdict is not None
    }
    wrong = {pair: verdict for pair, verdict in verdicts.items() if verdict}
    print(f"plans of shipped models on shipped machines: {len(verdicts) - len(wrong)} of {len(verdicts)} agree")
    for (path, name), verdict in wrong.items():
        print(f"{path.stem} on {name}: {verdict}")
    return not wrong


def main() -> int:
    """Price the sample and the plans; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--every", type=int, default=4, help="take every N-th case, default 4")
    options = parser.parse_args()
    every = [case for case in cases.load() if any(name in cases.label(case) for name in options.names)]
    sample = every if options.names else cases.load()[:: options.every]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(ask, sample))
        print(f"{len(sample)} cases of the oracle (llama.cpp b11434), counted by {SOURCE}")
        kept = report(outcomes)
        kept &= bool(options.names) or report_plans(pool)
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())

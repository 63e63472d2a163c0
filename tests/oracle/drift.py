"""Prices the oracle's sample by a build of ours and by the llama.cpp inside xllamacpp, and reports where they differ.

``python -m tests.oracle.drift [--every N] [--llama-cpp BUILD] [--record FILE] [NAME ...]`` takes every N-th case
(default 4), all that load for real (``tests.oracle.loads``) and plans of the shipped models on the shipped machines, or
the cases whose label contains a NAME. Ours is the library's own build: 1 when a figure differs or a plan is not what
llama.cpp counts. Another BUILD shows what has moved between the two. ``--record`` writes the library's figures in the
oracle's own form, as far as it tells them: of the cases that are not as in the oracle, and of every 16th.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import omniplan
from omniplan.certify import library
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import simulate
from omniplan.certify.values import Check, Tally, compare
from omniplan.errors import ArgumentError, OmniplanError, UnsupportedModel
from omniplan.llamacpp.build import build_number
from omniplan.machines.files import shipped
from tests.contracts.sources import ROOT
from tests.oracle import cases, drafts, fits, projectors
from tests.oracle.cases import Case

# A busy machine is no verdict.
_SECONDS: Final = 600.0
# Keeps the file at a tenth of the oracle's.
_RECORDED: Final = 16
COLUMNS: Final = (
    "layers", "model", "context", "compute", "pipeline copies", "splits, prompt batch", "splits, one token"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both said of one case: the figures side by side, or why they refuse."""

    case: Case
    checks: tuple[Check, ...] = ()
    counted: Tally | None = None
    ours: str = ""
    theirs: str = ""

    @property
    def is_refusal_shared(self) -> bool:
        """Whether both refuse, or both do not."""
        return bool(self.ours) == bool(self.theirs)


def ask(
    case: Case, *, build: int = library.BUILD, asked: library.Library | None = None, timeout: float = _SECONDS
) -> Outcome:
    """Have one case priced as ``build`` and counted by the library ``asked``, the pinned one for None."""
    machine, args, ours = cases.machines()[case["machine"]], tuple(case["args"]), ""
    try:
        planned = Tally.of(cases.price(case, build=build))
    except (ArgumentError, UnsupportedModel) as error:
        ours = str(error)
    try:
        model, no_alloc = cases.model(case["model"]), cases.is_measured(case)
        counted = simulate(
            model,
            machine,
            args,
            env={},
            timeout=timeout,
            no_alloc=no_alloc,
            library=asked,
            repack=machine.cpu is not None,
        )
    except Refused as error:
        return Outcome(case, ours=ours, theirs=str(error))
    return Outcome(case, counted=counted, ours=ours) if ours else Outcome(case, compare(planned, counted), counted)


def priced(outcome: Outcome, build: int) -> Outcome:
    """The same count beside what ``build`` makes of the case; a case that either refuses stays as it is."""
    if outcome.counted is None:
        return outcome
    try:
        return replace(
            outcome, checks=compare(Tally.of(cases.price(outcome.case, build=build)), outcome.counted), ours=""
        )
    except OmniplanError as error:
        return replace(outcome, checks=(), ours=str(error))


def column(check: Check) -> str:
    """The column a figure belongs to, whatever its buffer: "compute" of "CUDA0 compute"."""
    return check.what.split()[-1] if check.is_bytes else check.what


def report(outcomes: Sequence[Outcome]) -> bool:
    """Print one line a column and one for each figure that differs; whether none does."""
    shared = [outcome.is_refusal_shared for outcome in outcomes]
    kept = _line("refusal", shared, 0)
    priced = [outcome for outcome in outcomes if outcome.checks]
    for name in COLUMNS:
        rows = [[check for check in outcome.checks if column(check) == name] for outcome in priced]
        largest = max((abs(_difference(check)) for row in rows for check in row), default=0)
        kept &= _line(name, [all(check.planned == check.counted for check in row) for row in rows], largest)
    for outcome in outcomes:
        _show(outcome)
    return kept


def _line(name: str, equal: Sequence[bool], largest: int) -> bool:
    print(f"{name:22} {sum(equal):4} of {len(equal)} equal, at most {largest:,} off{'' if all(equal) else '  MISSED'}")
    return all(equal)


def _difference(check: Check) -> int:
    if isinstance(check.planned, int) and isinstance(check.counted, int):
        return check.counted - check.planned
    return int(check.planned != check.counted)


def _show(outcome: Outcome) -> None:
    label = cases.label(outcome.case)
    if not outcome.is_refusal_shared:
        print(f"{label}: only {'the library' if outcome.theirs else 'omniplan'}: {outcome.theirs or outcome.ours}")
    for check in outcome.checks:
        if check.planned != check.counted:
            print(f"{label}: {check.what} {check.planned} -> {check.counted}")


def certify(pair: tuple[Path, str]) -> str | None:
    """The verdict on the plan for a shipped model and machine: what differs, "" for nothing, None without a plan."""
    path, name = pair
    try:
        plan = omniplan.plan(path, omniplan.load_machine(name), n_ctx=32768, build=library.BUILD)
        found = omniplan.certify(plan, simulate=True, timeout=_SECONDS)
    except omniplan.Infeasible:
        return None
    return found.refused or ", ".join(found.differences)


def report_loads(pool: Executor) -> bool:
    """Print how far the recorded cases that load for real, and those of a CPU alone and of Metal, are ours."""
    outcomes = list(
        pool.map(ask, (*cases.load("loads"), *cases.load("tensor_split"), *cases.load("cpu"), *cases.load("metal")))
    )
    print(f"{len(outcomes)} cases that load, or that run on a CPU alone or on Metal")
    return report(outcomes)


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


def own() -> list[Case]:
    """Recorded cases that the oracle does not have: where its own do not show what moved, and embeddings."""
    oracle = {cases.label(case) for case in cases.load()}
    kept = (*cases.load(f"b{library.BUILD}"), *cases.load("embeddings"))
    return [case for case in kept if cases.label(case) not in oracle]


def recorded(outcomes: Sequence[Outcome]) -> list[Case]:
    """The library's figures that are worth keeping."""
    kept = {cases.label(case) for case in own()}
    rows = [(outcome.case, row(outcome)) for outcome in outcomes]
    return [
        new
        for i, (old, new) in enumerate(rows)
        if i % _RECORDED == 0 or cases.label(old) in kept or has_moved(old, new)
    ]


def has_moved(old: Case, new: Case) -> bool:
    """Whether a figure is another one than in the oracle; what a refusal says is no figure."""
    if "error" in old or "error" in new:
        return ("error" in old) != ("error" in new)
    held = {name: sizes for name, sizes in old["buffers"].items() if any(sizes)}
    return any(new[name] != value for name, value in {**old, "buffers": held}.items() if name in new)


def row(outcome: Outcome) -> Case:
    """What the library says of a case, in the form of the oracle's own file."""
    named = {name: outcome.case[name] for name in ("model", "machine", "args", "no_alloc") if name in outcome.case}
    if outcome.counted is None:
        return named | {"error": outcome.theirs}
    facts, splits = outcome.counted.facts, outcome.counted.graph_splits
    return named | {
        "n_ctx": facts["context"],
        "sched_copies": facts["pipeline copies"],
        "splits": splits and [splits.prefill, splits.decode],
        "layers": facts["layers"],
        "buffers": {n: [s.model, s.context, s.compute] for n, s in outcome.counted.buffers.items() if s.total},
    }


_REPORTS: Final = (report_loads, report_plans, projectors.report, drafts.report, fits.report)


def main() -> int:
    """Price the sample and the plans; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--every", type=int, default=4, help="take every N-th case, default 4")
    parser.add_argument(
        "--llama-cpp", type=build_number, default=library.BUILD, metavar="BUILD", help="price as this one"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the library's figures as lines of JSON")
    options = parser.parse_args()
    every = [case for case in (*cases.load(), *own()) if any(name in cases.label(case) for name in options.names)]
    sample = every if options.names else [*cases.load()[:: options.every], *own()]
    # Recorded by hand, of flags that the oracle's build lacks.
    later = [case for case in cases.load("moe_cache") if not options.names]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda case: ask(case, build=options.llama_cpp), (*sample, *later)))
        print(f"{len(sample)} cases of the oracle and {len(later)} of later flags,", end=" ")
        print(f"priced as b{options.llama_cpp}, counted by {library.pinned().source}")
        kept = report(outcomes)
        if options.record:
            options.record.write_text("".join(f"{json.dumps(row)}\n" for row in recorded(outcomes[: len(sample)])))
        if not options.names:
            # Every report, whatever the one before says.
            kept &= min([part(pool) for part in _REPORTS])
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())

"""Follows another build: its library counts a sample of the oracle, and what it counts otherwise than ours is named.

``python -m tests.oracle.track LIBRARY [--llama-cpp BUILD] [--cases N] [--record] [NAME ...]`` takes the file of a
wheel, "name==version" of one, or a folder of libllama and libggml. Ours is the build of the library, or the nearest one
that is known. ``--record`` writes what the library says of the cases that moved and of every eighth, and the figures of
docs/builds.md. 1 when a figure differs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from omniplan.certify.library import Library
from omniplan.certify.wheel import find
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.gguf.model.architectures import came
from omniplan.llamacpp.build import build_number, known
from tests.oracle import cases, drift, small
from tests.oracle.cases import DATA, Case
from tests.oracle.drift import COLUMNS, Outcome, column
from tests.oracle.strings import names

_SAMPLE: Final = 160
# Keeps a build's file at a small part of the sample.
_KEPT: Final = 8
FIGURES: Final = DATA / "oracle" / "tracked.json"
# What a figure may be under, of the bytes that the library counts.
_UNDER: Final = 0.01


def stratified(count: int) -> list[Case]:
    """Cases of every header and machine of the oracle: each header once or more, its cases evenly over machines."""
    by_header = {name: list(group) for name, group in groupby(sorted(cases.load(), key=_header), key=_header)}
    chosen: list[Case] = []
    for depth in range(max(map(len, by_header.values()))):
        for i, group in enumerate(by_header.values()):
            if depth < len(group) and len(chosen) < count:
                chosen.append(group[(i + depth) % len(group)])
    return chosen


def _header(case: Case) -> str:
    return str(case["model"])


def by_column(outcomes: Sequence[Outcome]) -> Mapping[str, tuple[int, int]]:
    """How many cases are exact, and how many were counted, by column."""
    priced = [outcome for outcome in outcomes if outcome.checks]
    return {name: (sum(is_exact(outcome, name) for outcome in priced), len(priced)) for name in COLUMNS}


def is_exact(outcome: Outcome, name: str) -> bool:
    """Whether every figure of a column is the library's."""
    return all(check.planned == check.counted for check in outcome.checks if column(check) == name)


def is_under(outcome: Outcome) -> bool:
    """Whether the compute bytes of a buffer are under by more than a hundredth."""
    return any(
        int(check.planned) < int(check.counted) * (1 - _UNDER)
        for check in outcome.checks
        if check.is_bytes and column(check) == "compute"
    )


def by_architecture(outcomes: Iterable[Outcome]) -> Mapping[str, list[str]]:
    """The columns that an architecture has wrong in some case."""
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        arch = cases.model(outcome.case["model"]).arch
        wrong = [name for name in COLUMNS if not is_exact(outcome, name)]
        wrong += ["refusal"] * (not outcome.is_refusal_shared)
        found[arch] = [*dict.fromkeys((*found.get(arch, ()), *wrong))]
    return {arch: wrong for arch, wrong in sorted(found.items()) if wrong}


def report(outcomes: Sequence[Outcome]) -> bool:
    """Print the figures by column, then what differs by architecture; whether nothing does."""
    kept = drift.report(outcomes)
    under = [cases.label(outcome.case) for outcome in outcomes if is_under(outcome)]
    print(f"compute under by more than {_UNDER:.0%}: {len(under)} of {len(outcomes)}", *under, sep="\n  ")
    for arch, wrong in by_architecture(outcomes).items():
        print(f"{arch}: {', '.join(wrong)}")
    return kept


def main() -> int:
    """Price the sample and say what moved; 1 when anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("library")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--build", type=build_number, help="the library's build, where its name does not say it")
    parser.add_argument("--llama-cpp", type=build_number, metavar="BUILD", help="price as this one")
    parser.add_argument("--cases", type=int, default=_SAMPLE, help=f"how many, default {_SAMPLE}")
    parser.add_argument("--record", action="store_true", help="keep what the library says under tests/data/oracle")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="omniplan-") as folder:
        asked = find(options.library, Path(folder), build=options.build)
        number = options.llama_cpp or known(asked.build).number
        chosen = _named(options.names) if options.names else sample(asked.build, options.cases)
        outcomes = count(asked, number, chosen)
        found = names(asked)
    print(f"{len(outcomes)} cases, priced as b{number}, counted by {asked.source}")
    print("architectures unknown to omniplan:", ", ".join(found.architectures) or "none")
    print("flags unknown to omniplan, other programs' among them:", ", ".join(found.flags) or "none")
    if options.record:
        lines = [json.dumps(drift.row(outcome)) for outcome in telling(asked.build, outcomes)]
        (DATA / "oracle" / f"b{asked.build}.jsonl").write_text("".join(f"{line}\n" for line in lines))
        keep(asked, outcomes)
    return int(not report(outcomes))


def telling(build: int, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those worth keeping: what the default build gets wrong, architectures that came later, and every so many."""
    later = {cases.label(case) for case in newer(build)}
    counted = [outcome for outcome in outcomes if outcome.counted is not None]
    return [
        outcome
        for i, outcome in enumerate(counted)
        if i % _KEPT == 0
        or cases.label(outcome.case) in later
        or any(check.planned != check.counted for check in drift.priced(outcome, DEFAULT_BUILD).checks)
    ]


def keep(asked: Library, outcomes: Sequence[Outcome]) -> None:
    """Put the figures of a build where ``tests.contracts.builds_page`` finds them."""
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kept[str(asked.build)] = {
        "source": asked.source,
        "cases": sum(bool(outcome.checks) for outcome in outcomes),
        "machines": len({outcome.case["machine"] for outcome in outcomes}),
        "architectures": len({cases.model(outcome.case["model"]).arch for outcome in outcomes if outcome.checks}),
        "exact": {name: exact for name, (exact, _) in by_column(outcomes).items()},
        "under": sum(map(is_under, outcomes)),
        "wrong": by_architecture(outcome for outcome in outcomes if outcome.checks),
    }
    FIGURES.write_text(json.dumps(dict(sorted(kept.items(), key=lambda item: int(item[0]))), indent=1) + "\n")


def sample(build: int, count: int) -> list[Case]:
    """``count`` cases of the oracle, some servers of embeddings, and recorded cases that show what a build changes."""
    changed = known(build).graphs
    recorded = [case for path in sorted((DATA / "oracle").glob("b[0-9]*.jsonl")) for case in cases.load(path.stem)]
    shown = [case for case in recorded if cases.model(case["model"]).arch in changed]
    pooled = cases.load("embeddings")[::5]
    chosen = {cases.label(case): case for case in (*newer(build), *shown, *pooled, *stratified(count))}
    return list(chosen.values())


def newer(build: int) -> list[Case]:
    """Cases of the architectures that came after the oracle, as far as ``build`` has them and we a header."""
    archs = [arch for arch, when in came().items() if DEFAULT_BUILD <= when.last < build and arch in small.MODELS]
    return [case for arch in archs for case in _small(arch)]


def _small(arch: str) -> Iterator[Case]:
    """Cases of a small model: with and without flash attention, parted over two GPUs, and with experts in RAM."""
    whole = "-c 4096 -np 1 -ub 496 -ngl 99"
    kinds = (
        ("-fa on", "rtx4090-arch"),
        ("-fa off", "rtx4090-arch"),
        ("-ts 1,1", "omni-arch"),
        ("-ot exps=CPU", "omni-arch"),
    )
    for args, machine in kinds:
        yield {"model": f"small/{arch}.gguf", "machine": machine, "args": f"{whole} {args}".split()}


def _named(words: Sequence[str]) -> list[Case]:
    return [case for case in (*cases.load(), *drift.own()) if any(word in cases.label(case) for word in words)]


def count(asked: Library, number: int, chosen: Sequence[Case]) -> list[Outcome]:
    """Every case priced as build ``number`` and counted by ``asked``."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(drift.ask, build=number, asked=asked), chosen))


if __name__ == "__main__":
    sys.exit(main())

"""Score the gain of speculative decoding against published rows; write docs/speculation.md.

``python benchmarks/speculation.py [FILE] [--check]``: FILE has rows as tests/data/measurements/speculative.jsonl, which
is the default. With a FILE, or with ``--check``, nothing is written; ``--check`` exits 1 when a target is missed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measured.headers import ROOT
from benchmarks.measured.speculative import FILE, RULE, SpeculativeRow, predicted, rows
from omniplan.domain.prediction import Speculation

PAGE: Final = ROOT / "docs/speculation.md"
MEDIAN_TARGET: Final = 0.2
SIGN_TARGET: Final = 0.9
_FAR: Final = 0.4

INTRODUCTION: Final = (
    "Gain is the decode speed with drafts over that without, on one machine. Published rows that have both",
    "([their sources](../tests/data/measurements/README.md)) are priced by `omniplan.predict` with the acceptance that",
    "the row states, or the default where it states none. Equations: [prediction.md](prediction.md). The constants",
    "that only drafts use (`gpu.columns_share`, `draft.pass`) were set while looking at these rows, from instructions",
    "per clock, so the figures are in-sample for them; everything else is what decoding has anyway.",
)
HOW: Final = (
    "The rule was set before anything was scored, and no row was taken out after. A dynamic quant counts as the plain",
    "one of its name, a quant that is not stated as Q4_K_M; of a range of acceptance over prompts the middle is taken.",
    "Qwen3.8-27B has the shape of Qwen3.6-27B; Qwen3.6-35B-A3B that of Qwen3.5-35B-A3B and one more layer as head.",
)
CAUSES: Final = {
    "q38-27b-mtp-19": "--spec-draft-p-min 0.85 ends drafts early, far fewer than 8 a round; not a paired run",
    "q38-27b-mtp-23": "12 drafts of which 0.95 and more are kept: ended early as well, and verified by other kernels",
    "q38-27b-mtp-41": "Apple's kernels are bound by arithmetic already at one token",
    "q38-27b-mtp-37": "faster by a third with drafts than two other rows of the same GPU and quant",
    "q38-27b-mtp-53": "a third party's quant, its size not stated",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A row beside what is said of it."""

    row: SpeculativeRow
    found: Speculation

    @property
    def error(self) -> float:
        """Predicted less measured gain."""
        return self.found.gain.value - self.row.gain

    @property
    def has_sign(self) -> bool:
        """Whether both say that drafts pay, or that they do not."""
        return (self.found.gain.value > 1) == (self.row.gain > 1)


def scores(known: list[SpeculativeRow]) -> list[Score]:
    """Every row with its prediction."""
    found = [(row, predicted(row).speculation) for row in known]
    return [Score(row=row, found=speculation) for row, speculation in found if speculation]


def line(label: str, found: list[Score]) -> str:
    """One row of the table of errors."""
    sizes = sorted(abs(score.error) for score in found)
    signs = sum(score.has_sign for score in found) / len(found)
    bias = median(score.error for score in found)
    p90 = sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))]
    return f"| {label} | {len(found)} | {median(sizes):.2f} | {p90:.2f} | {bias:+.2f} | {signs:.0%} |"


def table(found: list[Score]) -> list[str]:
    """Errors by where the model is."""
    kinds = sorted({score.row.kind for score in found})
    lines = ["| where | rows | median | p90 | bias | sign right |", "|---|---|---|---|---|---|"]
    lines += [line(kind, [score for score in found if score.row.kind == kind]) for kind in kinds]
    return [*lines, line("**all**", found), ""]


def page(known: list[SpeculativeRow], left_out: dict[str, int], found: list[Score]) -> str:
    """The report."""
    assumed = scores([replace(row, acceptance=None) for row in known])
    text = ["<!-- Written by benchmarks/speculation.py; do not edit. -->", "", "# How far gains by drafts are off", ""]
    text += [
        *INTRODUCTION,
        "",
        "## Which rows",
        "",
        f"{len(known) + sum(left_out.values())} rows; {len(known)} meet the rule.",
        "",
    ]
    text += ["| the rule, in this order | rows left out by it |", "|---|---|"]
    text += [f"| {part} | {left_out[part]} |" for part in RULE]
    text += ["", *HOW, "", "## Errors", "", "Predicted gain less measured:", "", *table(found)]
    text += ["With the default acceptance in every row, as if none had stated its own:", "", *table(assumed)]
    text += ["Targets: median 0.2, sign right in 90 %.", "", "## Rows", ""]
    text += ["| row | where | drafts | kept | predicted | measured | best drafts |", "|---|---|---|---|---|---|---|"]
    text += [
        f"| {s.row.id} | {s.row.kind} | {s.found.n_max} | {s.found.acceptance.value:.2f} | {s.found.gain.value:.2f} "
        f"| {s.row.gain:.2f} | {s.found.best_n_max} |"
        for s in found
    ]
    text += ["", f"More than {_FAR} off:", "", "| row | error | likely cause |", "|---|---|---|"]
    text += [
        f"| {s.row.id} | {s.error:+.2f} | {CAUSES.get(s.row.id, 'not known')} |" for s in found if abs(s.error) > _FAR
    ]
    return "\n".join(text) + "\n"


def main() -> int:
    """Score, and write the page of the rows in this repository."""
    files = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    known, left_out = rows(files[0] if files else FILE)
    found = scores(known)
    if not files and "--check" not in sys.argv:
        PAGE.write_text(page(known, left_out, found), encoding="utf-8")
    print(f"{len(known)} rows; left out: {dict(left_out)}", *table(found), sep="\n")
    middle, signs = median(abs(s.error) for s in found), sum(s.has_sign for s in found) / len(found)
    return int("--check" in sys.argv and (middle > MEDIAN_TARGET or signs < SIGN_TARGET))


if __name__ == "__main__":
    sys.exit(main())

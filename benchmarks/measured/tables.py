"""The tables of the accuracy page: errors by group, ranges, order, rigs by the others, and rows that are far off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import median

from benchmarks.measured.left_out import left_out
from benchmarks.measured.rows import Case
from benchmarks.measured.seeds import outcomes
from benchmarks.measured.spread import Score, coverage, ordered
from benchmarks.measured.words import CAUSES
from omniplan.domain.prediction import Phase
from omniplan.predict.accuracy import Accuracy, Devices


def p90(found: list[float]) -> float:
    """The error that nine of ten rows stay below."""
    return sorted(found)[min(len(found) - 1, int(0.9 * len(found)))]


def table(found: list[Score], name: str, key: Callable[[Case], str]) -> list[str]:
    """Errors by ``key``, largest group first."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in found:
        groups[key(score.case)].append(score)
    lines = [f"| {name} | rows | median | p90 | bias |", "|---|---|---|---|---|"]
    lines += [line(group, rows) for group, rows in sorted(groups.items(), key=lambda item: -len(item[1]))]
    return [*lines, line("**all**", found), ""]


def line(label: str, found: list[Score]) -> str:
    """One row of a table; the bias is the median of predicted over measured."""
    errors = [score.error for score in found]
    bias = median(score.ratio for score in found)
    return f"| {label} | {len(found)} | {median(errors):.1%} | {p90(errors):.1%} | {bias:+.1%} |"


def kind(case: Case) -> str:
    """Device class, back end where it is not CUDA, and generation of the build."""
    name = case.kind if case.backend in ("CUDA", "CPU") else f"{case.kind}, {case.backend}"
    return f"{name}, builds of 2024" if case.is_old else name


def errors(rows: Mapping[Devices, Mapping[Phase, Accuracy]]) -> list[str]:
    """The rows of data/accuracy.toml as a table."""
    lines = [
        "| device class | phase | rows | median | p90 | pairs | their median | their p90 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for devices, phases in rows.items():
        for phase, row in phases.items():
            one, two = f"{row.median:.1%} | {row.p90:.1%}", f"{row.pair_median:.1%} | {row.pair_p90:.1%}"
            lines.append(f"| {devices} | {phase} | {row.n_rows} | {one} | {row.n_pairs} | {two} |")
    return lines


def ranges(phases: Mapping[str, list[Score]]) -> list[str]:
    """How many rows lie in the range that all other rigs have, per device class and phase."""
    lines = ["| device class | phase | rows | in the range of the other rigs | median width |", "|---|---|---|---|---|"]
    for devices in Devices:
        for phase, found in phases.items():
            row = coverage(found, devices)
            lines.append(f"| {devices} | {phase} | {row.n_rows} | {row.share:.0%} | x {row.width:.2f} |")
    return lines


def order(phases: Mapping[str, list[Score]]) -> list[str]:
    """How often the faster of two configurations is predicted to be the faster one."""
    lines = ["| phase | pairs | in the right order |", "|---|---|---|"]
    for phase, found in phases.items():
        right = list(ordered(found))
        lines.append(f"| {phase} | {len(right)} | {sum(right) / max(1, len(right)):.1%} |")
    return lines


def by_others(own: list[Case]) -> list[str]:
    """Errors and order with constants fitted to all rows, and fitted without the rig that is predicted."""
    fits = left_out(own)
    lines = [
        "| constants fitted to | phase | rows | median | p90 | bias | pairs in the right order |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, phases in fits.items():
        for phase, found in phases.items():
            right = list(ordered(score for score in found if not score.case.is_old))
            lines.append(f"{line(f'{name} | {phase}', found)} {sum(right) / max(1, len(right)):.1%} |")
    lines.append("")
    for phase, found in fits["other rigs"].items():
        lines += [f"{phase.capitalize()}, fitted to other rigs:", "", *table(found, "device class", kind)]
    return lines


def worst(found: list[Score]) -> list[str]:
    """Rows that are more than 40 % off, with the cause."""
    lines = ["| row | predicted | measured | error | likely cause |", "|---|---|---|---|---|"]
    for score in sorted(found, key=lambda score: -score.error):
        if score.error > 0.4:
            cause = next((text for start, text in CAUSES.items() if score.case.id.startswith(start)), "not known")
            rates = f"{score.predicted:,.4g} | {score.measured:,.4g}"
            lines.append(f"| {score.case.id} | {rates} | {score.ratio:+.0%} | {cause} |")
    return [*lines, ""]


def seeds() -> list[str]:
    """The diaries' own speeds."""
    lines = ["| run | splits | predicted | measured | error | why |", "|---|---|---|---|---|---|"]
    for found in outcomes():
        seed, value = found.seed, found.prediction.decode_tokens_per_second
        span = "-".join(f"{end:g}" for end in dict.fromkeys(seed.measured))
        predicted = f"{value.value:.3g} ({value.low:.3g}-{value.high:.3g})"
        lines.append(f"| {seed.what} | {found.splits} | {predicted} | {span} | {found.error:+.0%} | {seed.why} |")
    return [*lines, ""]

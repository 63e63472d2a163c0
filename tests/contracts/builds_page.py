"""The page docs/builds.md, made from data/builds.toml and the figures of ``tests.oracle.track``; --write renews it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from omniplan.gguf.model import architectures
from omniplan.llamacpp.build import BuildRow, RuleRow, Rules, rows
from tests.contracts.sources import ROOT
from tests.oracle.drift import COLUMNS
from tests.oracle.track import FIGURES

PAGE: Final = ROOT / "docs" / "builds.md"
_MEANING: Final = re.compile(r"^    (\w+): (.+?\.)$", re.MULTILINE | re.DOTALL)
_BESIDE: Final = ("source", "last", "until")
_HEAD: Final = """\
<!-- Made by `python -m tests.contracts.builds_page --write` from builds.toml and tests/data/oracle/tracked.json. -->
# Builds of llama.cpp

A build is a value: it does what another build does, but for its own rows in `data/builds.toml`. Each row says the last
build that is known to have it and the first that is known to have the other value, so a build between two known ones
has the rules that hold for it. A build within such an interval has what the nearer end has.

## What each build's own library counts

The library of the build counts a sample of the oracle, GPUs simulated, and the price is held to every figure
(`make track LIBRARY=...`). A column says in how many of the cases every figure is exact; *under* is how many cases have
a compute buffer that is more than 1 % smaller than counted.

"""
_SINCE: Final = """
## What differs, and since when

"""


def page() -> str:
    """The whole page."""
    figures: dict[str, dict[str, Any]] = json.loads(FIGURES.read_text())
    parts = [_HEAD, *_table(figures), "\n", *_misses(figures), _SINCE]
    for number, row in sorted(rows().items()):
        parts += [*_build(number, row)]
    return "".join([*parts, *_architectures()])


def _table(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"| build | cases | architectures | machines | {' | '.join(COLUMNS)} | under |\n"
    yield "|---" * (len(COLUMNS) + 5) + "|\n"
    for number, kept in figures.items():
        exact = " | ".join(str(kept["exact"][name]) for name in COLUMNS)
        counts = f"{kept['cases']} | {kept['architectures']} | {kept['machines']}"
        yield f"| b{number} | {counts} | {exact} | {kept['under']} |\n"


def _misses(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for number, kept in figures.items():
        if wrong := "; ".join(f"{arch} ({', '.join(names)})" for arch, names in kept["wrong"].items()):
            yield f"- b{number}, not exact in some case: {wrong}.\n"


def _build(number: int, row: BuildRow) -> Iterator[str]:
    base = f", otherwise as b{row.based_on}" if row.based_on else ""
    base += "" if row.is_held else "; no library holds it, so that its bytes are not known"
    yield f"### b{number}\n\nSource: {row.source}{base}.\n\n"
    lines = [*_rules(row.rules), *_rules(row.fusions), *_facts("graph", row.graphs), *_facts("loader", row.loaders)]
    if lines:
        yield "| what | value | changed | source |\n|---|---|---|---|\n"
        yield from lines
        yield "\n"


def _rules(stated: Mapping[str, RuleRow]) -> Iterator[str]:
    meanings = {name: " ".join(text.split()) for name, text in _MEANING.findall(Rules.__doc__ or "")}
    for name, rule in stated.items():
        what = f"`{name}`: {meanings[name]}" if name in meanings else f"`{name}` of CUDA's fusions"
        yield f"| {what} | {_value(rule.value)} | {_interval(rule.last, rule.until)} | {rule.source} |\n"


def _facts(kind: str, stated: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for arch, facts in stated.items():
        values = ", ".join(f"{name} {_value(fact)}" for name, fact in facts.items() if name not in _BESIDE)
        changed = _interval(facts.get("last", 0), facts.get("until", 0))
        yield f"| {kind} of {arch} | {values} | {changed} | {facts['source']} |\n"


def _value(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"`{value}`"


def _interval(last: object, until: object) -> str:
    return f"after b{last}, by b{until}" if until else ""


def _architectures() -> Iterator[str]:
    yield "## Architectures that came later\n\nOf those b11434 knows; the others are in b8929.\n\n"
    yield "| architecture | after | by |\n|---|---|---|\n"
    for name, came in architectures.came().items():
        yield f"| {name} | b{came.last} | b{came.until} |\n"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page())

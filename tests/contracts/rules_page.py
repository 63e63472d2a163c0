"""The page docs/rules.md, made from data/rules.toml; run with --write to renew it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from omniplan.check.table import CheckRule, Need, rows
from tests.contracts.sources import ROOT

PAGE: Final = ROOT / "docs" / "rules.md"
_HEAD: Final = """\
<!-- Made by `python -m tests.contracts.rules_page --write` from data/rules.toml. -->
# Rules of omniplan check

{count} rules, by subject. An **error** is that the server will not start or not fit, a **warning** that it will not do
what is meant, an **info** all else: a choice, a cost, a fact of the machine. A rule may report less than its severity
where model and machine show that it does no harm. Rules marked *model* or *machine* are asked only when these are at
hand; many others say more then.
"""
_TITLES: Final = {
    "arguments": "Single arguments",
    "written": "How a command is written",
    "files": "Model files",
    "fitting": "What fits, and --fit",
    "overrides": "Tensor overrides",
    "split": "Dividing over GPUs",
    "cache": "Context, slots and cache",
    "batch": "Batches",
    "host": "RAM, threads and NUMA nodes",
    "comments": "Comments",
    "conf": "models.conf and .env",
    "build": "Builds and containers",
    "together": "Several servers",
}


def page() -> str:
    """The whole page."""
    table = rows()
    parts = [_HEAD.format(count=len(table))]
    for subject, group in groupby(table.values(), key=lambda row: row.subject):
        parts += [f"\n## {_TITLES[subject]}\n", *(line for row in group for line in _entry(row))]
    return "\n".join(parts)


def _entry(row: CheckRule) -> Iterator[str]:
    needs = [need for need in row.needs if need in (Need.MODEL, Need.MACHINE)]
    also = f", needs {' and '.join(f'*{need}*' for need in needs)}" if needs else ""
    yield f"### {row.id}\n"
    yield f"**{row.severity}**{also}: {_text(row.title)}.\n"
    yield f"- why: {_text(row.why)}"
    yield f"- fix: {_text(row.fix)}"
    yield f"- source: {_linked(_text(row.source))}\n"


def _linked(text: str) -> str:
    """Sources on other pages and sites as links from this one; a commit is a link to its files."""
    text = re.sub(r"docs/([\w-]+\.md(?:#[\w-]+)?)", r"[\1](\1)", text)
    text = re.sub(r"\b(github\.com/[\w-]+/[\w.-]+) @ ([0-9a-f]{7,40})\b", r"[\1 @ \2](https://\1/tree/\2)", text)
    return re.sub(r"(?<![\w/\[.-])((?:[a-z0-9-]+\.)+(?:com|org|io|dev)/[\w./#-]*\w)", r"[\1](https://\1)", text)


def _text(text: str) -> str:
    """Markdown of a row's text: what it would take for markup stays text."""
    return text.replace("\\", "\\\\").replace("${", "\\${").replace("[section]", "\\[section\\]").replace("*", "\\*")


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())

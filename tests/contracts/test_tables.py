"""The shipped tables: in order, each row with a source, nothing unknown, and the page made from them up to date."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from omniplan.check.table import rows
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.machine import Machine, Reservation
from omniplan.domain.params import ServerParams
from omniplan.gguf.model import architectures
from omniplan.llamacpp.flags.table import load_flags
from omniplan.machines.files import load_machine, shipped
from tests.contracts import builds_page, rules_page
from tests.contracts.architectures_page import PAGE, page
from tests.contracts.sources import ROOT
from tests.offenders import offenders

DATA = ROOT / "data"
TABLES = sorted(DATA.glob("*.toml"))
# Units at the end of a field's name; a machine file never holds bare bytes.
_UNITS = re.compile(r"_(mib|gbs|mts|tflops|tops|w)$")


def table(name: str) -> dict[str, Any]:
    return tomllib.loads((DATA / name).read_text(encoding="utf-8"))


def test_every_table_starts_with_what_it_holds() -> None:
    """The first line is a comment: a table explains itself where it is edited."""
    assert [path.name for path in TABLES if not path.read_text(encoding="utf-8").startswith("# ")] == []


def test_every_table_names_its_sources() -> None:
    """A source stands in each row, or once for the whole table."""
    assert [path.name for path in TABLES if not _has_sources(table(path.name))] == []


def _has_sources(raw: dict[str, Any]) -> bool:
    shared = raw.get("source") or raw.get("default", {}).get("source")
    rows = [row for group in raw.values() if isinstance(group, dict) for row in _rows(group)]
    return bool(shared) or (bool(rows) and all(row.get("source") for row in rows))


def _rows(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a group, or the group itself where it is one; lists such as instruction sets are no rows."""
    inner = [row for row in group.values() if isinstance(row, dict)]
    if inner and len(inner) == len(group):
        return inner
    return [group] if any(not isinstance(value, list) for value in group.values()) else []


def test_rows_are_sorted() -> None:
    """One place for each row, so that two people do not add the same one twice."""
    names = list(table("architectures.toml")["arch"])

    assert sorted(names) == names


def test_lists_of_names_are_sorted() -> None:
    """Architectures as llama.cpp's list is, refused ones by name."""
    refused = table("split_mode_tensor.toml")["unsupported"]

    assert sorted(refused) == refused
    assert set(refused) <= architectures.known()


def test_architecture_rows_name_known_architectures() -> None:
    """A misspelt name would never apply."""
    assert set(architectures.rows()) - architectures.known() == set()


def test_flags_set_fields_that_exist() -> None:
    """``param`` and ``sets`` name fields of ``ServerParams`` (or of its draft model and n-grams)."""
    usual = ServerParams()
    inner = {f"{group}.{item.name}" for group in ("draft", "ngram") for item in fields(getattr(usual, group))}
    known = {item.name for item in fields(usual)} | inner
    used = {name for row in load_flags() for name in (row.param, *row.sets) if name}

    assert used - known == set()


def test_flags_cite_the_line_that_defines_them() -> None:
    """A flag's source is a line of llama.cpp's own parser; only a removed or a newer one may be absent there."""
    line, absent = re.compile(r"common/arg\.cpp:\d+"), "absent from common/arg.cpp"
    is_other = {row.key: row.is_removed or row.since > DEFAULT_BUILD for row in load_flags()}
    wrong = [
        row.key
        for row in load_flags()
        if not line.match(row.source) and not (is_other[row.key] and row.source.startswith(absent))
    ]

    assert wrong == []


MACHINE_FACTS: dict[str, Callable[[Machine], bool]] = {
    "has a description": lambda machine: bool(machine.description),
    "has a source": lambda machine: bool(machine.source),
    "a reason for all that is reserved": lambda machine: all(row.reason for row in _reserved(machine)),
}


def _reserved(machine: Machine) -> list[Reservation]:
    own = [row for gpu in machine.gpus for row in gpu.reserved]
    return [*own, *(machine.memory.reserved if machine.memory else ())]


def test_machines_say_where_their_facts_come_from() -> None:
    """A profile has a description and a source, and every reserved amount has a reason."""
    assert offenders({name: load_machine(name) for name in shipped()}, MACHINE_FACTS) == []


def test_machine_units_are_in_the_names() -> None:
    """Sizes and rates carry their unit, counts and facts do not need one."""
    raw = table("machines/omni-nps1.toml")

    assert all(_UNITS.search(key) or value < 10_000 for key, value in _numbers(raw))


def _numbers(raw: object, key: str = "") -> list[tuple[str, float]]:
    if isinstance(raw, dict):
        return [pair for name, value in raw.items() for pair in _numbers(value, name)]
    if isinstance(raw, list):
        return [pair for value in raw for pair in _numbers(value, key)]
    return [(key, raw)] if isinstance(raw, int | float) and not isinstance(raw, bool) else []


def test_the_architectures_page_is_current() -> None:
    """Renew it with ``python -m tests.contracts.architectures_page --write``."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_builds_page_is_current() -> None:
    """Renew it with ``python -m tests.contracts.builds_page --write``."""
    assert builds_page.PAGE.read_text(encoding="utf-8") == builds_page.page()


def test_the_rules_page_is_current() -> None:
    """Renew it with ``python -m tests.contracts.rules_page --write``."""
    assert rules_page.PAGE.read_text(encoding="utf-8") == rules_page.page()


def test_lessons_name_rules_and_every_rule_is_a_lesson() -> None:
    """A link to a rule that is gone helps nobody, and a rule without a story is a rule nobody asked for."""
    linked = re.findall(r"\[([a-z0-9-]+)\]\(rules\.md#([a-z0-9-]+)\)", (ROOT / "docs" / "lessons.md").read_text())

    assert [pair for pair in linked if pair[0] != pair[1]] == []
    assert {name for name, _ in linked} == set(rows())

"""Every rule finds what it is for, and not the nearest thing to it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import omniplan
from omniplan.check import document
from omniplan.check.engine import check
from omniplan.check.registry import COMMAND_RULES, FILE_RULES
from omniplan.check.table import rows
from omniplan.check.values import CheckReport, Severity
from tests.oracle import cases
from tests.unit.check.cases import ROWS, Row

# Rules about files that must lie on disk have tests of their own.
ON_DISK = {"model-unreadable", "architecture-unknown", "draft-of-another-kind"}


def report(row: Row, text: str, folder: Path) -> CheckReport:
    """The check of one side of a row."""
    model = cases.model(row.model) if row.model else None
    machine = omniplan.load_machine(row.machine) if row.machine else None
    if row.file:
        found = document.read(str(folder / row.file), text)
    else:
        found = document.of_arguments(shlex.split(text.replace("\\", "\\\\")), {})
    return check(found, model=model, machine=machine, only={row.rule})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rule}: {row.bad[:40]!r}")
def test_found_and_not_found(row: Row, tmp_path: Path) -> None:
    """The bad side has the finding, at no worse than the rule's severity, and the good side has not.

    The first row of a rule reaches that severity.
    """
    found = report(row, row.bad, tmp_path).of(row.rule)
    is_first = next(other for other in ROWS if other.rule == row.rule) is row

    assert found
    assert not is_first or rows()[row.rule].severity in {item.severity for item in found}
    assert all(list(Severity).index(item.severity) >= list(Severity).index(rows()[row.rule].severity) for item in found)
    assert report(row, row.good, tmp_path).of(row.rule) == ()


def test_rows_and_functions_are_the_same_rules() -> None:
    """No row without a function, no function without a row, and an example of each."""
    assert set(rows()) == {*COMMAND_RULES, *FILE_RULES}
    assert set(COMMAND_RULES) & set(FILE_RULES) == set()
    assert set(rows()) == {row.rule for row in ROWS} | ON_DISK

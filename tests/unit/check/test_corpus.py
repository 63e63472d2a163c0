"""Files of every kind that people write, each with what must be found in it and nothing else."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

import omniplan
from omniplan.check.values import Severity
from omniplan.errors import ExitCode

FOLDER: Final = Path(__file__).parents[2] / "data" / "check"
EXPECTED: Final[dict[str, dict[str, Any]]] = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))


def test_every_file_is_expected() -> None:
    """No file without an expectation, and no expectation without a file; there are at least sixty."""
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()} - {"expected.toml"}

    assert files == set(EXPECTED)
    assert len(files) >= 60


@pytest.mark.parametrize("name", EXPECTED)
def test_what_must_be_found_is_found_and_nothing_else(name: str, tmp_path: Path) -> None:
    """Commands, lines and rules of all that is above info; the mended file has nothing left to mend."""
    expected = EXPECTED[name]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((FOLDER / name).read_bytes())
    report = omniplan.check(path)
    found = sorted(f"{item.line} {item.rule}" for item in report.findings if item.severity is not Severity.INFO)

    assert report.n_commands == expected["commands"]
    assert found == sorted(expected["findings"])
    assert ExitCode.of(report.verdict) == expected.get("exit", ExitCode.BAD if found else ExitCode.GOOD)
    added = "\n".join(line for line in report.diff.splitlines() if line.startswith("+"))
    assert [text for text in expected.get("fix", ()) if text not in added] == []
    subprocess.run(["patch", "--binary", "-s", str(path)], input=report.diff.encode(), cwd=path.parent, check=True)
    assert omniplan.check(path).diff == ""

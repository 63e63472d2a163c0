"""What is said of bad input: one line, and 2 from every verb."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from omniplan.cli.main import main
from omniplan.errors import OmniplanError


def check_refused(argv: Sequence[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout; one line on stderr that names what is wrong or what to write instead."""
    code = main(argv)
    shown = capsys.readouterr()

    assert code == 2
    assert shown.out == ""
    assert shown.err.startswith("omniplan: ")
    assert shown.err.count("\n") == 1
    assert says in shown.err


def check_one_line(error: OmniplanError) -> None:
    """What the command prints of an error is one line."""
    assert "\n" not in str(error)

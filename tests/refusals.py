"""What every verb does with bad input: 2, and one line on stderr."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from omniplan.cli.main import main


def check_refused(argv: Sequence[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout; one line on stderr that names what is wrong or what to write instead."""
    code = main(argv)
    shown = capsys.readouterr()

    assert code == 2
    assert shown.out == ""
    assert shown.err.startswith("omniplan: ")
    assert shown.err.count("\n") == 1
    assert says in shown.err

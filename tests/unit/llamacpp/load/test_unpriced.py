"""What the arguments load besides the model is said, since no figure holds it."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.cli.main import main

DENSE = Path(__file__).parents[3] / "data" / "models" / "archs" / "llama-dense.gguf"
ARGS = ["-ngl", "99", "-c", "4096"]


@pytest.mark.parametrize(
    ("extra", "subject"),
    [
        (["--mmproj", "projector.gguf"], "--mmproj"),
        (["-md", "draft.gguf"], "--spec-draft-model"),
        (["--spec-type", "draft-mtp"], "--spec-type draft-mtp"),
    ],
)
def test_is_named_and_changes_no_figure(extra: list[str], subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The model's own bytes stay, the verb's text names the flag."""
    machine = omniplan.load_machine("single-3090")
    plain = omniplan.footprint(DENSE, machine, ARGS)

    priced = omniplan.footprint(DENSE, machine, [*ARGS, *extra])
    code = main(["footprint", str(DENSE), "--machine", "single-3090", "--", *ARGS, *extra])

    assert plain.assumptions == ()
    assert [subject] == [item.subject for item in priced.assumptions]
    assert plain.buffers == priced.buffers
    assert code == 0
    assert f"- {subject}: no bytes are counted" in capsys.readouterr().out

"""The verb that plans: what cannot be asked is one line that names the option."""

from __future__ import annotations

import pytest

from tests.contracts.sources import ROOT
from tests.refusals import check_refused

TINY = str(ROOT / "tests/data/models/archs/llama-dense.gguf")
Run = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--cache-type", "f16,q8_0", "--cache-type-v", "q8_0"], "--cache-type f16,q8_0: several are of K and V"),
        (["--n-prompt", "-1"], "--n-prompt -1: expected 0 or more"),
        (["--n-gen", "-1"], "--n-gen -1: expected 0 or more"),
        (["--n-prompt", "0", "--n-gen", "0"], "--n-gen 0: expected at least one token"),
        (["--calibration", "nowhere.toml"], "nowhere.toml: cannot be read: No such file"),
        (["--calibration", str(ROOT / "README.md")], "README.md: not a TOML calibration file"),
    ],
)
def test_bad_input_is_one_line_and_2(more: list[str], says: str, capsys: Run) -> None:
    """Nothing on stdout; one line on stderr."""
    check_refused(["plan", TINY, "--machine", "single-3090", *more], says, capsys)

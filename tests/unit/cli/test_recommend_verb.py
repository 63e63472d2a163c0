"""The verb: codes, one-line errors, and JSON that keeps its schema."""

from __future__ import annotations

import json

import jsonschema
import pytest

from omniplan.api.documents import schema
from omniplan.cli.main import main
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

TINY = str(ROOT / "tests/data/models/archs/llama-dense.gguf")
DEEPSEEK = str(ROOT / "data/models/DeepSeek-R1-Q4_K_M.gguf")
ASK = ["recommend", TINY, "--machine", "single-3090", "--ctx", "4096"]

Run = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--what-if-quant", "Q4_KM"], "did you mean Q4_K_M"),
        (["--ctx", "0"], "--ctx 0: expected at least 1"),
        (["--objective", "joy"], "expected one of request, decode, prompt"),
        (["--cache-type", "f8"], "f8"),
        (["--machine", "nowhere"], "single-3090"),
    ],
)
def test_bad_input_is_one_line_and_2(more: list[str], says: str, capsys: Run) -> None:
    """Nothing on stdout; one line on stderr."""
    check_refused([*ASK, *more], says, capsys)


def test_json_keeps_its_schema(capsys: Run) -> None:
    """Files and estimates in one document."""
    code = main([*ASK, "--what-if-quant", "Q8_0", "--json"])
    document = json.loads(capsys.readouterr().out)

    jsonschema.validate(document, schema("recommendation"))
    assert code == 0
    assert [False, True] == sorted(option["is_estimate"] for option in document["options"])


def test_nothing_fits_is_1(capsys: Run) -> None:
    """With what is missing."""
    code = main(["recommend", DEEPSEEK, "--machine", "single-3090", "--ctx", "4096", "--what-if-quant", "Q8_0"])

    assert code == 1
    assert "short by" in capsys.readouterr().out

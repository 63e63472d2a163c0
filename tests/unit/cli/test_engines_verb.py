"""The verb: codes, one-line errors, JSON that keeps its schema."""

from __future__ import annotations

import json

import jsonschema
import pytest

from omniplan.api.documents import schema
from omniplan.cli.main import main
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

TINY = str(ROOT / "tests/data/models/archs/llama-moe.gguf")
DEEPSEEK = str(ROOT / "data/models/DeepSeek-R1-Q4_K_M.gguf")
ASK = ["engines", TINY, "--machine", "single-3090"]

Run = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--as-of", "yesterday"], "expected a day such as 2026-01-23"),
        (["--site", "cuda=new"], "site.cuda"),
        (["--engine-version", "vllm"], "expected ENGINE=VERSION"),
        (["--engine-version", "tgi=3"], "engine tgi: unknown"),
        (["--engine-version", "vllm=new"], "engine vllm: version 'new': expected numbers"),
        (["--ctx", "0"], "--ctx 0: expected at least 1"),
    ],
)
def test_bad_input_is_one_line_and_2(more: list[str], says: str, capsys: Run) -> None:
    """Nothing on stdout; one line on stderr."""
    check_refused([*ASK, *more], says, capsys)


def test_json_keeps_its_schema(capsys: Run) -> None:
    """Every engine with its ways, findings, memory and launch line."""
    code = main([*ASK, "--site", "weights=gguf,bf16", "--json"])
    document = json.loads(capsys.readouterr().out)

    jsonschema.validate(document, schema("weighing"))
    assert code == 0
    assert "llama.cpp" == document["engines"][0]["engine"]


def test_no_engine_at_all_is_1(capsys: Run) -> None:
    """A model too large for one small machine, with the sums of each."""
    code = main(["engines", DEEPSEEK, "--machine", "single-3090", "--ctx", "4096", "--site", "weights=gguf", "-v"])
    shown = capsys.readouterr().out

    assert code == 1
    assert "short by" in shown
    assert "viable" not in shown

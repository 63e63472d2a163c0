"""Types of every tensor against what llama-quantize b11434 says of the same headers in its dry run.

``tests/data/oracle/quantize.jsonl`` holds digests of its answers, written by ``benchmarks/quantize_oracle.py``: every
quant, with and without an importance matrix, and ``--pure``. ``OMNIPLAN_EXAMPLES=40`` asks about every header.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import Any, Final

import pytest

from omniplan.errors import UnsupportedModel
from omniplan.llamacpp.quant.quantize import QuantRecipe, quantized_types
from omniplan.llamacpp.quant.requantise import quant_name, requantise
from omniplan.llamacpp.quant.table import Mix, quantize_rules
from tests.oracle import cases

_LINES: Final = (cases.DATA / "oracle" / "quantize.jsonl").read_text().splitlines()
QUANTS: Final[list[str]] = json.loads(_LINES[0])["quants"]
HEADERS: Final[list[dict[str, Any]]] = [json.loads(line) for line in _LINES[1:]]
WAYS: Final = {"plain": (False, False), "imatrix": (True, False), "pure": (False, True)}
# Models of every branch of the rules: eight experts, 70B, grouped heads, MLA, falcon, glm5-next, tied, ragged rows.
ALWAYS: Final = (
    "Mixtral-8x7B-Q4_K_M", "Llama-3.3-70B-Q4_K_M", "GLM-4.7-Flash-Q8_0", "falcon-dense", "glm5-next-moe",
    "bailingmoe3-moe", "Qwen3-0.6B-Q8_0", "gpt-oss-20b-MXFP4_MOE", "Mamba-Codestral-7B-Q4_K_M", "arwkv7-dense",
)  # fmt: skip
_STEP: Final = max(1, 40 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))
SAMPLE: Final = [
    row
    for index, row in enumerate(HEADERS)
    if index % _STEP == 0 or row["file"].removesuffix(".gguf") in ALWAYS
]  # fmt: skip
# Both are files, and each is the other's estimate.
PAIRS: Final = (
    ("DeepSeek-R1-Q8_0", "DeepSeek-R1-Q4_K_M-00001-of-00009"),
    ("DeepSeek-R1-Q2_K", "DeepSeek-R1-Q3_K_M"),
    ("GLM-4.7-Flash-Q8_0", "GLM-4.7-Flash-Q4_K_M"),
    ("Llama-3.3-70B-Q8_0", "Llama-3.3-70B-Q4_K_M"),
    ("Qwen2.5-Coder-7B-Q8_0", "Qwen2.5-Coder-7B-Q4_K_M"),
    ("Qwen3-30B-A3B-Q8_0", "Qwen3-30B-A3B-Q4_K_M"),
    ("Qwen3-Next-80B-A3B-Q5_K_M-00001-of-00002", "Qwen3-Next-80B-A3B-Q4_K_M"),
)


def digest(name: str, mix: Mix, *, imatrix: bool, pure: bool) -> str:
    """What the oracle keeps of an answer; that of an empty one where llama-quantize gives up."""
    try:
        types = quantized_types(cases.model(name), QuantRecipe(mix=mix, imatrix=imatrix, pure=pure))
    except UnsupportedModel:
        types = {}
    return sha256("\n".join(f"{key} {types[key].name}" for key in sorted(types)).encode()).hexdigest()[:8]


def test_the_oracle_was_asked_about_every_quant() -> None:
    """A quant added to the table needs an answer to be checked against."""
    assert list(quantize_rules().mixes) == QUANTS


@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: row["file"])
def test_every_type_is_llama_quantize_s(row: dict[str, Any]) -> None:
    """Every quant of a header, three ways each: the type of every single tensor."""
    mixes = quantize_rules().mixes.values()
    ours = {
        f"{mix.name} {way}": digest(row["file"], mix, imatrix=imatrix, pure=pure)
        for way, (imatrix, pure) in WAYS.items()
        for mix in mixes
    }

    assert {f"{name} {way}": text for way in WAYS for name, text in zip(QUANTS, row[way].split(), strict=True)} == ours


@pytest.mark.parametrize("pair", [*PAIRS, *(pair[::-1] for pair in PAIRS)], ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_an_estimate_is_the_other_file(pair: tuple[str, str]) -> None:
    """Types of all tensors and the size to the byte; the acceptance asks for 90 % and 1 %."""
    source, target = (cases.model(name) for name in pair)
    estimate = requantise(source, quant_name(target.header)).header

    assert {tensor.name: tensor.type.name for tensor in target.header.tensors} == {
        tensor.name: tensor.type.name for tensor in estimate.tensors
    }
    assert target.header.tensor_bytes == estimate.tensor_bytes
    assert estimate.file_bytes == pytest.approx(target.header.file_bytes, rel=1e-4)

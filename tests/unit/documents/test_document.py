"""Documents of ours as text: another version, another form, and what is no JSON are one line with the file's name."""

from __future__ import annotations

from functools import cache

import pytest

import omniplan
from omniplan.api.documents import parse_plan
from omniplan.errors import InputError
from tests.contracts.sources import ROOT
from tests.refusals import check_one_line


@cache
def written() -> str:
    """A plan as it is written."""
    return omniplan.plan(ROOT / "tests/data/models/archs/llama-dense.gguf", "single-3090", n_ctx=4096).to_json()


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_plan(text, where="P.json")
    check_one_line(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "P.json: not JSON: "),
        ("[" * 100_000, "P.json: not JSON: "),
        ('{"schema_version": ' + "1" * 5000 + "}", "P.json: not JSON: "),
        ("[]", "P.json: schema_version is None, this omniplan reads"),
    ],
    ids=["half", "deep", "long", "list"],
)
def test_what_is_no_document_is_one_line(text: str, says: str) -> None:
    """With the file's name and the reason."""
    assert refused(text).startswith(says)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"strategy"', '"stratagy"', "P.json: stratagy: unknown key; did you mean 'strategy'?"),
        ('"n_ctx": 4096', '"n_ctx": "4096"', "P.json: request.n_ctx: expected a number"),
        ('"name": "CUDA0"', '"name": 0', "P.json: machine.gpus[0].name: expected text"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(old: str, new: str, says: str) -> None:
    """Inside the document, however deep."""
    assert refused(written().replace(old, new, 1)).startswith(says)


def test_the_text_is_the_plan() -> None:
    """What was written is what is read."""
    assert parse_plan(written()).to_json() == written()

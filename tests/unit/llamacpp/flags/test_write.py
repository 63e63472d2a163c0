"""Parameters as a command line: what is written is read as the same again, in few words and a fixed order."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.params import DraftParams, NgramParams, ServerParams
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags import write as module
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, load_flags, spellings
from omniplan.llamacpp.flags.write import write
from tests.property.strategies import examples

_NUMBERS = st.integers(-3, 70000).map(str)
_WORDS = st.text('ab=," .\\[1', max_size=8)
_LISTS = {
    "override-tensor": st.sampled_from(["a=CPU", r"blk\.1\..*=CUDA0,b=CPU", "x=CPU"]),
    "spec-draft-override-tensor": st.sampled_from(["a=CPU", "b=CUDA0,c=CPU"]),
    "tensor-split": st.lists(st.floats(0, 1000, width=32) | st.integers(0, 99), min_size=1, max_size=15),
    "fit-target": st.lists(st.integers(0, 5000), min_size=1, max_size=15),
    "override-kv": st.sampled_from(
        ["a=int:-3", "b=float:0.1", "c=bool:true", '"d=str:x,""y""",e=bool:false', "f=str:"],
    ),
    "lora-scaled": st.sampled_from(["a.gguf:0.5", "b:1", '"x,y.gguf:2",c:-3e-5', "d:0", "no scale"]),
    "control-vector-scaled": st.sampled_from(["v.gguf:0.1", "w:-1,x:1", "a:b:2"]),
    "spec-type": st.sampled_from(["draft-mtp", "none", "ngram-mod,draft-simple"]),
    "device": st.sampled_from(["none", "CUDA0", "CUDA1,CUDA0"]),
    "n-cpu-moe": st.integers(0, 5),
    "n-cpu-ffn": st.integers(0, 5),
    "spec-draft-n-cpu-moe": st.integers(0, 5),
}


def _values(row: FlagRow) -> st.SearchStrategy[list[str]]:
    """Values that may follow a flag; llama-server need not like them."""
    if row.kind is ValueKind.NONE:
        return st.just([])
    if row.key in _LISTS:
        joined = _LISTS[row.key].map(lambda value: ",".join(map(str, value)) if isinstance(value, list) else str(value))
        return joined.map(lambda text: [text])
    if row.choices:
        return st.sampled_from(row.choices).map(lambda word: [word])
    if row.kind is ValueKind.PAIR:
        return st.tuples(_NUMBERS, _NUMBERS).map(list)
    return (_WORDS if row.kind in {ValueKind.STRING, ValueKind.LIST} else _NUMBERS).map(lambda text: [text])


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Up to a dozen flags in any order, those that omniplan models more often than others."""
    rows = [row for row in load_flags() if not row.is_removed]
    modelled = [row for row in rows if row.param or row.sets]
    chosen = draw(st.lists(st.sampled_from(modelled) | st.sampled_from(rows), max_size=12))
    return [word for row in chosen for word in (draw(st.sampled_from(row.spellings)), *draw(_values(row)))]


@examples(300)
@given(args=command_lines())
def test_what_is_written_is_read_as_the_same(args: list[str]) -> None:
    """Reading, writing and reading again changes nothing, and a second writing writes the same."""
    try:
        params = parse(args)
    except ArgumentError:
        return
    written = write(params)

    assert parse(written) == replace(params, remarks=parse(written).remarks)
    assert write(parse(written)) == written


def test_every_field_has_a_flag() -> None:
    """Only what is no flag has none: build, environment, what is only remembered, whether -c was given."""
    written = {spellings()[name].param for name in module._ORDER}
    groups = {"draft": DraftParams, "ngram": NgramParams}
    inner = {f"{group}.{item.name}" for group, kind in groups.items() for item in fields(kind)}

    assert {item.name for item in fields(ServerParams)} - written == {
        "build", "n_ctx_given", "draft", "ngram", "extra", "env", "remarks", "fork",
    }  # fmt: skip
    assert inner <= written


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("", ""),
        ("--ubatch-size 512 -fa auto --fit on", ""),
        ("-ngl 7 -ngl 99 --ctx-size 4096", "-c 4096 -ngl 99"),
        ("-ot a=CPU -ot b=CUDA0 -cmoe -ncmoe 3 -ncmoe 2", "-ot a=CPU,b=CUDA0 -cmoe -ncmoe 3 -ncmoe 2"),
        ("-ts 12.0/0.1 -fitt 256 -fitt 512,1024", "-ts 12,0.1 -fitt 256 -fitt 512,1024"),
        ("-fitt 1024,512", "-fitt 1024,512"),
        (
            "--lora-scaled a:1,b:0.5,d:2 --lora c",
            "--lora a --lora-scaled b:0.5,d:2 --lora c",
        ),
        ("-ts 1.17549435e-38,3.4028235e38", "-ts 1.1754944e-38,3.4028235e+38"),
        ("--no-op-offload --gpt-oss-20b-default -c 8192", "--gpt-oss-20b-default -c 8192 --no-op-offload"),
    ],
)
def test_no_more_is_written_than_must_be(args: str, expected: str) -> None:
    """Defaults, synonyms and what a later flag overrides are left out."""
    assert " ".join(write(parse(args.split()))) == expected


def test_what_must_be_said_is_said() -> None:
    """A default is written where the caller wants it in sight."""
    assert write(ServerParams(), said={"n_ubatch", "fit"}) == ("-ub", "512", "--fit", "on")

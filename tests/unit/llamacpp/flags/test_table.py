"""The flag table: complete, in llama.cpp's order, and in step with the parameters it sets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

import pytest

from omniplan.documents import source
from omniplan.domain import params
from omniplan.domain.params import DraftParams, NgramParams, ServerParams
from omniplan.errors import TableError
from omniplan.llamacpp.flags import table as flags
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, load_flags, spellings
from tests.offenders import offenders

ROWS = load_flags()
KNOWN = [row for row in ROWS if not row.is_removed]
ENUMS: dict[str, type[StrEnum]] = {
    "flash-attn": params.FlashAttn,
    "split-mode": params.SplitMode,
    "load-mode": params.LoadMode,
    "lazy-mode": params.LazyMode,
}
VALUES = {
    ValueKind.INT: ["2"],
    ValueKind.UINT: ["2"],
    ValueKind.FLOAT: ["0.5"],
    ValueKind.STRING: ["x"],
    ValueKind.LIST: ["x"],
    ValueKind.PAIR: ["1", "2"],
    ValueKind.NONE: [],
}
LISTS = {
    "override-tensor": "a=CPU", "spec-draft-override-tensor": "a=CPU", "tensor-split": "3,1", "fit-target": "512,256",
    "override-kv": "a=int:1", "spec-type": "draft-mtp", "lora-scaled": "a:0.5", "control-vector-scaled": "v:2",
}  # fmt: skip


def example(row: FlagRow) -> list[str]:
    """Arguments that llama-server takes for ``row``."""
    if row.key in LISTS:
        return [LISTS[row.key]]
    return [row.choices[0]] if row.choices else VALUES[row.kind]


def line_of(row: FlagRow) -> int:
    found = re.fullmatch(r"common/arg\.cpp:(\d+)", row.source)
    return int(found[1]) if found else 0


def test_b11434_has_256_flags() -> None:
    """As many as common_params_parser_init builds for llama-server, five of them only to say that they are gone."""
    defined = [row for row in ROWS if line_of(row)]

    assert len(defined) == 256
    assert [row.key for row in defined if row.is_removed] == [
        "draft", "draft-min", "spec-ngram-size-n", "spec-ngram-size-m", "spec-ngram-min-hits",
    ]  # fmt: skip


def test_rows_are_in_the_order_of_arg_cpp_then_by_name() -> None:
    """The environment applies in that order, so it is not a matter of taste."""
    defined = [line_of(row) for row in ROWS if line_of(row)]
    gone = [row.key for row in ROWS if not line_of(row)]

    assert defined == sorted(defined)
    assert gone == sorted(gone)
    assert [row.key for row in ROWS[len(defined) :]] == gone


GROUPS = {"draft": DraftParams, "ngram": NgramParams}
FIELDS = {item.name for item in fields(ServerParams)} | {
    f"{group}.{item.name}" for group, kind in GROUPS.items() for item in fields(kind)
}
FACTS: dict[str, Callable[[FlagRow], bool]] = {
    "cites its source": lambda row: bool(row.source),
    "starts its spellings with a dash": lambda row: all(name.startswith("-") for name in row.spellings),
    "names fields that exist": lambda row: {row.param, *row.sets} - {""} <= FIELDS,
    "has choices where its kind has": lambda row: (
        bool(row.choices) == (row.kind in (ValueKind.ENUM, ValueKind.SWITCH) or row.key == "spec-type")
    ),
}


def test_rows_are_whole() -> None:
    """Every row cites its source, starts its spellings with a dash and names fields that exist."""
    assert offenders({row.key: row for row in ROWS}, FACTS) == []


def test_every_spelling_is_accepted() -> None:
    """Each spelling of each flag of b11434 parses, and an unmodelled flag is remembered."""
    modelled = {name: bool(row.param) for row in KNOWN for name in row.spellings}
    forgotten = {name: not parse([name, *example(row)]).extra for row in KNOWN for name in row.spellings}

    assert forgotten == modelled


def test_choices_are_the_enum() -> None:
    """The words of the table and the members of the enum are the same set."""
    words = {row.key: set(row.choices) for row in ROWS if row.key in ENUMS}

    assert words == {key: set(members) for key, members in ENUMS.items()}


def test_defaults_are_those_of_server_params() -> None:
    """Setting a flag to the table's default changes nothing but what is recorded."""
    rows = [row for row in KNOWN if row.param and row.default is not None]
    changed = {row.key: values for row in rows if len(set(values := _values(row))) > 1}

    # These have a default that stands for another number: the model's context, the host's cores.
    assert set(changed) - {"ctx-size", "threads", "threads-batch"} == set()


def _values(row: FlagRow) -> tuple[object, ...]:
    """A parameter by itself and after its flag is given the table's default; a flag without a value has its word."""
    if row.kind is ValueKind.NONE:
        own = getattr(ServerParams(), row.param)
        return (own if own is not None else row.default, row.default)
    parsed = parse([row.name, str(row.default)])
    group, _, field = row.param.rpartition(".")
    holders = (getattr(parsed, group), GROUPS[group]()) if group else (parsed, ServerParams())
    return tuple(getattr(holder, field) for holder in holders)


def test_negated_flags_have_a_negative_variable() -> None:
    """LLAMA_ARG_NO_X exists for a flag with a negated spelling, and for no other."""
    assert spellings()["--mmproj-auto"].negative_env == "LLAMA_ARG_NO_MMPROJ_AUTO"
    assert spellings()["--no-host"].negative_env == ""


BAD = [
    pytest.param("names = []\nkind = 'none'\nsource = 's'", "names: expected at least one", id="no-names"),
    pytest.param("names = ['-x']\nkind = 'none'", "source: is missing", id="no-source"),
    pytest.param("names = ['-x']\nkind = 'word'\nsource = 's'", "kind: expected one of", id="unknown-kind"),
    pytest.param("names = ['-x']\nkind = 'int'\nsource = 's'\nmin = 'a'", "min: expected a number, got a", id="type"),
    pytest.param("names = ['-x']\nkind = 'int'\nsource = 's'\nmni = 1", "mni: unknown key", id="typo"),
    pytest.param("names = ['-x']\nkind = 'int'\nsource = 's'\nuntil = 1", "until: a removed flag", id="no-instead"),
]


@pytest.mark.parametrize(("row", "problem"), BAD)
def test_a_wrong_row_is_refused(row: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table error names the file, the path inside it and the reason."""
    (tmp_path / "flags.toml").write_text(f"[x]\n{row}\n")
    monkeypatch.setattr(source, "DATA_DIRECTORIES", (tmp_path,))

    with pytest.raises(TableError, match=re.escape(f"flags.toml: x.{problem}")):
        flags.load_flags.__wrapped__()


def test_a_missing_table_says_where_it_was_sought() -> None:
    """A broken installation is an error with a path, not a traceback."""
    with pytest.raises(TableError, match=r"nothing\.toml: not found in .*data"):
        source.read_table("nothing.toml", flags.FlagRow)

"""Command lines of other times: their meaning, what is said of them, and that none of them is a surprise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.params import FlashAttn, LoadMode, ServerParams
from omniplan.errors import OmniplanError
from omniplan.llamacpp.build import builds
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.table import ValueKind, load_flags
from tests.contracts.sources import ROOT
from tests.property.strategies import examples

MODEL = omniplan.load_model(ROOT / "tests/data/models/archs/gpt-oss-moe.gguf")
MACHINE = omniplan.load_machine("omni-nps1")
BUILDS = sorted({4068, 6303, 8022, 9093, 9312, 10505, 10878, 11434, 12700, *builds()})


def said(line: str, build: int) -> list[str]:
    return [f"{item.subject}: {item.statement}" for item in parse(line.split(), build=build).remarks]


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("--no-mmap", LoadMode.NONE),
        ("--mlock", LoadMode.MMAP_MLOCK),
        ("--mlock --no-mmap", LoadMode.MLOCK),
        ("--no-mmap --mlock", LoadMode.MLOCK),
        ("--no-mmap --mmap", LoadMode.MMAP),
        ("-dio", LoadMode.DIO),
        ("-dio -ndio", LoadMode.AUTO),
    ],
)
def test_how_files_were_loaded(line: str, mode: LoadMode) -> None:
    """The same in every build; those that refuse the words are told the new one, once for all of them."""
    assert {parse(line.split(), build=build).load_mode for build in BUILDS} == {mode}
    assert said(line, 10108) == []
    assert said(line, 11434) == [f"{line}: read as --load-mode {mode}; b10878 and later refuse {line}"]


@pytest.mark.parametrize("line", ["-fa", "-fa -c 512", "-c 512 --flash-attn --jinja"])
def test_flash_attention_without_a_value_is_on(line: str) -> None:
    """Before there was a value that was right; since then it is said."""
    assert {parse(line.split(), build=build).flash_attn for build in BUILDS} == {FlashAttn.ON}
    assert said(line, 6303) == []
    assert ["it takes a value since" in text for text in said(line, 11434)] == [True]


def test_drafted_tokens_by_their_old_name() -> None:
    """The value is that of the flags that took its place."""
    params = parse(["--draft-max", "7", "--draft-min", "2"])

    assert (params.draft.n_max, params.draft.n_min, params.ngram.mod_n_max) == (7, 2, 7)
    assert len(params.remarks) == 2
    assert said("--draft-max 7", 8929) == []


def test_words_of_two_eras_are_said_once() -> None:
    """No build has both; where some had, nothing is said."""
    mixed = "words of two eras"

    assert sum(mixed in text for text in said("--draft-max 4 --draft-min 1 --lazy-mode on -cmoe", 11434)) == 1
    assert not any(mixed in text for text in said("--no-mmap --kv-unified-per-slot 4096", 11434))


def test_a_flag_that_is_gone_without_effect_is_left_out() -> None:
    """A variable that nobody reads any more does nothing."""
    assert parse(["-gan", "4"]).extra == ()
    assert said("-gan 4", 11434) == [
        "-gan: left out: b11434 and later refuse it; use nothing: self-extend left llama-server"
    ]
    variable = parse([], env={"LLAMA_ARG_MMAP": "0"})
    assert variable.load_mode is ServerParams().load_mode
    assert variable.remarks[0].subject == "LLAMA_ARG_MMAP"
    assert parse([], env={"LLAMA_ARG_MMAP": "0"}, build=10103).load_mode is LoadMode.NONE


@pytest.mark.parametrize(
    ("build", "n_parallel", "n_ctx", "fit", "flash_attn", "drafted"),
    [(4068, 1, 4096, False, "off", 16), (9093, -1, 0, True, "auto", 16), (11434, -1, 0, True, "auto", 3)],
)
def test_defaults_are_those_of_the_build(
    build: int, n_parallel: int, n_ctx: int, flash_attn: str, drafted: int, *, fit: bool
) -> None:
    """A flag that is given wins over them."""
    usual = parse([], build=build)

    assert (usual.n_parallel, usual.n_ctx, usual.n_ctx_given) == (n_parallel, n_ctx, False)
    assert (usual.fit, usual.flash_attn, usual.draft.n_max) == (fit, flash_attn, drafted)
    assert parse(["-np", "3"], build=build).n_parallel == 3


def test_rows_split_by_cuda() -> None:
    """Builds that could are not known, later ones refuse it."""
    found = omniplan.footprint(MODEL, MACHINE, ["-sm", "row", "-c", "512"], build=9873)

    assert (found.fits, "--split-mode" in {item.subject for item in found.unpriced}) == (None, True)
    with pytest.raises(omniplan.ArgumentError, match="does not support split buffers"):
        omniplan.footprint(MODEL, MACHINE, ["-sm", "row", "-c", "512"], build=11434)


VALUES = st.sampled_from(["0", "1", "-1", "2", "99", "512", "on", "off", "auto", "none", "row", "f16", "q8_0", "x", ""])
# What some build of the table takes, in any company.
FLAGS = st.sampled_from(load_flags()).flatmap(
    lambda row: st.tuples(
        st.sampled_from(row.spellings),
        st.sampled_from(row.choices) if row.choices else VALUES,
        VALUES,
    ).map(lambda words: words[: {ValueKind.NONE: 1, ValueKind.PAIR: 3}.get(row.kind, 2)])
)


@examples(60)
@given(flags=st.lists(FLAGS, max_size=4), build=st.sampled_from(BUILDS))
def test_every_command_is_priced_or_refused_in_one_line(flags: list[tuple[str, ...]], build: int) -> None:
    """Whatever build knows a word, every build is asked about it."""
    args = ["-c", "512", *(word for flag in flags for word in flag)]
    refused, found = "", None
    try:
        found = omniplan.footprint(MODEL, MACHINE, args, build=build)
    except OmniplanError as error:
        refused = str(error)
    assert len(refused.splitlines()) == (found is None)
    assert found is None or found.build.asked == f"b{build}"


KNOWN = st.sampled_from(["-fa", "--no-mmap", "-c", "--", "-", "--draft", "-mla", "-fmoe", "8"])


@examples(200)
@given(words=st.lists(st.text(max_size=12) | KNOWN, max_size=6), build=st.sampled_from(BUILDS))
def test_reading_is_total(words: list[str], build: int) -> None:
    """Hostile words are parameters or an error with the word in it."""
    read: object = None
    try:
        read = parse(words, build=build)
    except OmniplanError as error:
        read = str(error)
    assert read

"""Help, and what is said about words that nobody knows."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import pytest

from omniplan.cli.grammar import GROUPS
from omniplan.cli.main import VERBS, main, parser
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

Run = pytest.CaptureFixture[str]

TINY = str(ROOT / "tests" / "data" / "models" / "archs" / "llama-dense.gguf")


EXAMPLES: Final = [item for verbs in GROUPS.values() for item in verbs.items()]


def test_every_verb_is_in_one_group() -> None:
    assert sorted(name for name, _ in EXAMPLES) == sorted(verb.name for verb in VERBS)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_every_example_is_a_command(name: str, example: str) -> None:
    """Of its own verb, with options that there are."""
    command = example.removeprefix('eval "$(').removesuffix(')"')
    words = shlex.split(command)
    own = words[1 : words.index("--")] if "--" in words else words[1:]

    assert words[:2] == ["omniplan", name]
    assert parser().parse_args(own).run


def test_the_command_alone_lists_its_verbs(capsys: Run) -> None:
    """In groups, in what a small terminal shows at once, and it is no error."""
    assert main([]) == 0
    said = capsys.readouterr().out.splitlines()

    assert {name for name, _ in EXAMPLES} <= {word for line in said for word in line.split()}
    assert len(said) <= 24
    assert max(map(len, said)) <= 80


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_help_of_a_verb_begins_with_an_example(verb: str, capsys: Run) -> None:
    """The same both ways."""
    assert main(["help", verb]) == 0
    said = capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])

    assert end.value.code == 0
    assert said == capsys.readouterr().out
    assert said.startswith(f"Example: {dict(EXAMPLES)[verb]}\n")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["paln"], "paln: no such verb; did you mean plan?"),
        (["zzz"], "`omniplan help` lists the verbs"),
        (["help", "footprnt"], "did you mean footprint?"),
        (["model.gguf"], "`omniplan plan model.gguf`"),
        (["plan", TINY, "--mchine", "x"], "--mchine: `omniplan plan` has no such option; did you mean --machine?"),
        (["footprint", TINY, "-ngl", "99"], "llama-server's own stand after --"),
        (["plan", TINY, "-ngl", "99"], "it is llama-server's"),
        (["plan", TINY, "--zzzz"], "see `omniplan plan --help`"),
        (["plan", TINY, "another"], "stands in quotes"),
        (["check", TINY, "--format", "sarf"], "did you mean sarif?"),
        (["plan", TINY, "--machine", "single-3080"], "did you mean single-3090?"),
        (["plan", TINY.replace("dense", "dnse")], f"did you mean {TINY}?"),
        (["plan", TINY, "--machine", "single-3090", "--as", "llamaswap"], "did you mean llama-swap?"),
        (["schema", "pln"], "did you mean plan?"),
    ],
)
def test_what_was_meant_is_said(argv: list[str], says: str, capsys: Run) -> None:
    check_refused(argv, says, capsys)


def test_a_text_file_that_was_meant_is_said(tmp_path: Path, capsys: Run) -> None:
    """Else what of its kind lies in the folder."""
    (tmp_path / "plan.json").write_text("{}")

    check_refused(["explain", str(tmp_path / "plam.json")], f"did you mean {tmp_path / 'plan.json'}?", capsys)
    check_refused(["explain", str(tmp_path / "deepseek.json")], "that folder has plan.json", capsys)
    check_refused(["explain", str(tmp_path / "no" / "x.json")], "there is no folder", capsys)

"""Forks of llama.cpp: told by flags and programs, explained, and never taken for llama.cpp."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.params import FlashAttn, LoadMode
from omniplan.errors import ArgumentError, OmniplanError
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.forks import fork_of, forks
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, spellings
from tests.contracts.sources import ROOT
from tests.property.strategies import examples

IK = "ik_llama.cpp"
MODEL = omniplan.load_model(ROOT / "tests/data/models/zoo/DeepSeek-R1-Q2_K.gguf")
SMALL = omniplan.load_model(ROOT / "tests/data/models/archs/gpt-oss-moe.gguf")
MACHINE = omniplan.load_machine("omni-nps1")
COMMAND = "-mla 3 -fmoe -amb 512 -rtr -fa -ctk q8_KV -sm graph -c 32768 -ngl 99 -ot exps=CPU -ser 6,1 --no-mmap"
OWN = [(name, row) for row in forks()[IK].flags.values() for name in row.spellings]


def test_rows_are_of_the_fork_alone() -> None:
    """What llama.cpp has too would tell nothing; every row explains itself and has a source."""
    assert [name for name, _ in OWN if name in spellings()] == []
    assert [row.key for _, row in OWN if not row.what or not row.source] == []


def test_a_command_of_a_fork_is_read_and_its_price_is_not_known() -> None:
    """Its flags are explained, values that llama.cpp lacks are left out, and what is common is priced."""
    params = parse(COMMAND.split())

    assert (params.fork, params.load_mode, params.flash_attn) == (IK, LoadMode.NONE, FlashAttn.ON)
    said = {item.subject: item.statement for item in params.remarks}
    assert set(said) == {"-mla", "-fmoe", "-amb", "-rtr", "-ser", "-ctk", "-sm"}
    assert said["-ctk"] == "ik_llama.cpp: left out, since llama.cpp has no -ctk q8_KV"
    found = omniplan.footprint(MODEL, MACHINE, COMMAND.split())
    assert found.fits is None
    assert [item.subject for item in found.unpriced] == [IK]
    plain = omniplan.footprint(MODEL, MACHINE, "-c 32768 -ngl 99 -ot exps=CPU -fa on --fit off".split())
    assert {n: s.model for n, s in found.buffers.items()} == {n: s.model for n, s in plain.buffers.items()}


@pytest.mark.parametrize(
    ("program", "fork"),
    [
        ("/opt/ik_llama.cpp/build/bin/llama-server", IK),
        ("llama-sweep-bench", IK),
        ("/opt/llama.cpp/build/bin/llama-server", ""),
    ],
)
def test_a_program_tells_a_fork(program: str, fork: str) -> None:
    """Without any flag of its own."""
    assert fork_of(["-c", "512"], program) == fork


def test_llama_cpp_refuses_a_fork_s_flag() -> None:
    """By the name of who has it: nothing like it is suggested."""
    with pytest.raises(ArgumentError, match=r"-fmoe: .*ik_llama.cpp does; run ik_llama.cpp, or leave it out"):
        parse(["-fmoe"], fork="")


COMMON = st.sampled_from(["-c 4096", "-fa", "--no-mmap", "-ctk q6_0", "-ngl 9", "--fit", "-sm attn"])


@examples(25)
@given(own=st.lists(st.sampled_from(OWN), min_size=1, max_size=3), common=st.lists(COMMON, max_size=3))
def test_a_fork_s_command_never_fits_and_is_never_mended(
    own: list[tuple[str, FlagRow]], common: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in it: the verdict is open, findings are info, and nothing is edited."""
    words = [word for name, row in own for word in ([name] if row.kind is ValueKind.NONE else [name, "1"])]
    words += " ".join(common).split()
    path = tmp_path_factory.getbasetemp() / "fork.sh"
    path.write_text(f"llama-server -m a {' '.join(words)}\n")

    report = omniplan.check(path, model=SMALL, machine=MACHINE)

    assert (report.n_commands, report.is_clean, report.diff) == (1, True, "")
    verdict: bool | None = None
    with suppress(OmniplanError):
        verdict = omniplan.footprint(SMALL, MACHINE, words).fits
    assert verdict is None

"""Commands as people paste them behind ``--``."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.errors import InputError
from omniplan.formats.pasted import is_pasted, pasted, script_of
from tests.contracts.sources import ROOT
from tests.launches import DATA

TINY = str(DATA / "models" / "archs" / "llama-dense.gguf")
TWO = str(ROOT / "data" / "machines" / "dual-4090-5070ti.toml")
ARGS = ["-c", "4096", "-np", "1", "-ngl", "99"]

COMMANDS = {
    "plain": "llama-server -m {m} -c 4096 -np 1 -ngl 99",
    "a path": "./build/bin/llama-server -m {m} -c 4096 -np 1 -ngl 99",
    "launchers": "sudo nice -n 5 numactl --interleave=all llama-server -m {m} -c 4096 -np 1 -ngl 99",
    "assignments": "GGML_CUDA_P2P=1 env A=b llama-server -m {m} -c 4096 -np 1 -ngl 99",
    "variables": "LLAMA_ARG_CTX_SIZE=4096 llama-server -m {m} -np 1 -ngl 99",
    "a container": "docker run --rm --gpus all ghcr.io/ggml-org/llama.cpp:server-cuda -m {m} -c 4096 -np 1 -ngl 99",
    "a shell": "bash -c 'llama-server -m {m} -c 4096 -np 1 -ngl 99'",
    "a package": "nix run nixpkgs#llama-cpp -- -m {m} -c 4096 -np 1 -ngl 99",
    "llama-cli": "llama-cli -m {m} -c 4096 -ngl 99 -p hello",
    "koboldcpp": "python3 koboldcpp.py --model {m} --contextsize 4096 --gpulayers 99",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("is_one_text", [False, True], ids=["words", "text"])
def test_a_command_is_priced_as_its_arguments(command: str, is_one_text: bool) -> None:
    """The model is the one it names, whatever stands before the program."""
    line = command.format(m=TINY)
    words = [line] if is_one_text else shlex.split(line)

    assert omniplan.footprint(None, TWO, words).buffers == omniplan.footprint(TINY, TWO, ARGS).buffers


def test_only_visible_gpus_count() -> None:
    words = ["CUDA_VISIBLE_DEVICES=1", "llama-server", "-m", TINY, *ARGS]
    pools = {pool.name: pool for pool in omniplan.footprint(None, TWO, words).pools}

    assert pools["CUDA0"].free == omniplan.load_machine(TWO).gpus[1].free
    assert "CUDA1" not in pools


def test_commands_are_compared() -> None:
    """Each with its own environment, and with arguments alone beside them."""
    commands = [
        ["llama-server", "-m", TINY, *ARGS],
        ["CUDA_VISIBLE_DEVICES=1", "llama-server", "-m", TINY, *ARGS],
        ARGS,
    ]
    rows = omniplan.compare(None, TWO, commands).rows

    assert rows[0].used == rows[2].used != rows[1].used


BAD = {
    "nothing that is known": (["ollama", "run", "qwen3"], "starts no program of llama.cpp"),
    "two of them": (["llama-server -m a.gguf; llama-server -m b.gguf"], "starts llama.cpp 2 times"),
    "a model that nobody names": (["llama-server", "-c", "512"], "no model is named"),
    "several values": (["llama-bench", "-m", TINY, "-ngl", "10,99"], "leaves it open"),
    "what koboldcpp decides": (["koboldcpp", "--model", TINY], "leaves it open"),
}


@pytest.mark.parametrize(("words", "says"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_priced_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        omniplan.footprint(None, TWO, words)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1), max_size=4))
def test_any_words_stay_themselves(args: list[str]) -> None:
    """Whatever a shell would make of them."""
    words = ["env", "A=b c", "llama-server", "-m", "m.gguf", *(f"x{arg}" for arg in args)]

    assert pasted(words).args == ("-m", "m.gguf", *(f"x{arg}" for arg in args))
    assert pasted(words).env == {"A": "b c"}


def test_arguments_alone_are_no_command() -> None:
    assert not is_pasted(["-c", "512"])
    assert not is_pasted([])
    assert script_of(["a b"]) == "a b\n"

"""The line of an emitted file that makes it again: run, it gives the very plan, whatever was asked for."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import omniplan
from omniplan.api.documents import parse_plan
from omniplan.cli.main import main
from omniplan.domain.headroom import Headroom
from omniplan.errors import InputError

MACHINES = Path("data/machines")
# The search over everything at once is dear.
SMALL = "tests/data/models/zoo/Qwen3-0.6B-Q8_0.gguf"
MODEL = "tests/data/models/zoo/Qwen3-30B-A3B-Q4_K_M.gguf"


@pytest.mark.parametrize(
    "options",
    [
        ["--ctx", "4096", "--headroom", "7%", "--no-baselines"],
        ["--ctx", "4096..4352", "--cache-type", "f16,q8_0", "--ubatch", "auto", "--no-baselines"],
        ["--ctx", "4096", "--pin", r"blk\.0\.ffn_.*=CPU", "--pin", "blk.1.attn=CUDA0", "--max-patterns", "4"],
        ["--no-cpu-experts", "--gpu-only", "--load-mode", "mlock", "--cache-type-k", "q8_0", "--objective", "decode"],
        ["--parallel", "2", "--headroom", "context=524288000,growth_least=0,ram=1000"],
    ],
)
def test_the_line_makes_the_plan_again(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every option of ``omniplan plan`` that was given is in it."""
    model = SMALL if "auto" in options else MODEL
    asked = ["plan", model, "--machine", "dual-4090-5070ti", *options, "--json"]
    assert main(asked) == 0
    written = capsys.readouterr().out

    assert main(_again(omniplan.emit(parse_plan(written)))) == 0
    assert capsys.readouterr().out == written


def test_files_of_machines_and_calibrations_are_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine is found again by its file, not by the name in it; a calibration that lay beside it is named."""
    machine, learned = tmp_path / "my pc.toml", tmp_path / "my pc.calibration.toml"
    machine.write_bytes((MACHINES / "dual-4090-5070ti.toml").read_bytes())
    learned.write_text(
        omniplan.calibrate(["examples/logs/glm-served.log"], machine=omniplan.load_machine(machine)).to_toml()
    )
    assert main(["plan", MODEL, "--machine", str(machine), "--no-baselines", "--json"]) == 0
    again = _again(omniplan.emit(parse_plan(capsys.readouterr().out)))

    assert again[again.index("--machine") + 1] == str(machine)
    assert again[again.index("--calibration") + 1] == str(learned)


def _again(text: str) -> list[str]:
    """The arguments of ``omniplan plan`` in an emitted file, with the plan itself for what it is written as."""
    (line,) = (line for line in text.splitlines() if "regenerate: " in line)
    words = shlex.split(line.partition("regenerate: ")[2])
    return [*words[1 : words.index("--as")], "--json"]


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Headroom(), "default"),
        (Headroom.parse("0"), "0"),
        (Headroom.parse("512.5"), "512.5"),
        (Headroom.parse("7%"), "7%"),
        (Headroom(ram=1000, growth_fraction=0.1), "growth_fraction=0.1,ram=1000"),
    ],
)
def test_a_policy_in_words(policy: Headroom, text: str) -> None:
    """The shortest words, and they say the same policy."""
    assert policy.text == text
    assert Headroom.parse(text) == policy


@pytest.mark.parametrize("text", ["ram", "ram=x", "ram=-1", "rom=1", "growth_fraction=1", "growth_fraction=nan", "="])
def test_no_policy(text: str) -> None:
    """One line says what is expected."""
    with pytest.raises(InputError, match=f"headroom {text}: expected"):
        Headroom.parse(text)

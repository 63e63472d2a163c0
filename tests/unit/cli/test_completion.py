"""Completion, asked of real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omniplan.cli.main import main
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

# Each prints how a line may go on, one word a line; the line is in LINE.
ASK = {
    "bash": 'eval "$(omniplan completion bash)"; COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_TYPE=9; '
    '_python_argcomplete omniplan; printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": "autoload -Uz is-at-least; compdef() { }; _describe() { print -rl -- ${(P)2} }; "
    'eval "$(omniplan completion zsh)"; BUFFER=$LINE CURSOR=${#LINE}; words=(omniplan); _python_argcomplete',
    "fish": "omniplan completion fish | source; complete -C $LINE",
    "pwsh": "omniplan completion powershell | Out-String | Invoke-Expression; "
    "(TabExpansion2 $env:LINE $env:LINE.Length).CompletionMatches.CompletionText",
}
LINES = {
    "verbs": ("omniplan compa", "compare"),
    "options": ("omniplan plan --par", "--parallel"),
    "machines": ("omniplan plan --machine omni-nps", "omni-nps4"),
    "models": ("omniplan inspect ti", "tiny.gguf"),
    "shipped models": ("omniplan inspect GLM", "GLM-4.7-Flash-Q8_0"),
    "formats": ("omniplan emit --as llama", "llama-swap"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model and the command."""
    script = tmp_path / "bin" / "omniplan"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m omniplan "$@"\n')
    script.chmod(0o755)
    (tmp_path / "tiny.gguf").touch()
    (tmp_path / "tidy.txt").touch()
    return tmp_path


@pytest.mark.parametrize("shell", ASK)
@pytest.mark.parametrize(("line", "word"), LINES.values(), ids=LINES.keys())
def test_a_shell_completes(shell: str, line: str, word: str, folder: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "LINE": line, "TERM": "dumb"}
    done = subprocess.run(
        [program, "-c", ASK[shell]], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )

    offered = [row.partition("\t")[0].partition(":")[0].strip() for row in done.stdout.splitlines()]
    assert word in offered, done.stderr
    assert "tidy.txt" not in offered


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(["completion", "elvish"], "bash, zsh, fish, powershell", capsys)


def test_without_the_library_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)

    assert main(["completion", "bash"]) == 2
    assert "pipx inject omniplan argcomplete" in capsys.readouterr().err

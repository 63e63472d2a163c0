"""Shell lines: what bash makes of them is what was meant."""

from __future__ import annotations

import subprocess

import pytest

from omniplan.system import Shell
from omniplan.text.argv import command_line, shell_line

# One value for each way in which a shell could take it apart, or act on it.
WORDS = ("plain", "", "a b", "$HOME", "$(id)", "`id`", "*", "~", "#a", "a=b", "{1,2}", "a;b", "a'b", 'a"b')
VALUES = (*WORDS, "a\\b", "a\nb")


def run(line: str, program: str, *names: str) -> list[str]:
    """What ``program`` is given by ``line`` as bash runs it: the variables ``names``, then its arguments."""
    shown = " ".join(f'"${{{name}}}"' for name in names)
    script = f"{program}() {{ printf '%s\\0' {shown} \"$@\"; }}\n{line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True)
    return done.stdout.split("\0")[:-1]


def test_arguments_and_environment_reach_the_server_as_they_are() -> None:
    """Any value, of a variable as of an argument; the model comes first."""
    names = [f"V{at}" for at in range(len(VALUES))]
    line = shell_line("/m/a b.gguf", VALUES, dict(zip(names, VALUES, strict=True)))

    assert run(line, "llama-server", *names) == [*VALUES, "-m", "/m/a b.gguf", *VALUES]


def test_any_program_is_started_alike() -> None:
    """With and without variables."""
    assert run(command_line(("numactl", *VALUES), {"A": "x y"}), "numactl", "A") == ["x y", *VALUES]
    assert command_line(("numactl", "--all"), {}) == "numactl --all"


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("--no-mmap", "--no-mmap"),
        ("q8_0", "q8_0"),
        ("-1", "-1"),
        (r"C:\models\m.gguf", r"C:\models\m.gguf"),
        ("3,1", "'3,1'"),
        ("-a.b", "'-a.b'"),
        ("@a", "'@a'"),
        ("$HOME", "'$HOME'"),
        ("a'b", "'a''b'"),
        ("a\u2019;b", "'a\u2019\u2019;b'"),
        ("", "''"),
        ("\x1b$a\u201d", '"$([char]0x001b)`$a`\u201d"'),
        ("\U000e0001", '"$([char]0xdb40)$([char]0xdc01)"'),
    ],
)
def test_powershell_takes_a_word_as_it_is(word: str, quoted: str) -> None:
    """By the rules of about_Quoting_Rules and about_Parsing."""
    assert command_line(("a", word), {}, Shell.POWERSHELL) == f"a {quoted}"


def test_powershell_sets_variables_and_calls_a_program_in_quotes() -> None:
    """A string alone would be shown, not run."""
    line = command_line((r"C:\a b\llama-server.exe", "-ngl", "99"), {"CUDA_VISIBLE_DEVICES": "0,1"}, Shell.POWERSHELL)

    assert line == r"$env:CUDA_VISIBLE_DEVICES='0,1'; & 'C:\a b\llama-server.exe' -ngl 99"

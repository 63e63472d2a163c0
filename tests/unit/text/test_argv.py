"""Shell lines: what bash makes of them is what was meant."""

from __future__ import annotations

import subprocess

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

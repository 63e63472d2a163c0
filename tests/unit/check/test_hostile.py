"""Files made to do harm end in one line, or in little work."""

from __future__ import annotations

import pytest

from omniplan.check.document import read
from omniplan.errors import InputError

CALLS = "".join(f"{name}() {{ {'; '.join([called] * 10)}; }}\n" for name, called in zip("bcde", "abcd", strict=True))

ALIASES = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
MACROS = "".join(f"  m{i}: ${{m{i + 1}}} ${{m{i + 1}}}\n" for i in range(60))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.sh", "$(" * 20_000 + "llama-server" + ")" * 20_000),
        ("a.sh", f"a() {{ llama-server -m a; }}\n{CALLS}e\n"),
        ("a.sh", "llama-server -m a\n" * 5_000),
        ("a.sh", "x" * 2_000_000),
        ("a.yaml", "services:\n" + "  a: b\n" * 60_000),
    ],
)
def test_it_is_refused(name: str, text: str) -> None:
    """Nesting, calls of calls, and mere size: the file, and what is too much of it."""
    with pytest.raises(InputError, match=r"nested|most"):
        read(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.sh", 'A="llama-server -m a "\n' + 'A="$A$A"\n' * 60 + "$A\n"),
        ("a.sh", "A=(x y)\n" + 'A=("${A[@]}" "${A[@]}")\n' * 60 + 'llama-server "${A[@]}"\n'),
        ("a.sh", "f() { f; f; }\nf\n"),
        ("a.bat", "set A=%A%%A%\n" * 60 + "llama-server %A%\n"),
        ("a.yaml", ALIASES),
        ("a.yaml", f"macros:\n{MACROS}models:\n  a:\n    cmd: ${{m0}}\n"),
    ],
)  # fmt: skip
def test_what_doubles_is_not_known(name: str, text: str) -> None:
    """Variables, aliases and macros that grow line by line are given up, and nothing is claimed of them."""
    assert len(read(name, text).commands) < 2

"""Screens for any width: nothing is wider than it, a command pastes as it was, and no word moves a cursor."""

from __future__ import annotations

import shlex
import subprocess
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from omniplan.formats.powershell import read
from omniplan.formats.traced import Source
from omniplan.system import Shell
from omniplan.text.cells import width
from omniplan.text.layout import Look, text_of
from omniplan.text.palette import Hue
from omniplan.text.screen import Block, Gauge, Heading, Level, Passage, Prose, Screen, ShellCommand, Tabular, Toned
from omniplan.text.shell import command_lines

WIDTHS = st.integers(40, 140)
# What a file's name may hold: controls, wide and combining characters, bytes that are no text.
NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=60) | st.text(
    st.sampled_from("a/ -日本\u0301\x1b[31m\x07\n\t\u202e\udc80'\\"), min_size=1, max_size=90
)
WORDS = st.lists(st.text(st.sampled_from("ab-1 '\"\\$|,()*=/."), min_size=1, max_size=200), min_size=1, max_size=8)


@given(words=WORDS, columns=WIDTHS)
def test_a_wrapped_command_is_the_command(words: list[str], columns: int) -> None:
    """As shells read it, whatever had to be cut."""
    pasted = "\n".join(command_lines(words, {"A": "x y"}, columns))

    assert shlex.split(pasted.replace("\\\n", "")) == ["A=x y", *words]


@settings(max_examples=15, deadline=None)
@given(words=WORDS)
def test_bash_reads_it_so_too(words: list[str]) -> None:
    """Lines that end with a backslash, and words in pieces."""
    script = "\n".join(command_lines(["printf", "%s\\0", *words], {}, 60))
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)

    assert done.stdout.decode().split("\0")[:-1] == words


@given(words=WORDS, columns=WIDTHS)
def test_powershell_reads_it_too(words: list[str], columns: int) -> None:
    """Lines that end with a backtick, and words in pieces with a plus sign between them."""
    lines = command_lines(["llama-server", *words], {"A": "x 'y'"}, columns, Shell.POWERSHELL)
    (command,) = read(Source("\n".join(lines))).commands

    assert (command.args, command.env) == (tuple(words), {"A": "x 'y'"})
    alone = command_lines(["-m", words[0]], {}, columns, Shell.POWERSHELL)
    assert all(width(line) <= columns for line in alone)


@given(name=NAMES, columns=WIDTHS)
def test_a_name_can_do_no_harm(name: str, columns: int) -> None:
    """It stays in its line and column, in prose, in a table and in a command."""
    table = Tabular(
        [Heading("file", is_left=True), Heading(""), Heading("GiB"), Heading("why it is so", is_prose=True, rank=1)],
        [(name, Gauge([(Hue.WEIGHTS, 3), (Hue.FREE, 1)], 4), Toned("1.0", Hue.BAD), f"since {name}")],
    )
    blocks: list[Block] = [Prose(f"{name} and {name}", label="Why"), table, ShellCommand(["llama-server", "-m", name])]
    text = text_of(Screen([Passage(blocks, title="All")]), Look(width=columns))

    assert all(width(line) <= columns for line in text.splitlines() if not line.endswith("\\"))
    assert not [char for char in text.replace("\n", "") if unicodedata.category(char) in ("Cc", "Cf", "Cs")]


@given(
    columns=WIDTHS,
    shape=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3), st.booleans()), min_size=1, max_size=9),
    level=st.sampled_from(Level),
)
def test_no_table_is_too_wide(columns: int, shape: list[tuple[int, int, bool]], level: Level) -> None:
    """Columns are left out by rank, or stand below with the first one once more; with tables asked for none is lost."""
    headings = [Heading(f"c{i}", rank=rank if i else 0, is_left=left) for i, (_, rank, left) in enumerate(shape)]
    table = Tabular(headings, [[f"{i}" + "x" * size for i, (size, _, _) in enumerate(shape)]])
    lines = text_of(Screen([Passage([table])]), Look(width=columns, level=level)).splitlines()

    assert max(map(width, lines)) <= columns
    kept = [i for i, heading in enumerate(headings) if level or not heading.rank]
    assert {f"c{i}" for i in kept} <= {word for line in lines for word in line.split()}


def test_what_is_missing_is_marked() -> None:
    """A bar ends where its pool does, and goes on as what does not fit."""
    table = Tabular([Heading("")], [[Gauge([(Hue.WEIGHTS, 6), (Hue.CACHE, 2)], 6)]])

    assert text_of(Screen([Passage([table])]), Look(width=8)) == "██████!!"
    assert text_of(Screen([Passage([table])]), Look(width=8, has_signs=False)) == "######!!"


def test_records_are_wrapped_on_a_terminal_alone() -> None:
    """Programs read them by lines."""
    screen = Screen([Passage([Prose("file:1: error: " + "word " * 40, is_record=True)])])

    assert len(text_of(screen, Look()).splitlines()) == 1
    assert len(text_of(screen, Look(is_terminal=True)).splitlines()) > 1


def test_what_is_left_out_is_said() -> None:
    """Where there is more to see, and only there."""
    more = Screen([Passage([Prose("answer")]), Passage([Prose("table")], level=Level.TABLES)])

    assert text_of(more, Look(more="-v")).splitlines() == ["answer", "-v"]
    assert text_of(more, Look(more="-v", level=Level.TABLES)).splitlines() == ["answer", "", "table"]

"""What each build of llama.cpp is told: by the rows of ``data/flags.toml``, old spellings included."""

from __future__ import annotations

import pytest

from omniplan.errors import ArgumentError
from omniplan.llamacpp.build import release
from omniplan.llamacpp.flags.dialect import spoken, takes
from omniplan.llamacpp.flags.table import load_flags, spellings

PLAN = ("-c", "4096", "-np", "1", "-fa", "on", "-ngl", "99", "-ot", "exps=CPU", "--fit", "off")


def words(args: tuple[str, ...], build: int) -> list[str]:
    return [word for flag in spoken(args, release(build)) for word in flag.args]


@pytest.mark.parametrize("build", [11434, 10878, 9093, 8022])
def test_builds_that_know_every_flag(build: int) -> None:
    """Nothing changes."""
    assert words(PLAN, build) == list(PLAN)
    assert takes(PLAN, release(build))


def test_a_build_without_fit_does_what_fit_off_does() -> None:
    """It is left out: that build changes nothing by itself."""
    assert words(PLAN, 6700) == list(PLAN[:-2])


def test_a_build_whose_flash_attention_has_no_value() -> None:
    """On is the bare flag, off is its absence, and there is no auto."""
    assert words(PLAN, 6303)[4:6] == ["-fa", "-ngl"]
    assert words(("-fa", "off"), 6303) == []
    with pytest.raises(ArgumentError, match=r"-fa auto: b6303 lacks it.*there is no auto"):
        words(("-fa", "auto"), 6303)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("none", ["--no-mmap"]), ("mlock", ["--no-mmap", "--mlock"]), ("mmap+mlock", ["--mlock"]), ("mmap", [])],
)
def test_load_mode_before_there_was_one(mode: str, expected: list[str]) -> None:
    """b8022 says it with --no-mmap and --mlock, b11434 with --load-mode."""
    assert words(("--load-mode", mode), 8022) == expected
    assert words(("--load-mode", mode), 10108) == ["--load-mode", mode]


@pytest.mark.parametrize(
    ("args", "build", "expected"),
    [
        (("--fit", "on"), 6000, "b6000 lacks it, known from b8022 on; place the layers yourself"),
        (("--fit", "off"), 7500, "not known whether b7500 has it: b7003 lacks it, b8022 has it"),
        (("-ncmoe", "3"), 5000, "not known whether b5000 has it.*-ot with a pattern"),
        (("--n-cpu-ffn", "3"), 10000, "b10000 lacks it.*-ot with a pattern"),
        (("--no-mmap",), 11434, "b10878 and later refuse it; use --load-mode"),
        (("-ctk", "q8_0"), 3000, "not known whether b3000 has it"),
    ],
)
def test_what_a_build_lacks_is_refused_with_the_alternative(args: tuple[str, ...], build: int, expected: str) -> None:
    """Nothing is dropped in silence, and nothing is guessed between two known builds."""
    with pytest.raises(ArgumentError, match=expected):
        words(args, build)
    assert not takes(args, release(build))


def test_rows_agree_with_themselves() -> None:
    """A build cannot have a flag before it lacks it, and old spellings are flags that such a build knows."""
    for row in load_flags():
        assert row.lacks is None or row.lacks < row.since or not row.builds
        assert row.until is None or row.since < row.until
        for old in (word for text in row.before.values() for word in text.split()):
            assert old in spellings()
            assert row.lacks is not None

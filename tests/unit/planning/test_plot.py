"""The plot: both formats hold what they should, the same frontier gives the same file, and errors come early."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from omniplan.domain.build import PricedBuild
from omniplan.domain.prediction import Estimate
from omniplan.errors import InputError
from omniplan.planning import plot
from omniplan.planning.frontier_values import Frontier, Outcome, Point
from omniplan.planning.text_frontier import frontier_screen
from omniplan.units import GIB
from tests.screens import everything


def point(n_ctx: int, cache_type: str, *, rate: float, n_parallel: int = 1, is_efficient: bool = False) -> Point:
    """A point so many tokens per second fast; one that does not fit when that is 0."""
    speed = Estimate(low=0.8 * rate, value=rate, high=1.1 * rate)
    outcome = Outcome(
        strategy="single GPU",
        server_args=(),
        environment={},
        decode_tokens_per_second=speed,
        prompt_tokens_per_second=speed.scaled(10),
        request_seconds=speed.inverse() if rate else speed,
        used={"CUDA0": 3 * GIB},
        spare={"CUDA0": GIB},
        build=PricedBuild.known("b11434"),
    )
    return Point(
        n_ctx=n_ctx,
        cache_type=cache_type,
        n_ubatch=512,
        n_parallel=n_parallel,
        outcome=outcome if rate else None,
        why_not="" if rate else "short by 5 MiB on RAM",
        is_efficient=is_efficient,
    )


def frontier(*points: Point) -> Frontier:
    return Frontier(model="tiny & <small>", machine="box", n_prompt=2048, n_gen=256, points=points)


FOUND = frontier(
    point(4096, "f16", rate=100),
    point(4096, "q8_0", rate=110, is_efficient=True),
    point(10000, "f16", rate=0),
    point(10000, "q8_0", rate=90, is_efficient=True),
    point(4096, "q4_0", rate=0, n_parallel=2),
)


def test_an_svg_has_its_axes_ticks_and_lines(tmp_path: Path) -> None:
    """matplotlib writes every text as a comment beside its glyphs."""
    path = tmp_path / "frontier.svg"
    plot.write_plot(FOUND, path)

    text = path.read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file
    shown = set(re.findall(r"<!-- (.*?) -->", text))
    assert shown >= {
        "generated tokens/s at the end of the context",
        "VRAM in GiB",
        "context in tokens, over all slots",
        "f16, -ub 512 (fits up to 4K)",
        "q8_0, -ub 512",
        "q4_0, -ub 512 (does not fit)",
        "1 slot; dots: on the front",
        "2 slots; dots: on the front",
        "4K",
        "10,000",
    }


def test_a_png_is_an_image_with_colours(tmp_path: Path) -> None:
    """The signature, the size, and more than a white page."""
    from matplotlib.image import imread

    path = tmp_path / "frontier.PNG"
    plot.write_plot(FOUND, path)

    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = imread(path)
    assert pixels.shape[:2] == (1500, 2100)
    assert len({tuple(pixel) for pixel in pixels[::5, ::5].reshape(-1, pixels.shape[2]).tolist()}) > 10


@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_the_same_frontier_gives_the_same_file(name: str, tmp_path: Path) -> None:
    """No date, no random ids."""
    plot.write_plot(FOUND, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    plot.write_plot(FOUND, tmp_path / name)

    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize(
    ("name", "says"), [("a.pdf", ".svg or .png"), ("a", ".svg or .png"), ("nowhere/a.svg", "folder does not exist")]
)
def test_a_name_nobody_can_write_is_refused(name: str, says: str, tmp_path: Path) -> None:
    """Before anything is planned."""
    with pytest.raises(InputError, match=says):
        plot.check_plot(tmp_path / name)


def test_a_file_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    """A folder has the name."""
    (tmp_path / "a.svg").mkdir()

    with pytest.raises(InputError, match="cannot be written"):
        plot.write_plot(FOUND, tmp_path / "a.svg")


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra's name, not a traceback."""
    monkeypatch.setattr(plot, "find_spec", lambda _: None)

    with pytest.raises(InputError, match=r"pip install \"omniplan\[plot\]\""):
        plot.write_plot(FOUND, tmp_path / "a.svg")


def test_the_table_marks_the_front_and_lists_what_does_not_fit() -> None:
    """Pools as columns; refusals once per setting."""
    lines = everything(frontier_screen(FOUND)).splitlines()

    ends = "110 tokens/s at the end of 4,096 tokens; 90 tokens/s at the end of 10,000 tokens"
    assert lines[0] == f"tiny & <small> on box: 5 combinations; {ends}"
    assert lines[1].startswith("Speed at the end of each context: a request of 2,048 + 256 tokens")
    assert [line[:1] for line in lines[4:7]] == [" ", "*", "*"]
    assert lines[3].split()[-4:] == ["CUDA0", "least", "spare", "strategy"]
    assert lines[-2:] == [
        "- f16, -ub 512, -np 1, context 10,000: short by 5 MiB on RAM",
        "- q4_0, -ub 512, -np 2, context 4,096: short by 5 MiB on RAM",
    ]

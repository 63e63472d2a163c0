"""Which layers slide, recur or own an indexer, by made-up headers and rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from omniplan.domain.header import Header, Value
from omniplan.errors import UnsupportedModel
from omniplan.gguf import read_header
from omniplan.gguf.model import patterns
from omniplan.gguf.model.architectures import ArchRow, MemoryKind, SwaRow
from omniplan.gguf.model.keys import Keys
from tests.headers import write_gguf


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    path: Path = tmp_path_factory.mktemp("patterns") / "m.gguf"
    return read_header(write_gguf(path, {"general.architecture": "x"}, []))


def keys(header: Header, **given: Value) -> Keys:
    """The header with other keys of its architecture; ``__`` stands for a dot."""
    metadata = {f"x.{name.replace('__', '.')}": value for name, value in given.items()}
    return Keys(replace(header, metadata=metadata), "x")


def marks(flags: tuple[bool, ...] | list[bool]) -> str:
    return "".join("x" if flag else "." for flag in flags)


ROW = ArchRow(swa=SwaRow(n_swa=1024, period=4))
WINDOW = "attention__sliding_window"
PATTERN = "attention__sliding_window_pattern"


@pytest.mark.parametrize(
    ("swa", "given", "expected"),
    [
        (None, {WINDOW: 512}, (0, "........")),
        (SwaRow(n_swa=1024, period=4), {}, (1024, "xxx.xx..")),
        (SwaRow(n_swa=1024, period=4), {WINDOW: 512}, (512, "xxx.xx..")),
        (SwaRow(n_swa=1024, period=4, fixed=True), {WINDOW: 512}, (1024, "xxx.xx..")),
        (SwaRow(n_swa=1024, period=4, dense_first=True), {}, (1024, ".xxx.x..")),
        (SwaRow(n_swa=1024, period=0), {}, (1024, "xxxxxx..")),
        (SwaRow(n_swa=1024, period=1), {}, (1024, "........")),
        (SwaRow(n_swa=1024, period=4), {PATTERN: 2}, (1024, "x.x.x...")),
        (SwaRow(n_swa=1024, period=4), {PATTERN: (0, 1, 1)}, (1024, ".xx.....")),
        (SwaRow(n_swa=1024, period=4), {PATTERN: (1,) * 9}, (1024, "xxxxxxxx")),
        (SwaRow(n_swa=1024, period=4, if_positive=True), {}, (0, "........")),
        (SwaRow(n_swa=1024, period=4, if_positive=True), {WINDOW: 1}, (1, "xxx.xx..")),
        (SwaRow(n_swa=1024, period=4, unless_zero=True), {}, (1024, "xxx.xx..")),
        (SwaRow(n_swa=1024, period=4, unless_zero=True), {WINDOW: 0}, (0, "........")),
        (SwaRow(n_swa=1024, period=4, if_n_layer=6), {}, (1024, "xxx.xx..")),
        (SwaRow(n_swa=1024, period=4, if_n_layer=7), {}, (0, "........")),
        (SwaRow(n_swa=1024, attention_layers=True), {}, (1024, ".x.x.xxx")),
    ],
)
def test_layers_slide_by_the_header_or_by_their_row(
    header: Header, swa: SwaRow | None, given: dict[str, Value], expected: tuple[int, str]
) -> None:
    """Six layers and two behind them; window and pattern of the header come first where the row lets them."""
    recurs = tuple(il in (0, 2, 4) for il in range(8))
    n_swa, flags = patterns.sliding(keys(header, **given), replace(ROW, swa=swa), 6, 8, recurs)

    assert (n_swa, marks(flags)) == expected


@pytest.mark.parametrize(
    ("row", "given", "expected"),
    [
        (ArchRow(), {}, "......"),
        (ArchRow(recurrent="all"), {}, "xxxxxx"),
        (ArchRow(recurrent="no_kv_heads"), {}, "xx.x.."),
        (ArchRow(recurrent="no_kv_heads_no_ff"), {}, "x..x.."),
        (ArchRow(recurrent="interval", interval=3), {}, "xx.x.."),
        (ArchRow(recurrent="interval", interval=3), {"full_attention_interval": 2}, "x.x..."),
        (ArchRow(recurrent="interval", interval=3), {"full_attention_interval": 0}, "xx.x.."),
        (ArchRow(recurrent="interval", interval=3), {"attention__recurrent_layers": (0, 1, 1, 0, 0, 1)}, ".xx..x"),
    ],
)
def test_layers_recur_by_what_they_lack_or_by_an_interval(
    header: Header, row: ArchRow, given: dict[str, Value], expected: str
) -> None:
    """Four layers and two behind them, which recur only where the header itself says so."""
    heads, wide = (0, 0, 8, 0, 0, 0), (0, 9, 9, 0, 0, 0)

    assert marks(patterns.recurrent(keys(header, **given), row, 4, heads, wide)) == expected


def test_indexers_by_the_header_the_context_or_the_memory(header: Header) -> None:
    """Two leading layers and then one in four own one from a million tokens of training on."""
    by_context = ArchRow(indexer_full="by_context")

    assert marks(patterns.indexer_full(keys(header), by_context, 8, 1 << 20)) == "xxx...x."
    assert marks(patterns.indexer_full(keys(header), by_context, 4, (1 << 20) - 1)) == "xxxx"
    assert marks(patterns.indexer_full(keys(header), ArchRow(), 4, 1 << 20)) == "...."
    assert marks(patterns.indexer_full(keys(header), ArchRow(memory=MemoryKind.DSA), 4, 4096)) == "xxxx"
    given = keys(header, attention__indexer__types=(1, 0, 1))
    assert marks(patterns.indexer_full(given, by_context, 5, 1 << 20)) == "x.x.."
    assert marks(patterns.indexer_full(given, by_context, 2, 1 << 20)) == "x."


def test_numbers_are_what_llama_cpp_reads(header: Header) -> None:
    """Whole, not negative, of 32 bits; the first of an array, and one for every layer where a layer has its own."""
    found = keys(header, n=(7, 8, 9), most=(1 << 32) - 1)

    assert (found.number("n"), found.number("most"), found.number("none", 5)) == (7, (1 << 32) - 1, 5)
    assert (found.per_layer("n", 2), found.per_layer("most", 2)) == ((7, 8), ((1 << 32) - 1,) * 2)
    for wrong in (1 << 32, -1, 0.5, "7", True):
        with pytest.raises(UnsupportedModel, match=r"x\.n"):
            keys(header, n=wrong).number("n")
    with pytest.raises(UnsupportedModel, match="an array of 4"):
        found.per_layer("n", 4)
    with pytest.raises(UnsupportedModel, match="a number above 0"):
        keys(header, n=0).required("n")

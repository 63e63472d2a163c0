"""A report as values: every number it shows, with its text, so that whoever draws it computes nothing.

Quantities that are drawn are bytes, seconds or tokens per second; ``text`` is how each is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from omniplan.documents.record import Record
from omniplan.domain.evidence import Assumption, Reason
from omniplan.text.palette import Hue


class Standing(StrEnum):
    """How something stands: as it should, not so, or nobody knows."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer in one sentence."""

    state: Standing
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number: where it stands in a plan (``name``), what it is, its value, its text and its unit.

    ``span`` is the text of its range, "" without one; ``low`` and ``high`` are its ends.
    """

    name: str
    label: str
    value: float
    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    span: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandText:
    """A command to copy: what it is, its shell line, and when to take it ("" where that needs no words)."""

    label: str
    line: str
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One piece of a bar: whose it is, in which colour, how long, and how that is written.

    ``owner`` is the member of a stack it belongs to, "" where there is but one model. ``parts`` says what it is made
    of.
    """

    hue: Hue
    label: str
    value: float
    text: str
    owner: str = ""
    parts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stacked bar: one memory, or one duration.

    ``scale`` is what its full width stands for, which bars that are compared share; ``limit`` is the most that it may
    take, None where that is not known or there is none. ``text`` is its length in words, ``remark`` what to know of it.
    """

    name: str
    label: str
    text: str
    segments: tuple[Segment, ...]
    scale: float
    limit: float | None = None
    state: Standing = Standing.GOOD
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarGroup:
    """Bars of one kind, drawn to one scale, under one title."""

    title: str
    bars: tuple[Bar, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPiece:
    """The share of one lane of a layer that lies on a device: between 0 and 1, and its bytes in words."""

    device: str
    hue: Hue
    share: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerColumn:
    """One layer, or the output: where its attention, FFN, experts and cache lie. ``is_split`` where a lane is cut."""

    name: str
    pieces: tuple[LayerPiece, ...]
    is_split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRun:
    """Layers in a row that lie alike: their numbers, and in words where each lane lies, in the order of ``lanes``.

    What embeds or ends, which has no lanes, has one place.
    """

    span: str
    places: tuple[str, ...]
    is_split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMap:
    """Where every layer lies: devices from top to bottom, lanes within a device, layers from left to right."""

    devices: tuple[str, ...]
    lanes: tuple[Hue, ...]
    columns: tuple[LayerColumn, ...]
    runs: tuple[LayerRun, ...]
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalRow:
    """One way to run it: what it is called, how it stands, its figures in the order of the table's heads, its command.

    Figures are None where it does not load. ``is_plan`` marks the one that the others are compared with.
    """

    name: str
    state: Standing
    standing: str
    figures: tuple[Figure | None, ...]
    command: CommandText
    is_plan: bool = False
    memory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalTable:
    """Ways to run one model side by side; ``heads`` name the figures, with their units.

    ``scales`` are what a full bar stands for in each of these columns.
    """

    title: str
    heads: tuple[str, ...]
    scales: tuple[float, ...]
    rows: tuple[RivalRow, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeoffPoint:
    """One combination, which sliders choose: its figures, its memory and its command, or why there is none.

    ``series`` is the line it lies on; ``is_efficient`` says that no other beats it.
    """

    n_ctx: int
    context: str
    n_parallel: int
    cache_type: str
    n_ubatch: int
    series: str
    figures: tuple[Figure, ...] = ()
    memory: tuple[Bar, ...] = ()
    command: CommandText | None = None
    strategy: str = ""
    why_not: str = ""
    is_efficient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoffs:
    """What context, cache type, micro-batch and slots trade: points computed beforehand, and the one to begin with."""

    title: str
    contexts: tuple[int, ...]
    context_texts: tuple[str, ...]
    cache_types: tuple[str, ...]
    ubatches: tuple[int, ...]
    parallels: tuple[int, ...]
    points: tuple[TradeoffPoint, ...]
    start: int
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRow:
    """One figure of a run against its prediction: both in words, and as bytes or rates; None where one is not known."""

    place: str
    column: str
    predicted: float | None
    actual: float | None
    predicted_text: str
    actual_text: str
    difference: str
    state: Standing
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTable:
    """Figures of one kind of a run against their predictions, drawn to one ``scale``."""

    title: str
    rows: tuple[CheckedRow, ...]
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to know: how bad, what, and what to do about it."""

    state: Standing
    subject: str
    statement: str
    advice: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet(Record):
    """What is said of one model on one machine, or of several together; parts that a verb does not have are empty.

    ``facts`` are what it was asked for, and which versions say so, as pairs of words.
    """

    name: str
    title: str
    verdict: Verdict
    figures: tuple[Figure, ...] = ()
    commands: tuple[CommandText, ...] = ()
    memory: tuple[BarGroup, ...] = ()
    layers: LayerMap | None = None
    times: tuple[Bar, ...] = ()
    rivals: RivalTable | None = None
    tradeoffs: Tradeoffs | None = None
    checked: tuple[CheckedTable, ...] = ()
    notices: tuple[Notice, ...] = ()
    reasons: tuple[Reason, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Record):
    """Everything that one page shows: of ``verb``, by this ``version``; the first sheet is what was asked for."""

    verb: str
    title: str
    version: str
    sheets: tuple[Sheet, ...]
    schema_version: int = 1

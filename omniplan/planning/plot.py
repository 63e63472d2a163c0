"""A frontier as a picture: tokens per second and VRAM over context, one line per cache type and micro-batch."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omniplan.domain.prediction import Estimate
from omniplan.errors import InputError, needs
from omniplan.planning.frontier_values import Frontier, Outcome, Point
from omniplan.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

FORMATS: Final = (".svg", ".png")
_STYLES: Final = ("-", "--", "-.", ":")
_PANEL: Final = (7.0, 5.0)  # inches


def check_plot(path: str | Path) -> None:
    """Raise InputError when no plot can be written to ``path``, before anything is planned for it."""
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"expected a file name ending in {' or '.join(FORMATS)}", field="plot", value=path)
    if not Path(path).absolute().parent.is_dir():
        raise InputError("its folder does not exist; create it first", field="plot", value=path)
    if find_spec("matplotlib") is None:
        raise InputError(needs("matplotlib", "plot"), field="plot")


def write_plot(frontier: Frontier, path: str | Path) -> None:
    """Draw ``frontier`` into an SVG or PNG file by its suffix; the same frontier gives the same bytes.

    Speed above VRAM, side by side for each number of slots; the band of a line is the range of its estimates. Raises
    InputError without matplotlib, for another suffix, or for a file that cannot be written.
    """
    check_plot(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    kind = Path(path).suffix.lower().removeprefix(".")
    slots = sorted({point.n_parallel for point in frontier.points})
    # Ids of an SVG are random without a salt.
    with rc_context({"svg.hashsalt": "omniplan"}):
        figure = Figure(figsize=(_PANEL[0] * len(slots), 2 * _PANEL[1]), layout="constrained")
        rows = figure.subplots(2, len(slots), sharey="row", squeeze=False)
        for column, n_parallel in enumerate(slots):
            points = [point for point in frontier.points if point.n_parallel == n_parallel]
            _panel(rows[0][column], points, _rates)
            _panel(rows[1][column], points, _vram)
        rows[0][0].set_ylabel("generated tokens/s at the end of the context")
        rows[1][0].set_ylabel("VRAM in GiB")
        figure.suptitle(f"{frontier.model} on {frontier.machine}, {frontier.n_prompt:,} + {frontier.n_gen:,} tokens")
        try:
            figure.savefig(path, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", field="plot", value=path) from error


def _panel(axes: Axes, points: Sequence[Point], figure: Callable[[Outcome], Estimate]) -> None:
    """The lines of one ``figure`` and number of slots: colour by cache type, dashes by micro-batch."""
    types = list(dict.fromkeys(point.cache_type for point in points))
    ubatches = sorted({point.n_ubatch for point in points})
    ordered = sorted(points, key=lambda point: (types.index(point.cache_type), point.n_ubatch, point.n_ctx))
    for (cache_type, n_ubatch), group in groupby(ordered, key=lambda point: (point.cache_type, point.n_ubatch)):
        style = _STYLES[ubatches.index(n_ubatch) % len(_STYLES)]
        _line(axes, list(group), figure, color=f"C{types.index(cache_type)}", style=style)
    contexts = sorted({point.n_ctx for point in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(contexts, [_short(n_ctx) for n_ctx in contexts])
    axes.set_xticks([], minor=True)
    axes.set_xlim(contexts[0] / 1.2, contexts[-1] * 1.2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("context in tokens, over all slots")
    slots = "1 slot" if points[0].n_parallel == 1 else f"{points[0].n_parallel} slots"
    axes.set_title(f"{slots}; dots: on the front", fontsize="medium")
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="KV cache, micro-batch", loc="lower left")


def _line(
    axes: Axes, points: Sequence[Point], figure: Callable[[Outcome], Estimate], *, color: str, style: str
) -> None:
    """One line with its band; the label says where it ends."""
    fits = [(point, figure(point.outcome)) for point in points if point.outcome is not None]
    contexts = [point.n_ctx for point, _ in fits]
    axes.plot(contexts, [found.value for _, found in fits], linestyle=style, color=color, label=_label(points))
    low, high = [found.low for _, found in fits], [found.high for _, found in fits]
    axes.fill_between(contexts, low, high, color=color, alpha=0.1)
    front = [(point.n_ctx, found.value) for point, found in fits if point.is_efficient]
    axes.plot([n_ctx for n_ctx, _ in front], [value for _, value in front], "o", color=color)


def _rates(outcome: Outcome) -> Estimate:
    return outcome.decode_tokens_per_second


def _vram(outcome: Outcome) -> Estimate:
    size = outcome.vram / GIB
    return Estimate(low=size, value=size, high=size)


def _label(points: Sequence[Point]) -> str:
    given = f"{points[0].cache_type}, -ub {points[0].n_ubatch}"
    if points[-1].outcome is not None:
        return given
    last = max((point.n_ctx for point in points if point.outcome is not None), default=0)
    return f"{given} (fits up to {_short(last)})" if last else f"{given} (does not fit)"


def _short(n_ctx: int) -> str:
    """A context as people say it: 32K for 32,768."""
    return f"{n_ctx >> 10}K" if n_ctx % 1024 == 0 else f"{n_ctx:,}"

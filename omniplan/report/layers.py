"""Where every layer lies: each lane of it, device by device, drawn and in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from omniplan.domain.footprint import RAM
from omniplan.llamacpp.ggml.buffers import is_host
from omniplan.llamacpp.load.held import Held, layers_of
from omniplan.report.memory import HUES
from omniplan.report.values import LayerColumn, LayerMap, LayerPiece, LayerRun
from omniplan.report.words import size
from omniplan.text.palette import Hue

# From top to bottom within a device.
_LANES: Final = (Hue.ATTENTION, Hue.FFN, Hue.EXPERTS, Hue.CACHE)
# Less than this of a lane is a scale or a bias beside it, and no share of the work.
_LEAST: Final = 0.005

_Lanes = Mapping[Hue, Mapping[str, int]]


def layer_map(pieces: Sequence[Held], devices: Sequence[str], n_layer: int) -> LayerMap:
    """The map of a placement with its pieces; ``devices`` in the order to draw, ``n_layer`` the number of the output.

    RAM comes last, whatever its buffers are called.
    """
    layers = {il: _lanes(found) for il, found in layers_of(tuple(pieces)).items()}
    used = {device for lanes in layers.values() for sizes in lanes.values() for device in sizes}
    columns = tuple(_column(_name(il, n_layer), lanes) for il, lanes in layers.items())
    lanes = tuple(lane for lane in _LANES if any(piece.hue is lane for column in columns for piece in column.pieces))
    runs = tuple(_runs(columns, lanes))
    return LayerMap(
        devices=tuple(device for device in (*devices, RAM) if device in used),
        lanes=lanes,
        columns=columns,
        runs=runs,
        remark=_remark(runs),
    )


def _name(il: int, n_layer: int) -> str:
    return "input" if il < 0 else "output" if il >= n_layer else str(il)


def _lanes(pieces: Sequence[Held]) -> _Lanes:
    found: defaultdict[Hue, Counter[str]] = defaultdict(Counter)
    for piece in pieces:
        found[HUES[piece.role]][RAM if is_host(piece.buffer) else piece.buffer] += piece.nbytes
    return found


def _column(name: str, lanes: _Lanes) -> LayerColumn:
    if not name.isdecimal():
        # Norms beside the embedding or the output are a part of it.
        total: Counter[str] = sum((Counter(sizes) for sizes in lanes.values()), Counter())
        lanes = {Hue.EMBEDDING: total}
    pieces = tuple(piece for lane, sizes in lanes.items() for piece in _pieces(lane, sizes))
    counts = Counter(piece.hue for piece in pieces)
    return LayerColumn(name=name, pieces=pieces, is_split=max(counts.values(), default=0) > 1)


def _pieces(lane: Hue, sizes: Mapping[str, int]) -> Iterator[LayerPiece]:
    total = sum(sizes.values())
    for device, nbytes in sizes.items():
        if nbytes > _LEAST * total:
            yield LayerPiece(device=device, hue=lane, share=nbytes / total, text=size(nbytes))


def _runs(columns: Sequence[LayerColumn], lanes: Sequence[Hue]) -> Iterator[LayerRun]:
    for places, group in groupby(columns, key=lambda column: _places(column, lanes)):
        found = list(group)
        first, last = found[0].name, found[-1].name
        span = first if first == last else f"{first} to {last}"
        yield LayerRun(span=span, places=places, is_split=any(column.is_split for column in found))


def _places(column: LayerColumn, lanes: Sequence[Hue]) -> tuple[str, ...]:
    """Where each lane of a layer lies; what embeds or ends has but one place."""
    if any(piece.hue is Hue.EMBEDDING for piece in column.pieces):
        return (_place(column, Hue.EMBEDDING),)
    return tuple(_place(column, lane) for lane in lanes)


def _place(column: LayerColumn, lane: Hue) -> str:
    found = [piece for piece in column.pieces if piece.hue is lane]
    if len(found) < 2:
        return found[0].device if found else ""
    return ", ".join(f"{piece.device} {piece.share:.0%}" for piece in found)


def _remark(runs: Sequence[LayerRun]) -> str:
    split = [run.span for run in runs if run.is_split]
    if not split:
        return ""
    return f"Divided within a layer: {', '.join(split)}."

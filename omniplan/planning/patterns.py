"""Layer sets as one short regular expression, and the overrides built from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from omniplan.domain.params import Override
from omniplan.llamacpp.ggml.buffers import CPU

# The names --cpu-moe moves (llama.cpp b11434 common/common.h), limited to some layers by the caller.
EXPERTS = r"ffn_(up|down|gate|gate_up)_(ch|)exps"
# The names --n-cpu-ffn moves.
DENSE_FFN = r"ffn_(up|down|gate)\."


def layers(indices: Iterable[int]) -> str:
    """An ECMAScript alternative that matches exactly these layer numbers, such as ``(2[3-9]|[3-5][0-9]|60)``."""
    parts = [part for first, last in runs(indices) for part in _range(first, last)]
    return f"({'|'.join(parts)})"


def to_cpu(indices: Iterable[int], tensors: str) -> Override:
    """The override that keeps ``tensors`` of these layers in RAM; dots keep ``blk.1`` from ``blk.10``."""
    return Override(rf"blk\.{layers(indices)}\.{tensors}", CPU)


def some(tensors: str, projections: Iterable[str]) -> str:
    """``tensors`` (``EXPERTS`` or ``DENSE_FFN``) limited to some projections, such as up and gate."""
    return re.sub(r"\([^)]*\)", f"({'|'.join(projections)})", tensors, count=1)


def runs(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Maximal runs of neighbours, first and last."""
    for _, group in groupby(enumerate(sorted(set(indices))), key=lambda pair: pair[1] - pair[0]):
        run = [value for _, value in group]
        yield run[0], run[-1]


def _range(first: int, last: int) -> Iterator[str]:
    """Alternatives for ``first..last``, cut where the number of digits changes."""
    while first <= last:
        top = min(last, 10 ** len(str(first)) - 1)
        yield from _same_width(first, top)
        first = top + 1


def _same_width(first: int, last: int) -> Iterator[str]:
    widest = 10 ** (len(str(first)) - 1)
    while first <= last:
        step = 1
        while step < widest and first % (step * 10) == 0 and first + step * 10 - 1 <= last:
            step *= 10
        if step == 1:
            top = min(last, first - first % 10 + 9)
            yield _last_digit(first, top)
            first = top + 1
        else:
            count = min((last - first + 1) // step, 10 - first // step % 10)
            yield _block(first, step, count)
            first += count * step


def _last_digit(first: int, last: int) -> str:
    head = str(first)[:-1]
    return head + _digits(first % 10, last % 10)


def _block(first: int, step: int, count: int) -> str:
    """``count`` blocks of ``step`` numbers each, such as 20 to 49 with a step of 10."""
    lead = first // step
    head = str(lead)[:-1]
    return head + _digits(lead % 10, lead % 10 + count - 1) + "[0-9]" * (len(str(step)) - 1)


def _digits(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"[{first}{last}]" if last == first + 1 else f"[{first}-{last}]"

"""Which sets of members fit together in the places they have, and what RAM is left for their prompt caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omniplan.domain.headroom import CACHE_STEP, PROMPT_CACHE
from omniplan.stack.pools import Need


def fits(capacity: Need, needs: Sequence[Need]) -> bool:
    """Whether needs are within ``capacity`` in every dimension."""
    return all(sum(column) <= most for column, most in zip(zip(*needs, strict=True), capacity, strict=True))


def largest_sets(needs: Mapping[str, Need], capacity: Need) -> tuple[tuple[str, ...], ...]:
    """The sets of names that fit in ``capacity`` and to which no other name can be added, in the order of the names.

    Every set that fits is part of one of them, and every part of one fits, as needs are not negative. Names are taken
    or left one by one; a set is given up as soon as it does not fit.
    """
    names = list(needs)
    found: list[tuple[str, ...]] = []
    # (next index, names taken, names left out although they fit, room)
    stack: list[tuple[int, tuple[int, ...], Need]] = [(0, (), capacity)]
    while stack:
        index, taken, room = stack.pop()
        if index == len(names):
            if taken and not any(_holds(room, needs[name]) for i, name in enumerate(names) if i not in taken):
                found.append(tuple(names[i] for i in taken))
            continue
        need = needs[names[index]]
        stack.append((index + 1, taken, room))
        if _holds(room, need):
            left = tuple(have - more for have, more in zip(room, need, strict=True))
            stack.append((index + 1, (*taken, index), left))
    return tuple(found)


def _holds(room: Need, need: Need) -> bool:
    return all(more <= have for have, more in zip(room, need, strict=True))


def prompt_caches(groups: Sequence[Sequence[str]], left: Sequence[int], names: Sequence[str]) -> Mapping[str, int]:
    """Bytes of prompt cache for each name: llama-server's 8 GiB, or an equal part of what its tightest group leaves.

    ``left`` are the bytes of RAM each group leaves. The sum in every group is at most that.
    """
    parts = dict.fromkeys(names, PROMPT_CACHE)
    for members, room in zip(groups, left, strict=True):
        with_cache = [name for name in members if name in parts]
        for name in with_cache:
            part = max(0, room) // len(with_cache)
            parts[name] = min(parts[name], part if part >= PROMPT_CACHE else part // CACHE_STEP * CACHE_STEP)
    return parts

"""The pools a stack shares: what they hold for it, and what a plan needs of each, as sums that can be added up.

The headroom policy is linear in the members: ``Headroom.shared`` is what a GPU has for them, of which each takes its
buffers, ``Headroom.each`` and what is ``Headroom.beyond`` its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from omniplan.domain.footprint import RAM, Footprint
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine, Memory
from omniplan.errors import InputError
from omniplan.llamacpp.ggml import buffers
from omniplan.planning.solution import Solution
from omniplan.stack.asked import ANY_GPU, Budget, External
from omniplan.stack.values import Share

# More than any pool: RAM of unknown size is not checked.
UNKNOWN: Final = 1 << 62

Need = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Pools:
    """The pools of ``machine`` under a budget: GPUs in order, RAM, then two sums, of the GPUs and of everything.

    The sums are dimensions of their own: entries that may be divided over GPUs at will need only them, and they make
    bounds tight. What lies on a GPU that draws on RAM is needed of both, and counts once in the sum of everything.
    """

    machine: Machine
    budget: Budget

    def __post_init__(self) -> None:
        names = {gpu.name for gpu in self.machine.gpus}
        for name in self.budget.gpus:
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                raise InputError(f"budget.gpus.{name}: {self.machine.name} has no such GPU; it has {known}")

    @cached_property
    def headroom(self) -> Headroom:
        """The policy, with what the budget says of RAM."""
        policy = Headroom.parse(self.budget.headroom)
        return policy if self.budget.ram_headroom is None else replace(policy, ram=self.budget.ram_headroom)

    @property
    def names(self) -> tuple[str, ...]:
        """GPUs and RAM."""
        return (*(gpu.name for gpu in self.machine.gpus), RAM)

    @cached_property
    def capacity(self) -> Need:
        """Bytes of every dimension for members and their reserves."""
        gpus = [max(0, self.headroom.shared(gpu, self.budget.gpus.get(gpu.name))) for gpu in self.machine.gpus]
        return (*gpus, self._ram(gpus), sum(gpus), self._once(gpus) + self._ram(gpus))

    def _ram(self, gpus: Sequence[int]) -> int:
        """Bytes of RAM, less what stays free on GPUs that draw on it."""
        room = UNKNOWN
        if self.machine.ram is not None:
            kept = sum(self.machine.gpus[index].room - gpus[index] for index in self._drawing)
            room = max(0, self.machine.ram - self.headroom.ram - kept)
        return room if self.budget.ram is None else min(room, self.budget.ram)

    @cached_property
    def _drawing(self) -> tuple[int, ...]:
        """The GPUs that draw on RAM, by index."""
        return tuple(index for index, gpu in enumerate(self.machine.gpus) if gpu.draws_on_ram)

    def _once(self, sizes: Sequence[int]) -> int:
        """The sum over GPUs that do not draw on RAM."""
        return sum(size for index, size in enumerate(sizes) if index not in self._drawing)

    def shares(self, solution: Solution) -> tuple[Share, ...]:
        """What ``solution`` takes of each pool it touches, without its prompt cache."""
        used = {margin.pool for margin in solution.margins}
        return tuple(self._share(solution.footprint, name) for name in self.names if name in used or name == RAM)

    def _share(self, priced: Footprint, pool: str) -> Share:
        sizes = [
            size for name, size in priced.buffers.items() if (buffers.is_host(name) if pool == RAM else name == pool)
        ]
        reserve, compute = 0, sum(size.compute for size in sizes)
        if pool == RAM:
            compute += priced.output_buffer
        else:
            reserve = self.headroom.each + self.headroom.beyond(self.machine.gpu(pool), priced)
        return Share(
            pool=pool,
            model=sum(size.model for size in sizes),
            context=sum(size.context for size in sizes),
            compute=compute,
            reserve=reserve,
        )

    def need(self, shares: Iterable[Share]) -> Need:
        """Shares as bytes per dimension; what may lie on any GPU is in the sums alone."""
        sizes = {share.pool: share.total for share in shares}
        gpus = tuple(sizes.get(gpu.name, 0) for gpu in self.machine.gpus)
        ram = sizes.get(RAM, 0) + sum(gpus[index] for index in self._drawing)
        loose = sizes.get(ANY_GPU, 0)
        return (*gpus, ram, sum(gpus) + loose, self._once(gpus) + ram + loose)

    def external(self, entry: External) -> Need:
        """What an external entry takes; raises InputError for a GPU nobody has."""
        if entry.pool not in (*self.names, ANY_GPU):
            raise InputError(f"externals: {entry.name}: {self.machine.name} has no {entry.pool}; name one of its pools")
        return self.need([Share(pool=entry.pool, model=entry.size)])

    def left(self, needs: Iterable[Need]) -> Need:
        """Bytes of every dimension beyond ``needs``."""
        used = total(needs, len(self.capacity))
        return tuple(most - have for most, have in zip(self.capacity, used, strict=True))

    def usable(self, room: Sequence[int]) -> Need:
        """``room`` per pool, nothing on GPUs that would not even hold a context."""
        *gpus, ram = room[: len(self.names)]
        return (*(size if size > self.headroom.each else 0 for size in gpus), ram)

    def view(self, room: Sequence[int]) -> Machine:
        """The machine as a planner should see it to use at most ``room`` bytes per pool, reserves included."""
        gpus = tuple(self.headroom.seen_alone(gpu, size) for gpu, size in zip(self.machine.gpus, room, strict=False))
        if self.machine.ram is None:
            return replace(self.machine, gpus=gpus)
        used = [gpus[index] for index in self._drawing if gpus[index].free]
        kept = sum(self.headroom.kept_on(gpu) - self.headroom.each for gpu in used)
        total = max(0, room[len(gpus)] + self.headroom.ram + kept)
        memory = replace(self.machine.memory or Memory(total=0), total=total, reserved=())
        return replace(self.machine, gpus=gpus, memory=memory)

    def missing(self, used: Sequence[int], capacity: Need | None = None) -> int:
        """The least bytes by which ``used`` is too much, wherever what can move would go."""
        over = [max(0, have - most) for have, most in zip(used, capacity or self.capacity, strict=True)]
        *gpus, ram, any_gpu, everything = over
        drawn = max((gpus[index] for index in self._drawing), default=0)
        return max(self._once(gpus) + max(ram, drawn), any_gpu + (0 if self._drawing else ram), everything)


def total(needs: Iterable[Need], width: int) -> Need:
    """Sum of needs, dimension by dimension."""
    used = [0] * width
    for need in needs:
        for place, size in enumerate(need):
            used[place] += size
    return tuple(used)

"""The room of one compute buffer, as blocks that are free: ggml-alloc.c of b11434."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omniplan.llamacpp.ggml.buffers import ENDLESS

# ggml-alloc.c:GGML_VBUFFER_MAX_CHUNKS
MOST_CHUNKS: Final = 16
# More than any address within a chunk.
_SPAN: Final = 2 * ENDLESS


class Arena:
    """One buffer: its free blocks by address, the last of them endless, and the most bytes ever in use.

    ggml-alloc.c:ggml_dyn_tallocr with one chunk. Empty tensors count: they leave empty blocks behind, which keep
    neighbours from joining.
    """

    __slots__ = ("blocks", "peak", "sizes")

    def __init__(self, room: int = ENDLESS) -> None:
        self.blocks = [0]
        self.sizes = [room]
        self.peak = 0

    def take(self, size: int) -> int:
        """The address of ``size`` bytes: the tightest free block, of equal ones the last; the last of all if none."""
        sizes = self.sizes
        last = best = len(sizes) - 1
        tightest = ENDLESS
        for i in range(last):
            if size <= sizes[i] <= tightest:
                best, tightest = i, sizes[i]
        address = self.blocks[best]
        if sizes[best] == size:
            del self.blocks[best], sizes[best]
        else:
            self.blocks[best] += size
            sizes[best] -= size
        self.peak = max(self.peak, address + size)
        return address

    def give(self, address: int, size: int) -> None:
        """Free ``size`` bytes: they join the first block that touches them, and that one its neighbour."""
        blocks, sizes = self.blocks, self.sizes
        end, after = address + size, -1
        for i, start in enumerate(blocks):
            # Empty blocks can break the order, so this cannot be a bisection.
            if after < 0 and start >= address:
                after = i
            if start + sizes[i] == address:
                sizes[i] += size
                self._join(i)
                return
            if start == end:
                blocks[i] = address
                sizes[i] += size
                if i:
                    self._join(i - 1)
                return
        at = after if after >= 0 else len(blocks)
        blocks.insert(at, address)
        sizes.insert(at, size)

    def _join(self, i: int) -> None:
        blocks, sizes = self.blocks, self.sizes
        if i + 1 < len(blocks) and blocks[i] + sizes[i] == blocks[i + 1]:
            sizes[i] += sizes.pop(i + 1)
            del blocks[i + 1]


class ChunkedArena:
    """One buffer of memory whose single buffers hold at most ``largest`` bytes: several chunks, each an arena.

    A tensor that is larger has a chunk to itself; the last of sixteen has no limit. An address says the chunk too.
    """

    __slots__ = ("chunks", "largest")

    def __init__(self, largest: int) -> None:
        self.chunks: list[Arena] = []
        self.largest = largest

    @property
    def peak(self) -> int:
        """The most bytes ever in use, chunk by chunk."""
        return sum(chunk.peak for chunk in self.chunks)

    def take(self, size: int) -> int:
        """The address of ``size`` bytes: a hole, else the end of the chunk that grows least, else a new chunk."""
        number, at = self._hole(size) or self._end(size) or self._grown(size)
        chunk = self.chunks[number]
        address = chunk.blocks[at]
        if chunk.sizes[at] == size:
            del chunk.blocks[at], chunk.sizes[at]
        else:
            chunk.blocks[at] += size
            chunk.sizes[at] -= size
        chunk.peak = max(chunk.peak, address + size)
        return number * _SPAN + address

    def give(self, address: int, size: int) -> None:
        """Free ``size`` bytes."""
        number, offset = divmod(address, _SPAN)
        self.chunks[number].give(offset, size)

    def _hole(self, size: int) -> tuple[int, int] | None:
        """The tightest block before the end of the last chunk that has one, of equal ones the last."""
        for number in range(len(self.chunks) - 1, -1, -1):
            sizes = self.chunks[number].sizes[:-1]
            fitting = [(-room, at) for at, room in enumerate(sizes) if room >= size]
            if fitting:
                return number, max(fitting)[1]
        return None

    def _end(self, size: int) -> tuple[int, int] | None:
        """The last block of a chunk: where the least is left over of what was in use before, else that grows least."""
        found = list(self._ends(size))
        within = [end for end in found if end[0] >= 0]
        if not found:
            return None
        # Of equal ones the first.
        _, number, at = min(within, key=lambda end: end[0]) if within else max(found, key=lambda end: end[0])
        return number, at

    def _ends(self, size: int) -> Iterator[tuple[int, int, int]]:
        for number, chunk in enumerate(self.chunks):
            at = len(chunk.sizes) - 1
            if at >= 0 and chunk.sizes[at] >= size:
                yield chunk.peak - chunk.blocks[at] - size, number, at

    def _grown(self, size: int) -> tuple[int, int]:
        room = ENDLESS if len(self.chunks) == MOST_CHUNKS - 1 else max(size, self.largest)
        self.chunks.append(Arena(room))
        return len(self.chunks) - 1, 0

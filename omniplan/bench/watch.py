"""What else had a part in a run: GPUs whose clocks were held down, and other work on the host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from omniplan import system
from omniplan.formats.programs import base_name
from omniplan.machines.probe.gpu_state import GpuState, states
from omniplan.machines.probe.host_load import HostLoad
from omniplan.machines.probe.nvml import NvmlDevice, NvmlMissing, opened

# Seconds between two looks: a GPU that is held down stays so for many of them.
_PERIOD: Final = 1.0
# Others' work on more threads than this share takes time from the server's.
BUSY: Final = 0.25
# Before this many looks say so, a reason may be the moment at which a GPU starts or ends.
_SEEN: Final = 0.1
# Their daemons start what they run, which is no child of ours: its time would count as others'.
_CONTAINERS: Final = frozenset({"docker", "podman", "nerdctl", "ssh", "systemd-run"})

Devices = Callable[[], AbstractContextManager[Sequence[NvmlDevice]]]


@contextmanager
def watched(command: str, tell: Callable[[str], None], devices: Devices = opened) -> Iterator[None]:
    """Watch GPUs and host until the block ends, then ``tell`` what disturbed it, a line each.

    ``command`` starts what is measured in it, "" for what runs already: then nobody knows whose work the host does.
    """
    seen: list[tuple[GpuState, ...]] = []
    load, ended = HostLoad(), threading.Event()
    looker = threading.Thread(target=_look, args=(devices, seen, ended), daemon=True)
    looker.start()
    try:
        yield
    finally:
        ended.set()
        looker.join(_PERIOD)
        for line in (*_slowed(seen), *_busy(load, command)):
            tell(line)


def _look(devices: Devices, seen: list[tuple[GpuState, ...]], ended: threading.Event) -> None:
    """Look until the run has ended; a host without NVML is not asked."""
    try:
        with devices() as found:
            while not ended.wait(_PERIOD):
                seen.append(states(found))
    except NvmlMissing:
        return


def _slowed(seen: Sequence[Sequence[GpuState]]) -> Iterator[str]:
    """Each GPU that was held down for a good part of the run."""
    for each in zip(*seen, strict=True):
        held = [state for state in each if state.slowed]
        if len(held) > _SEEN * len(each):
            warmest = max((state.degrees for state in each if state.degrees is not None), default=None)
            at = "" if warmest is None else f", at up to {warmest} °C"
            yield f"{each[0].name} was slowed {held[0].slowed} in {len(held) / len(each):.0%} of the run{at}"


def _busy(load: HostLoad, command: str) -> Iterator[str]:
    others = load.others() if _is_ours(command) else None
    if others is not None and others > BUSY:
        yield f"other work took {others:.0%} of the host's threads during the run"


def _is_ours(command: str) -> bool:
    """Whether what it starts is a child of this process."""
    words = system.words(command)
    return bool(words) and base_name(words[0]) not in _CONTAINERS

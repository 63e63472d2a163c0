"""One process in a log: its starts, and which load each line belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from omniplan.verify.logs.building import LoadBuilder, Run
from omniplan.verify.logs.match import Values

# More loads are counted but not kept.
_MOST_LOADS: Final = 32


class Process:
    """The loads of one process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.run = Run()
        self.loads: list[LoadBuilder] = []
        self.n_forgotten = 0

    def load(self, line: int) -> LoadBuilder:
        """The load being built."""
        if not self.loads or self.loads[-1].run is not self.run:
            self.begin(line)
        return self.loads[-1]

    def begin(self, line: int) -> LoadBuilder:
        """Another load of the same run."""
        self.loads.append(LoadBuilder(process=self.name, line=line, run=self.run, is_draft=self.run.next_is_draft))
        if len(self.loads) > _MOST_LOADS:
            del self.loads[0]
            self.n_forgotten += 1
        return self.loads[-1]

    def restart(self) -> None:
        """The server starts again, if it had begun."""
        if any(load.is_begun for load in self.loads if load.run is self.run):
            self.run = Run()


def _loading(process: Process, values: Values, line: int) -> None:
    process.restart()
    process.run.next_is_draft = False
    process.load(line).path = values["path"]


def _loading_draft(process: Process, _values: Values, _line: int) -> None:
    process.run.next_is_draft = True


def _loaded(process: Process, values: Values, line: int) -> None:
    load = process.load(line)
    if load.is_begun or load.is_draft is not process.run.next_is_draft:
        load = process.begin(line)
    load.path = values["path"]
    load.n_tensors = int(values["n_tensors"])
    load.loaded_line = line


def _restarted(process: Process, _values: Values, _line: int) -> None:
    process.restart()


BEGINNINGS: Final[Mapping[str, Callable[[Process, Values, int], None]]] = {
    "build": _restarted,
    "loading": _loading,
    "loading_draft": _loading_draft,
    "loaded": _loaded,
}

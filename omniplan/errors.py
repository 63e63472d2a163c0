"""How a run of the command ends: its exit codes, and every error a user can act on, which knows its own."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the command ends with; ``INTERRUPTED`` is what shells make of SIGINT."""

    GOOD = 0
    BAD = 1
    INPUT = 2
    NOT_KNOWN = 3
    OUTPUT = 4
    INTERRUPTED = 130

    @classmethod
    def of(cls, verdict: bool | None) -> ExitCode:
        """The code of a verdict: good, bad, or None for one that is not known."""
        return {True: cls.GOOD, False: cls.BAD, None: cls.NOT_KNOWN}[verdict]


class OmniplanError(Exception):
    """Base of all expected errors; the command prints it as one line."""

    exit_code = ExitCode.INPUT


class InputError(OmniplanError):
    """A bad argument, machine file or plan file; the message names the path inside the file."""


class OutputError(OmniplanError):
    """What was made cannot be written: a full disk, or a device that fails."""

    exit_code = ExitCode.OUTPUT


class RequestError(InputError):
    """A request nobody can ask: the field of ``Request``, its value and what was expected."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(field, value, problem)
        self.field = field
        self.value = value
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field} {self.value}: {self.problem}"


class HeaderError(OmniplanError):
    """A file whose GGUF header cannot be read, or whose size disagrees with its header."""

    def __init__(self, path: str | Path, problem: str, *, offset: int | None = None, remedy: str = "") -> None:
        super().__init__(path, problem)
        self.path = str(path)
        self.problem = problem
        self.offset = offset
        self.remedy = remedy

    def __str__(self) -> str:
        where = f" at byte {self.offset}" if self.offset is not None else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.path}: {self.problem}{where}{remedy}"


class ArgumentError(OmniplanError):
    """Arguments that llama-server would refuse or crash on; names the flag and the way out."""

    def __init__(self, flag: str, problem: str, *, remedy: str = "") -> None:
        super().__init__(flag, problem)
        self.flag = flag
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.flag}: {self.problem}{remedy}"


class TableError(OmniplanError):
    """A shipped or user table is wrong: file, dotted path, reason."""


class UnsupportedModel(OmniplanError):
    """The model cannot be planned honestly: not a language model, or tensors llama.cpp would refuse."""


class Infeasible(OmniplanError):
    """No placement keeps every limit; carries the shortfalls and what would make it fit."""

    exit_code = ExitCode.BAD

    def __init__(self, summary: str, *, shortfall: dict[str, int], remedies: tuple[str, ...] = ()) -> None:
        super().__init__(summary)
        self.summary = summary
        self.shortfall = shortfall
        self.remedies = remedies

    def __str__(self) -> str:
        return "; ".join((self.summary, *self.remedies))

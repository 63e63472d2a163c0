"""How a run of the command ends: its exit codes, and every error a user can act on, which knows its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omniplan.domain.request import RequestChanges


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


def nearest(word: str, known: Iterable[str]) -> str:
    """Which of ``known`` is most like ``word``, "" where none is."""
    # Nobody who writes everything right waits for it.
    from difflib import get_close_matches

    names = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[near[0]] if near else ""


def meant(word: str, known: Iterable[str]) -> str:
    """The end of an error about ``word``: which of ``known`` was meant, "" where none is like it."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""


def install(package: str, extra: str = "") -> str:
    """How each installer gets a ``package``, alone or by our ``extra``."""
    wanted = f'"omniplan[{extra}]"' if extra else package
    tool = wanted if extra else f"omniplan --with {package}"
    return f"`pip install {wanted}`, `uv tool install {tool}` or `pipx inject omniplan {package}`"


def needs(package: str, extra: str = "") -> str:
    """The end of an error about a ``package`` that is not installed, and how to get it."""
    return f"needs {package}, which is not installed; {install(package, extra)}"


class OmniplanError(Exception):
    """Base of all expected errors; the command prints it as one line."""

    exit_code = ExitCode.INPUT


class InputError(OmniplanError):
    """A bad argument, machine file or plan file; the message names the path inside the file.

    ``field`` is the parameter it is about, empty where it is about none, ``value`` what was given for it, empty where
    that is not known, and ``problem`` what is wrong with it. What caused it, such as a file that cannot be read, is its
    ``__cause__``.
    """

    def __init__(self, problem: str, *, field: str = "", value: object = "") -> None:
        super().__init__(problem)
        self.field = field
        self.value = value
        self.problem = problem

    def __str__(self) -> str:
        return self.about(self.field)

    def about(self, name: str) -> str:
        """The message with the parameter called ``name``."""
        subject = name if self.value == "" else f"{name} {self.value}"
        return f"{subject}: {self.problem}" if name else self.problem


class OutputError(OmniplanError):
    """What was made cannot be written: a full disk, or a device that fails."""

    exit_code = ExitCode.OUTPUT


class RequestError(InputError):
    """A request nobody can ask: the field of ``Request``, its value and what was expected."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(problem, field=field, value=value)
        # What pickle and copy call again.
        self.args = (field, value, problem)


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
    """No placement keeps every limit.

    ``shortfall`` are the bytes missing by pool in the nearest miss. Each of ``remedies`` is changes of the request with
    which the plan fits: ``plan(model, machine, request, **remedy)``. ``quant`` is the largest of llama-quantize's
    mixtures with which it fits, and ``quant_bytes`` its weights. All of these have been planned. ``advice`` is what
    else is to be said, in words.
    """

    exit_code = ExitCode.BAD

    def __init__(
        self,
        summary: str,
        *,
        shortfall: Mapping[str, int],
        remedies: Sequence[RequestChanges] = (),
        quant: str = "",
        quant_bytes: int = 0,
        advice: Sequence[str] = (),
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.shortfall = shortfall
        self.remedies = tuple(remedies)
        self.quant = quant
        self.quant_bytes = quant_bytes
        self.advice = tuple(advice)

    def __str__(self) -> str:
        return self.worded(_in_python)

    def worded(self, words: Callable[[RequestChanges], str]) -> str:
        """The message with the changes of every remedy in these words, such as "with n_ctx=4096"."""
        fits = [words(changes) for changes in self.remedies]
        if self.quant:
            fits.append(f"as {self.quant}")
        return "; ".join((self.summary, *(f"it fits {text}" for text in fits), *self.advice))


def _in_python(changes: RequestChanges) -> str:
    return "with " + ", ".join(f"{name}={value!r}" for name, value in changes.items())

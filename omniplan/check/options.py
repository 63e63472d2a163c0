"""A command's words as options: which flag, with which values, and which of them llama-server would refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.params import ServerParams
from omniplan.errors import ArgumentError
from omniplan.formats.command import Command, Word
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.forks import row_of
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, load_flags, spellings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenOption:
    """One flag with its values; ``row`` is None for a flag nobody knows, ``flag`` the variable's value for one set so.

    ``variable`` is the environment variable that set it, "" on the command line.
    """

    row: FlagRow | None
    flag: Word
    values: tuple[Word, ...] = ()
    variable: str = ""

    @property
    def words(self) -> tuple[Word, ...]:
        """Flag and values."""
        return (self.flag, *self.values)

    @property
    def value(self) -> str:
        """The value's text, "" for none."""
        return self.at.text if self.values or self.variable else ""

    @property
    def at(self) -> Word:
        """The word a value would be changed in."""
        return self.values[-1] if self.values else self.flag

    @property
    def name(self) -> str:
        """How it was written."""
        return self.variable or self.flag.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A command as far as it can be read: ``params`` of the options that llama-server takes, and the refused ones.

    ``open`` are options that a variable decides, of which nobody can say more.
    """

    options: tuple[GivenOption, ...]
    params: ServerParams
    args: tuple[str, ...]
    env: dict[str, str]
    refused: tuple[tuple[GivenOption | None, ArgumentError], ...]
    open: tuple[GivenOption, ...]


def read(command: Command, *, build: int = DEFAULT_BUILD, fork: str = "") -> Reading:
    """Read ``command`` option by option, as ``build`` does; what no llama-server takes is left out of the parameters.

    A word that is open may become anything.
    """
    options = (*_variables(command), *_options(command.words, fork))
    refused: list[tuple[GivenOption | None, ArgumentError]] = []
    undecided: list[GivenOption] = []
    args: list[str] = []
    env = {name: word.text for name, word in command.environment if name not in _variable_rows()}
    for option in options:
        own = () if option.variable else tuple(word.text for word in option.words)
        error = _refusal(own, option.variable, option.value, build, fork)
        if error is None:
            args += own
            env |= {option.variable: option.value} if option.variable else {}
        elif any(word.is_open for word in option.words):
            undecided.append(option)
        else:
            refused.append((option, error))
    try:
        params = parse(args, env=env, build=build, fork=fork)
    except ArgumentError as error:
        refused.append((None, error))
        params = ServerParams(build=build, fork=fork)
    return Reading(
        options=options, params=params, args=tuple(args), env=env, refused=tuple(refused), open=tuple(undecided)
    )


@lru_cache(maxsize=4096)
def _refusal(args: tuple[str, ...], variable: str, value: str, build: int, fork: str) -> ArgumentError | None:
    """Why an option alone is refused; a file of many commands has the same ones again and again."""
    try:
        parse(args, env={variable: value} if variable else {}, build=build, fork=fork)
    except ArgumentError as error:
        return error
    return None


@cache
def _variable_rows() -> dict[str, FlagRow]:
    rows = load_flags()
    return {row.env: row for row in rows if row.env} | {row.negative_env: row for row in rows if row.negative_env}


def _variables(command: Command) -> Iterator[GivenOption]:
    known = _variable_rows()
    named = dict(command.environment)
    for name, word in named.items():
        if name in known:
            yield GivenOption(row=known[name], flag=word, variable=name)


def _options(words: Sequence[Word], fork: str = "") -> Iterator[GivenOption]:
    at = 0
    while at < len(words):
        flag = words[at]
        row = row_of(canonical(flag.text), fork)
        values = tuple(_values(row, words[at + 1 :]))
        yield GivenOption(row=row, flag=flag, values=values)
        at += 1 + len(values)


def split_options(args: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """``args`` cut into one piece for each option."""
    for option in _options([Word(text=text, line=1) for text in args]):
        yield tuple(word.text for word in option.words)


def in_quotes(word: Word) -> bool:
    """Whether a word begins with a quote that belongs to it; what is not known may do so rightly."""
    return not word.is_open and word.text[:1] in {"'", '"'}


def canonical(text: str) -> str:
    """A flag as the table spells it."""
    return text.replace("_", "-") if text.startswith("--") else text


def _values(row: FlagRow | None, rest: Sequence[Word]) -> Iterator[Word]:
    """The words that belong to a flag; a flag where a value of a closed set belongs is none."""
    if row is None:
        # An unknown flag takes what does not look like a flag, so that the words behind it are read in step.
        yield from (word for word in rest[:1] if not word.text.startswith("-"))
        return
    count = {ValueKind.NONE: 0, ValueKind.PAIR: 2}.get(row.kind, 1)
    for word in rest[:count]:
        if row.kind in (ValueKind.SWITCH, ValueKind.ENUM) and canonical(word.text) in spellings():
            return
        yield word

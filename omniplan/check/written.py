"""Rules about how a command is written down: what its shell or its file makes of it before llama-server sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit, WordEdit
from omniplan.check.options import in_quotes
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.formats.command import Word

# A flag and its value, which a list has as one item.
_TOGETHER: Final = re.compile(r"(--?[a-zA-Z][\w-]*)\s+(\S.*)")


def quotes_in_value(case: Case) -> Iterator[Hit]:
    """Quotes that nothing takes off, so that they are part of what llama-server is given."""
    for option in case.reading.options:
        for word in option.words:
            if not in_quotes(word):
                continue
            bare = word.text.strip(word.text[0])
            is_whole = len(word.text) > 1 and word.text[-1] == word.text[0] and bare
            what = f"the quotes of {word.text}" if is_whole else f"the quote of {word.text}"
            is_file = option.row is not None and (option.row.is_file or option.row.key == "model")
            yield Hit(
                message=f"{what} are part of the value: nothing takes them off there"
                if is_whole
                else f"{what} is part of the word: a blank inside quotes splits there",
                at=word,
                severity=None if is_file or option.row is None else Severity.WARNING,
                edits=(WordEdit(word=word, texts=(bare,)),) if is_whole and not re.search(r"\s", bare) else (),
            )


def flag_with_value(case: Case) -> Iterator[Hit]:
    """A flag and its value that are one word, as in a list with an item ``-c 8192``."""
    for option, _ in case.reading.refused:
        if option is not None and option.row is None and (match := is_two(case, option.flag)):
            yield Hit(
                message=f"'{match[0]}' is one word: llama-server knows no flag of that name",
                at=option.flag,
                fix=f"write {match[1]} and {match[2]} as two",
                edits=(WordEdit(word=option.flag, texts=(match[1], match[2])),),
            )


def is_two(case: Case, word: Word) -> re.Match[str] | None:
    """The flag and the value that one word holds."""
    match = _TOGETHER.fullmatch(word.text)
    return match if match and case.knows(match[1]) else None


def cut(case: Case) -> Iterator[Hit]:
    """A comment, or a blank behind the backslash, that ends a command though it goes on below."""
    if case.command.cut:
        yield Hit(message="the command ends here: what stands below is not passed on", at=case.command.cut)


RULES: Final[Mapping[str, CommandRule]] = {
    "quotes-in-value": quotes_in_value,
    "flag-and-value-in-one": flag_with_value,
    "command-cut": cut,
}

"""The command's words appear where the command is: below it an error names the parameter of Python."""

from __future__ import annotations

import argparse
import ast
import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

import omniplan
from omniplan.cli.main import parser
from omniplan.cli.said import said
from omniplan.domain.request import RequestChanges
from omniplan.formats.format import Options
from omniplan.formats.regenerate import OPTIONS
from omniplan.llamacpp.flags.table import spellings
from tests.contracts.sources import Source, package

# Files that people keep say how to make them again, a line of the command; other programs have a `--json` and a
# `--format` too.
EXCEPTIONS = {
    "omniplan/formats/regenerate.py",
    "omniplan/machines/probe/kinds.py",
    "omniplan/verify/nvidia_csv.py",
}


def options(command: argparse.ArgumentParser) -> Iterator[str]:
    """The long options of a command and of its verbs."""
    for action in command._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from options(verb)


def texts(source: Source) -> Iterator[ast.Constant]:
    """Strings of a module that are no docstrings."""
    scopes = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    first = (node.body[0] for node in ast.walk(source.tree) if isinstance(node, scopes) and node.body)
    docstrings = {id(statement.value) for statement in first if isinstance(statement, ast.Expr)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def test_words_of_the_command_are_in_the_command() -> None:
    """No string below ``cli`` holds an option that is the command's own and not llama-server's."""
    own = set(options(parser())) - set(spellings()) - {"--help"}
    words = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, own))})(?![\w-])")
    found = {
        f"{source.path}:{node.lineno} {word[0]}"
        for source in package()
        if source.part != "cli" and source.path not in EXCEPTIONS
        for node in texts(source)
        if (word := words.search(str(node.value)))
    }

    assert "--ctx" in own
    assert found == set()


@pytest.mark.parametrize(
    ("make", "field", "value", "option"),
    [
        (lambda: omniplan.Request(n_ctx=0), "n_ctx", 0, "--ctx"),
        (lambda: omniplan.Headroom.parse("lots"), "headroom", "lots", "--headroom"),
        (lambda: omniplan.BenchProtocol(warmups=-1), "warmups", -1, "--warmup"),
        (lambda: Options(ttl=-1), "ttl", -1, "--ttl"),
    ],
)
def test_an_error_is_about_a_field_and_the_command_about_an_option(
    make: Any, field: str, value: object, option: str
) -> None:
    """The error holds field and value, also after a copy; only its name differs in the command's line."""
    with pytest.raises(omniplan.InputError) as caught:
        make()
    error = copy.copy(caught.value)

    assert (type(error), error.field, error.value) == (type(caught.value), field, value)
    assert str(error) == f"{field} {value}: {error.problem}"
    assert said(error) == f"{option} {value}: {error.problem}"


def test_every_field_of_a_request_has_its_option() -> None:
    """All that can be wrong about a request has a word, which the command takes."""
    assert set(OPTIONS) == {"build", *RequestChanges.__annotations__}
    assert set(OPTIONS.values()) <= set(options(parser()))


def test_an_error_about_nothing_is_its_problem() -> None:
    """Without a field there is no name to change, and a field without a value stands alone."""
    assert said(omniplan.InputError("all is lost")) == "all is lost"
    assert said(omniplan.InputError("is lost", field="site")) == "--site: is lost"

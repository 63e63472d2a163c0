"""The command line as a whole: verbs in groups with an example each, help, and what a word nobody knows may mean."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NoReturn

from omniplan.cli.verbs import Verb, add_look, version
from omniplan.errors import InputError, meant

# Verbs by what people want, each with a command to start from.
GROUPS: Final[Mapping[str, Mapping[str, str]]] = {
    "Choose what to run": {
        "plan": 'omniplan plan model.gguf --machine "RTX 4090, 64 GB DDR5" --ctx 32k',
        "recommend": "omniplan recommend hf:unsloth/GLM-4.7-Flash-GGUF --machine RTX3090",
        "frontier": "omniplan frontier model.gguf --ctx 8k,32k,128k",
        "stack": "omniplan stack STACK.toml --as models.conf",
        "engines": "omniplan engines model.gguf --site cuda=12.8",
        "serve": "omniplan serve",
    },
    "Look at what you have": {
        "check": "omniplan check -- llama-server -m model.gguf -ngl 99 -fa",
        "footprint": "omniplan footprint -- llama-server -m model.gguf -ngl 99 -c 32768",
        "compare": "omniplan compare model.gguf -- -ngl 99 -- -ngl 99 -ctk q8_0 -ctv q8_0",
        "fit": "omniplan fit -- llama-server -m model.gguf",
        "inspect": "omniplan inspect hf:ggml-org/gemma-3-4b-it-GGUF",
    },
    "Describe a machine": {
        "machine": 'omniplan machine "2x RTX 3090, Ryzen 9 5950X, 64 GB" -o desk.toml',
        "probe": "omniplan probe -o this-host.toml",
        "machines": "omniplan machines",
        "calibrate": "omniplan calibrate this-host.toml -o measured.toml",
    },
    "Use a plan and prove it": {
        "emit": "omniplan emit PLAN.json --as compose -o compose.yaml",
        "explain": "omniplan explain PLAN.json",
        "certify": "omniplan certify PLAN.json",
        "verify": "omniplan verify server.log --plan PLAN.json",
        "bench": "omniplan bench http://127.0.0.1:8080 --plan PLAN.json",
        "tune": "omniplan tune model.gguf --budget 30m",
    },
    "About the command": {
        "demo": "omniplan demo",
        "models": "omniplan models",
        "help": "omniplan help plan",
        "mcp": "omniplan mcp",
        "schema": "omniplan schema plan",
        "completion": 'eval "$(omniplan completion bash)"',
    },
}
_ABOUT: Final = "Plan where a GGUF model's layers go on a machine, in llama.cpp's own bytes, without loading it."
_CODES: Final = (
    "Exit codes: 0 done and the verdict is good, 1 it does not fit or the verdict is bad, 2 bad input, 3 whether it "
    "fits is not known, 4 the output cannot be written, 130 interrupted. --debug shows a traceback."
)
_INDENT: Final = 13
# What most people come for.
_FIRST: Final = ("plan", "recommend", "footprint", "check")
EXAMPLES: Final = {name: example for group in GROUPS.values() for name, example in group.items()}


class Grammar(argparse.ArgumentParser):
    """A parser that reports wrong arguments as our own error, and whose help begins with an example."""

    example: str = ""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments."""
        said = message.removeprefix("argument ").replace("the following arguments are required", "missing")
        raise InputError(f"{said}; see `{self.prog} --help`")

    def format_help(self) -> str:
        """The help of a verb."""
        return f"Example: {self.example}\n\n{super().format_help()}" if self.example else super().format_help()

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            name = "/".join(action.option_strings) or action.metavar or action.dest
            raise InputError(f"{name}: {value} is none of {', '.join(known)}{meant(str(value), known)}")


class Top(Grammar):
    """The whole command, whose help has the verbs in groups."""

    helps: Mapping[str, str]
    verbs: Mapping[str, Grammar]

    def format_help(self) -> str:
        """Every verb with its example, then the exit codes."""
        return "\n".join((*_head(), *_grouped(self.helps), *_wrapped(_CODES))) + "\n"


def _wrapped(text: str) -> list[str]:
    """``text`` in lines as long as argparse makes its own."""
    # As argparse imports it: for help alone.
    from shutil import get_terminal_size

    return textwrap.wrap(text, get_terminal_size().columns - 2)


def _head() -> Iterator[str]:
    yield "usage: omniplan VERB ..."
    yield ""
    yield from _wrapped(_ABOUT)
    yield ""


def _grouped(helps: Mapping[str, str]) -> Iterator[str]:
    for title, verbs in GROUPS.items():
        yield f"{title}:"
        for name, example in verbs.items():
            yield f"  {name:<{_INDENT - 2}}{helps[name]}"
            yield f"{'':{_INDENT}}{example}"
        yield ""


def short_help() -> str:
    """What ``omniplan`` alone says: where to start, and every verb's name."""
    width = max(map(len, GROUPS)) + 2
    groups = (f"{title:<{width}}{' '.join(verbs)}" for title, verbs in GROUPS.items())
    starts = (f"  {EXAMPLES[name]}" for name in _FIRST)
    end = "`omniplan help` says what each does, `omniplan help VERB` its options."
    return "\n".join((*_head(), *starts, "", *groups, "", end))


def parser(verbs: Sequence[Verb]) -> Top:
    """The whole command-line grammar."""
    top = Top(prog="omniplan")
    top.helps = {verb.name: verb.help for verb in verbs}
    top.add_argument("--version", action="version", version=f"omniplan {version()}")
    commands = top.add_subparsers(metavar="VERB", required=True, parser_class=Grammar)
    for verb in verbs:
        command = commands.add_parser(verb.name, help=verb.help, description=verb.help)
        command.example = EXAMPLES[verb.name]
        verb.declare(command)
        add_look(command)
        command.set_defaults(
            run=verb.run,
            takes_server_args=verb.takes_server_args,
            takes_groups=verb.takes_groups,
            command=command,
            top=top,
        )
    top.verbs = commands.choices
    return top


def parse(arguments: Sequence[str], verbs: Sequence[Verb]) -> argparse.Namespace:
    """The options of a command line; raises InputError for a word that is no verb or no option, with what is near."""
    first = next(iter(arguments), "-")
    if not first.startswith("-"):
        check_verb(first, [verb.name for verb in verbs])
    namespace, unknown = parser(verbs).parse_known_args(arguments)
    if unknown:
        raise InputError(_unknown(namespace, unknown))
    return namespace


def check_verb(word: str, names: Sequence[str]) -> None:
    """Raise InputError for a word that is no verb, with what to write instead."""
    if word.endswith(".gguf"):
        raise InputError(f"{word}: no such verb; to plan a model write `omniplan plan {word}`")
    if word not in names:
        raise InputError(f"{word}: no such verb{meant(word, names) or '; `omniplan help` lists the verbs'}")


def _unknown(namespace: argparse.Namespace, words: Sequence[str]) -> str:
    """What is wrong with words that a verb does not take."""
    command: argparse.ArgumentParser = namespace.command
    word = next((word for word in words if word.startswith("-")), words[0])
    if not word.startswith("-"):
        return f"{word}: `{command.prog}` takes no further word; one that holds blanks stands in quotes"
    name = word.partition("=")[0]
    known = [option for action in command._actions for option in action.option_strings]
    if near := meant(name, known):
        return f"{name}: `{command.prog}` has no such option{near}"
    return f"{name}: `{command.prog}` has no such option; {_of_server(name, command.prog, namespace)}"


def _of_server(name: str, prog: str, namespace: argparse.Namespace) -> str:
    """Whether it is llama-server's, and where that belongs."""
    from omniplan.llamacpp.flags.table import spellings

    if name not in spellings():
        return f"see `{prog} --help`"
    if namespace.takes_server_args:
        return f"llama-server's own stand after --, as in `{prog} ... -- {name} ...`"
    return f"it is llama-server's; `{prog} --help` lists those of omniplan"

"""Entry point of the ``omniplan`` command: parse, run one verb, turn expected errors into one line and a code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from omniplan.api import load_machine
from omniplan.api.source import build_of, is_described
from omniplan.cli import (
    bench_verb,
    certify_verb,
    check_verb,
    compare_verb,
    demo_verb,
    emit_verb,
    engines_verb,
    frontier_verb,
    grammar,
    help_verbs,
    machine_verbs,
    mcp_verb,
    plan_verb,
    recommend_verb,
    serve_verb,
    stack_verb,
    tune_verb,
    verbs,
    verify_verb,
)
from omniplan.cli.completion import complete
from omniplan.cli.files import check_output
from omniplan.cli.output import put, show
from omniplan.cli.said import refusal_json, refusal_screen, said
from omniplan.documents.text_file import STDIN
from omniplan.domain.defaults import AUTO_BUILD, THIS_HOST
from omniplan.errors import ExitCode, HeaderError, Infeasible, InputError, OmniplanError

if TYPE_CHECKING:
    from omniplan.domain.machine import Machine

VERBS: Final = (
    *verbs.VERBS,
    *plan_verb.VERBS,
    *check_verb.VERBS,
    *compare_verb.VERBS,
    *frontier_verb.VERBS,
    *recommend_verb.VERBS,
    *engines_verb.VERBS,
    *emit_verb.VERBS,
    *certify_verb.VERBS,
    *verify_verb.VERBS,
    *bench_verb.VERBS,
    *tune_verb.VERBS,
    *machine_verbs.VERBS,
    *stack_verb.VERBS,
    *serve_verb.VERBS,
    *mcp_verb.VERBS,
    *demo_verb.VERBS,
    *help_verbs.VERBS,
)


# New objects after which Python looks for cycles. Graphs have tens of thousands of nodes and no cycles; to look every
# 700 of them takes a tenth of the time of a plan.
RARELY: Final = 100_000
# What a shell sets that asks how a word may go on.
_COMPLETING: Final = "_ARGCOMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (default: the process's own) and return its exit code.

    0: done, and the verdict, where a verb gives one, is good. 1: it does not fit, or the verdict is bad. 2: bad input.
    3: whether it fits is not known. 4: the output cannot be written. 130: interrupted.
    """
    if _COMPLETING in os.environ:
        complete(parser())
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        try:
            return _run([argument for argument in arguments if argument != "--debug"])
        except SystemExit:
            # What argparse prints, such as help, it leaves in the buffer.
            put("")
            raise
    except OmniplanError as error:
        if debug:
            raise
        print(_refused(error) if isinstance(error, Infeasible) else f"omniplan: {said(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        print("omniplan: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _refused(error: Infeasible) -> str:
    from omniplan.cli.terminal import told

    return told(refusal_screen(error))


def entry() -> None:
    """Console script."""
    gc.set_threshold(RARELY)
    sys.exit(main())


def _run(arguments: list[str]) -> int:
    if not arguments:
        return show(grammar.short_help())
    own, rest = _cut(arguments)
    namespace = grammar.parse(own, VERBS)
    if rest and not namespace.takes_server_args:
        raise InputError(f"{rest[0]}: this verb takes no llama-server arguments after --; footprint and fit do")
    namespace.server_args = rest
    namespace.server_groups = list(_groups(rest)) if len(own) < len(arguments) else []
    # A command may have a -- of its own, as "nix run PACKAGE -- ARGUMENTS".
    if len(namespace.server_groups) > 1 and not namespace.takes_groups and rest[0].startswith("-"):
        raise InputError("--: this verb takes one set of llama-server arguments; compare takes several")
    check_output(namespace)
    machine = getattr(namespace, "machine", None)
    notes: list[str] = []
    if machine == STDIN:
        namespace.machine = load_machine(machine)
    elif machine and not is_described(machine):
        namespace.machine = _told(machine, notes)
    build = getattr(namespace, "llama_cpp", None)
    if isinstance(build, str):
        namespace.llama_cpp = _numbered(build, notes)
    try:
        return int(namespace.run(namespace))
    except Infeasible as refusal:
        if getattr(namespace, "json", False):
            show(refusal_json(refusal))
        raise
    except (InputError, HeaderError):
        # What nobody could do takes nothing for granted.
        notes.clear()
        raise
    finally:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)


def _told(text: str, notes: list[str]) -> str | Machine:
    """A machine in words, or the one at hand: what was taken for granted, or not seen, is said below the answer."""
    found = load_machine(text)
    notes += found.notes
    # A host is probed once; words are kept, so that a file can say how it is made again.
    return found if text == THIS_HOST else text


def _numbered(build: str, notes: list[str]) -> int:
    """The number of a build by name; that of the llama-server at hand is said below the answer."""
    number = build_of(build)
    if build == AUTO_BUILD:
        notes.append(f"--llama-cpp {build}: llama-server here is b{number}")
    return number


def _cut(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and llama-server's after ``--``."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _groups(rest: list[str]) -> Iterator[list[str]]:
    """Sets of arguments, each further one after a ``--`` of its own."""
    ends = [i for i, argument in enumerate(rest) if argument == "--"]
    for start, end in zip([0, *[i + 1 for i in ends]], [*ends, len(rest)], strict=True):
        yield rest[start:end]


def parser() -> grammar.Top:
    """The whole command-line grammar."""
    return grammar.parser(VERBS)


if __name__ == "__main__":
    entry()

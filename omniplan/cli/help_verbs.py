"""The verbs about the command itself: help, and completion for shells."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan.cli.output import show
from omniplan.cli.verbs import Verb
from omniplan.errors import InputError, needs

_SHELLS: Final = ("bash", "zsh", "fish", "powershell")
_STARTS: Final = {
    "bash": 'eval "$(omniplan completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(omniplan completion zsh)" in ~/.zshrc, after compinit',
    "fish": "omniplan completion fish > ~/.config/fish/completions/omniplan.fish",
    "powershell": "omniplan completion powershell | Out-String | Invoke-Expression in $PROFILE",
}


def _declare_help(command: argparse.ArgumentParser) -> None:
    command.add_argument("verb", metavar="VERB", nargs="?", help="the verb to explain; all of them where left out")


def _help(options: argparse.Namespace) -> int:
    from omniplan.cli.grammar import Top, check_verb

    top: Top = options.top
    if options.verb is None:
        return show(top.format_help())
    check_verb(options.verb, list(top.verbs))
    return show(top.verbs[options.verb].format_help())


def _declare_completion(command: argparse.ArgumentParser) -> None:
    lines = "; ".join(f"{shell}: {line}" for shell, line in _STARTS.items())
    command.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=f"{', '.join(_SHELLS)}. {lines}")


def _completion(options: argparse.Namespace) -> int:
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as error:
        raise InputError(f"completion: {needs('argcomplete')}") from error
    return show(shellcode(["omniplan"], shell=options.shell))


VERBS: Final = (
    Verb(name="help", help="explain a verb, or list them all with an example each", declare=_declare_help, run=_help),
    Verb(
        name="completion",
        help="make a shell complete verbs, options, machines and files",
        declare=_declare_completion,
        run=_completion,
    ),
)

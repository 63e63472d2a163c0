"""A plan's arguments as the words of a command, and any command as one shell line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress

from omniplan.domain.build import DEFAULT_NAME
from omniplan.errors import ArgumentError
from omniplan.gguf.hub import hub_file
from omniplan.gguf.place import is_url
from omniplan.llamacpp.build import build_number, release
from omniplan.llamacpp.flags.dialect import spoken
from omniplan.system import SHELL, Shell
from omniplan.text.quoting import QUOTING


def server_words(model_path: str, args: Sequence[str], build: str = DEFAULT_NAME) -> tuple[str, ...]:
    """llama-server's command in the words of ``build``, as far as it has them.

    What it has no words for stands as later builds say it.
    """
    words: Sequence[str] = args
    with suppress(ArgumentError):
        words = [word for flag in spoken(args, release(build_number(build))) for word in flag.args]
    return ("llama-server", *_model_words(model_path), *words, *_alone(model_path, words))


def shell_line(model_path: str, args: Sequence[str], environment: Mapping[str, str], build: str = DEFAULT_NAME) -> str:
    """The command to run, environment first, quoted for the shell of this system."""
    return command_line(server_words(model_path, args, build), environment)


def download_words(model_path: str) -> tuple[str, ...]:
    """The command that downloads the model from the hub; none for what does not lie there."""
    file = hub_file(model_path)
    if file is None:
        return ()
    revision = () if file.is_main else ("--revision", file.revision)
    return ("hf", "download", file.repo, *revision, "--include", file.pattern)


def _model_words(path: str) -> tuple[str, ...]:
    """What names the model: a file, or what llama-server downloads, from the hub or an address."""
    file = hub_file(path)
    if file is None or not file.is_main:
        return ("-mu", file.url if file else path) if file or is_url(path) else ("-m", path)
    return ("-hf", f"{file.repo}:{file.quant}") if file.quant else ("-hf", file.repo, "-hff", file.name)


def _alone(path: str, words: Sequence[str]) -> tuple[str, ...]:
    """``-hf`` loads a projector that lies in the repository, which only a plan that has one has room for."""
    file = hub_file(path)
    has_one = any(word in words for word in ("-mm", "--mmproj"))
    return ("--no-mmproj",) if file and file.is_main and not has_one else ()


def command_line(argv: Sequence[str], environment: Mapping[str, str], shell: Shell = SHELL) -> str:
    """Any command, environment first, quoted for the shell of this system or for another."""
    before = QUOTING[shell].before(argv, environment)
    return " ".join([*before, words_line(argv, shell)])


def words_line(words: Sequence[str], shell: Shell = SHELL) -> str:
    """Some words of a command, quoted alike."""
    return " ".join(map(QUOTING[shell].word, words))


def file_line(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """A command for a file that a POSIX shell reads and nobody shows: names as they are, whatever a terminal obeys."""
    assigned = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return " ".join([*assigned, shlex.join(argv)])

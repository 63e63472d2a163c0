"""How a word of the command line may go on: machines, models and formats beside what argparse knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from omniplan.cli.grammar import Top


def complete(top: Top) -> None:
    """Answer the shell that asks and exit; nothing without argcomplete."""
    try:
        import argcomplete
        from argcomplete.completers import FilesCompleter
    except ImportError:
        return
    models = FilesCompleter(allowednames=("gguf",))
    for command in top.verbs.values():
        for action in command._actions:
            if action.dest in _MODELS:
                action.completer = _either(models, _listed(_shipped))  # type: ignore[attr-defined]
            elif words := _WORDS.get(action.dest):
                action.completer = _listed(words)  # type: ignore[attr-defined]
    argcomplete.autocomplete(top)


def _listed(words: Callable[[], Iterable[str]]) -> Callable[..., list[str]]:
    return lambda prefix, **_: [word for word in words() if word.startswith(prefix)]


def _either(files: Callable[..., Iterable[str]], words: Callable[..., Iterable[str]]) -> Callable[..., list[str]]:
    return lambda prefix, **more: [*files(prefix, **more), *words(prefix, **more)]


def _shipped() -> Iterable[str]:
    from omniplan.gguf.shipped import shipped

    return shipped()


def _machines() -> Iterable[str]:
    """Profiles, and machine files of this folder."""
    from pathlib import Path

    from omniplan.machines.files import profiles

    return (*profiles(), *(path.name for path in Path().glob("*.toml")))


def _formats() -> Iterable[str]:
    from omniplan.formats.registry import FORMATS

    return FORMATS


def _verbs() -> Iterable[str]:
    from omniplan.cli.grammar import EXAMPLES

    return EXAMPLES


def _schemas() -> Iterable[str]:
    from omniplan.api.documents import SCHEMAS

    return SCHEMAS


_MODELS: Final = ("model", "models", "draft", "mmproj", "lora", "gguf")
_WORDS: Final[dict[str, Callable[[], Iterable[str]]]] = {
    "machine": _machines,
    "as_": _formats,
    "verb": _verbs,
    "name": _schemas,
}

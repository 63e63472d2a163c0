"""What other installed packages add, found by their entry points and loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ParamSpec, TypeVar

from omniplan.errors import InputError, OmniplanError

P = ParamSpec("P")
T = TypeVar("T")


def plugins(group: str, kind: type[T], *, called: Callable[[T], str], taken: Collection[str]) -> Mapping[str, T]:
    """Every ``kind`` that packages offer under ``group``, by what it is ``called``.

    Raises InputError, with the package, for one that cannot be imported, is something else, or has a ``taken`` name.
    """
    found: dict[str, T] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        offered = _loaded(entry)
        if not isinstance(offered, kind):
            raise _broken(entry, f"{entry.value} is no {kind.__name__} but of type {type(offered).__name__}")
        if (name := called(offered)) in {*taken, *found}:
            raise _broken(entry, f"{name} is there already")
        found[name] = offered
    return found


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    # Whatever goes wrong in a package of others is told in one line, with its name.
    except Exception as error:
        raise _broken(entry, f"cannot be loaded: {type(error).__name__}: {error}") from error


def guarded(name: str, call: Callable[P, T]) -> Callable[P, T]:
    """``call`` of the plug-in ``name``, whose own faults are an InputError with that name."""

    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except OmniplanError:
            raise
        except Exception as error:
            raise InputError(f"plug-in {name}: {type(error).__name__}: {' '.join(str(error).split())}") from error

    return asked


def _broken(entry: EntryPoint, problem: str) -> InputError:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an installed package"
    return InputError(f"plug-in {entry.name} of {entry.group} ({package}): {' '.join(problem.split())}")

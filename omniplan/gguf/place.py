"""Where a model lies: a path on this host, a URL, a name in a store or of a shipped header; and what lies beside it."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from omniplan.gguf import shipped
from omniplan.gguf.location import Located

_URLS: Final = ("https://", "http://")
_HUB: Final = "hf:"
_STORES: Final = (_HUB, "ollama:")


def is_url(place: str | Path) -> bool:
    """Whether it is read over HTTP; a ``Path`` never is, for it would have lost a slash."""
    return isinstance(place, str) and place.lower().startswith(_URLS)


def is_path(place: str | Path) -> bool:
    """Whether it is a path on this host, neither a URL nor a name in a store."""
    return isinstance(place, Path) or not (is_url(place) or place.startswith(_STORES))


def located(place: str | Path) -> Located:
    """Where the file that ``place`` names is read; raises ``HeaderError`` where its store has none."""
    if isinstance(place, Path) or is_path(place):
        return shipped.located(str(place)) or Located(place=place)
    if is_url(place):
        return Located(place=place)
    from omniplan.gguf import hub, ollama

    return hub.located(place) if place.startswith(_HUB) else Located(place=ollama.located(place))


def seen_from(folder: Path, place: str) -> str:
    """The place that a file in ``folder`` calls so: relative paths start there."""
    inside = os.path.normpath(folder / place)
    named = not is_path(place) or (shipped.is_shipped(place) and not os.path.exists(inside))
    return place if named else inside


def name_of(place: str) -> str:
    """The name of the file, without its folder and without what a URL asks of its server."""
    return unquote(PurePosixPath(urlsplit(place).path).name) if is_url(place) else Path(place).name


def beside(place: str, name: str) -> str:
    """The file called ``name`` in the same folder."""
    if not is_url(place):
        return str(Path(place).with_name(name))
    parts = urlsplit(place)
    folder = parts.path.rpartition("/")[0]
    return parts._replace(path=f"{folder}/{quote(name)}").geturl()

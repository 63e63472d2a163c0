"""Finds a model's file in Ollama's local store, without Ollama and without a network.

Layout: https://github.com/ollama/ollama, manifest/paths.go and types/model/name.go.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omniplan.errors import HeaderError
from omniplan.units import MIB

_SCHEME: Final = "ollama:"
_HOST: Final = "registry.ollama.ai"
_OWNER: Final = "library"
_TAG: Final = "latest"
_MODEL: Final = "application/vnd.ollama.image.model"
_PROJECTOR: Final = "application/vnd.ollama.image.projector"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PART: Final = re.compile(r"[A-Za-z0-9_][\w.:-]*", re.ASCII)


def located(place: str) -> Path:
    """The file of the model that Ollama calls as ``place`` says after ``ollama:``; raises ``HeaderError``."""
    found = _layers(place, _MODEL)
    if len(found) != 1:
        raise _unread(place, "names no one GGUF file")
    return found[0]


def projector(place: str | Path) -> Path | None:
    """The projector that Ollama loads beside the model; None without one, and for what is no name of Ollama's."""
    if isinstance(place, Path) or not place.startswith(_SCHEME):
        return None
    return next(iter(_layers(place, _PROJECTOR)), None)


def _layers(place: str, kind: str) -> Sequence[Path]:
    """The files of one kind that the manifest names."""
    host, owner, name, tag = _parts(place)
    store = _store()
    try:
        with (store / "manifests" / host / owner / name / tag).open("rb") as file:
            said = json.loads(file.read(MIB))
        digests = [layer["digest"] for layer in said["layers"] if layer["mediaType"] == kind]
    except FileNotFoundError as error:
        raise HeaderError(place, f"Ollama's store {store} has no such model", remedy=_offered(store, name)) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unread(place, "cannot be read") from error
    if not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests):
        raise _unread(place, "names no one GGUF file")
    return [store / "blobs" / digest.replace(":", "-") for digest in digests]


def _unread(place: str, problem: str) -> HeaderError:
    host, owner, name, tag = _parts(place)
    manifest = _store() / "manifests" / host / owner / name / tag
    return HeaderError(place, f"its manifest {manifest} {problem}", remedy="`ollama pull` it again")


def _parts(place: str) -> tuple[str, str, str, str]:
    """Host, owner, name and tag, as Ollama completes them; none of them leads out of the store."""
    path, colon, tag = place.removeprefix(_SCHEME).rpartition(":")
    if not colon or "/" in tag:
        path, tag = place.removeprefix(_SCHEME), _TAG
    words = path.split("/")
    if len(words) > 3 or not all(_PART.fullmatch(word) for word in (*words, tag)):
        raise HeaderError(place, "is no model's name", remedy="write it as `ollama list` does: ollama:NAME:TAG")
    host, owner, name = ((_HOST, _OWNER)[: 3 - len(words)] + tuple(words))[-3:]
    return host, owner, name, tag


def _store() -> Path:
    return Path(os.environ.get("OLLAMA_MODELS") or Path(os.path.expanduser("~")) / ".ollama" / "models")


def _offered(store: Path, name: str) -> str:
    """The tags it has of the model, else its models."""
    found = sorted(path.parts[-2:] for path in store.glob("manifests/*/*/*/*"))
    near = [f"{_SCHEME}{model}:{tag}" for model, tag in found if model == name] or [
        f"{_SCHEME}{model}:{tag}" for model, tag in found
    ]
    return f"it has {', '.join(near[:5])}" if near else "name its folder in OLLAMA_MODELS, or `ollama pull` the model"

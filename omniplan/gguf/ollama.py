"""Finds a model's file in Ollama's local store, without Ollama and without a network.

Layout: https://github.com/ollama/ollama, manifest/paths.go and types/model/name.go.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Final

from omniplan.errors import HeaderError
from omniplan.units import MIB

_SCHEME: Final = "ollama:"
_HOST: Final = "registry.ollama.ai"
_OWNER: Final = "library"
_TAG: Final = "latest"
_LAYER: Final = "application/vnd.ollama.image.model"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PART: Final = re.compile(r"[A-Za-z0-9_][\w.:-]*", re.ASCII)


def located(place: str) -> Path:
    """The file of the model that Ollama calls as ``place`` says after ``ollama:``; raises ``HeaderError``."""
    host, owner, name, tag = _parts(place)
    store = _store()
    manifest = store / "manifests" / host / owner / name / tag
    try:
        with manifest.open("rb") as file:
            said = json.loads(file.read(MIB))
        digests = [layer["digest"] for layer in said["layers"] if layer["mediaType"] == _LAYER]
    except FileNotFoundError as error:
        raise HeaderError(place, f"Ollama's store {store} has no such model", remedy=_offered(store, name)) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise HeaderError(place, f"its manifest {manifest} cannot be read", remedy="`ollama pull` it again") from error
    if len(digests) != 1 or not isinstance(digests[0], str) or not _DIGEST.fullmatch(digests[0]):
        raise HeaderError(place, f"its manifest {manifest} names no one GGUF file", remedy="`ollama pull` it again")
    return store / "blobs" / digests[0].replace(":", "-")


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

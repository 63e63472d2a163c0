"""Finds a model's file in a repository of the Hugging Face hub; list, login and cache are those of huggingface-hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from omniplan.errors import HeaderError

# What llama-server's -hf takes where no quant is named.
DEFAULT_QUANT: Final = "Q4_K_M"
_INSTALL: Final = 'pip install "omniplan[hub]", uv tool install "omniplan[hub]" or pipx inject omniplan huggingface-hub'
_PLACE: Final = re.compile(r"hf:([\w.-]+/[\w.-]+)(?::([\w.-]+)|/([^:?#\\]+\.gguf))?", re.ASCII)
_SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)")
_SHOWN: Final = 12


def located(place: str) -> tuple[str | Path, str]:
    """The file that ``place`` names, ``hf:owner/repo[:QUANT]`` or ``hf:owner/repo/file.gguf``, and the login for it.

    It is the one of huggingface-hub's cache where that has all of the set, else an address. Raises ``HeaderError``.
    """
    found = _PLACE.fullmatch(place)
    if not found or ".." in place:
        raise HeaderError(place, "is no model's name", remedy="write hf:OWNER/REPO:QUANT or hf:OWNER/REPO/FILE.gguf")
    repo, quant, name = found.groups()
    try:
        import huggingface_hub
        from httpx2 import HTTPError
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    except ImportError as error:
        raise HeaderError(place, "needs huggingface-hub, of version 2.4 or later", remedy=_INSTALL) from error
    try:
        name = name or chosen(place, _listed(repo), quant or "")
        cached = [huggingface_hub.try_to_load_from_cache(repo, part) for part in _parts(name)]
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "look at the name; a gated one needs `hf auth login` and its licence accepted"
        raise HeaderError(place, f"the hub refuses its list (HTTP {status})", remedy=remedy) from error
    except HFValidationError as error:
        raise HeaderError(place, "is no repository's name", remedy="write hf:OWNER/REPO:QUANT") from error
    except (OfflineModeIsEnabled, HTTPError, OSError, ValueError) as error:
        said = " ".join(f"{error}".split())[:200]
        raise HeaderError(place, f"the hub cannot be asked: {said}", remedy="name a file that is cached") from error
    if all(isinstance(path, str) for path in cached):
        return Path(str(cached[0])), ""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise HeaderError(place, f"{name} is not in the cache whole", remedy="unset HF_HUB_OFFLINE")
    return huggingface_hub.hf_hub_url(repo, name), huggingface_hub.get_token() or ""


def chosen(place: str, names: Iterable[str], quant: str) -> str:
    """The model among the files of a repository whose name ends in ``quant``, or lies in a folder called so.

    Without one the only model, or the one that llama-server takes. Raises ``HeaderError``, which names what there is.
    """
    models = [name for name in sorted(names) if _is_model(name)]
    if not quant and len(models) == 1:
        return models[0]
    asked = re.compile(rf"(^|[-._/]){re.escape(quant or DEFAULT_QUANT)}(/|$)", re.IGNORECASE)
    found = [name for name in models if asked.search(_SHARD.sub("", name).removesuffix(".gguf"))]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found) or 'no'} models of the repository are {quant or DEFAULT_QUANT}"
    offered = ", ".join((found or models)[:_SHOWN])
    raise HeaderError(place, problem, remedy=f"name one of {offered}" if offered else "it holds no GGUF files")


def _is_model(name: str) -> bool:
    """Whether it is a model or the first part of one, no projector and no importance matrix."""
    shard, bare = _SHARD.search(name), name.rpartition("/")[2].lower()
    return (
        name.endswith(".gguf")
        and (shard is None or int(shard[1]) == 1)
        and "mmproj" not in bare
        and "imatrix" not in bare
    )


def _parts(name: str) -> Sequence[str]:
    """The files of the set that ``name`` belongs to; it alone comes first."""
    shard = _SHARD.search(name)
    others = range(1, min(int(shard[2]), 9999) + 1) if shard else ()
    return [name, *(_SHARD.sub(rf"-{part:05d}-of-\g<2>", name) for part in others)]


def _listed(repo: str) -> Sequence[str]:
    """Names of the repository's files: the hub's, or those of the cache where the hub may not be asked."""
    from huggingface_hub import HfApi, constants, scan_cache_dir

    if not constants.HF_HUB_OFFLINE:
        return HfApi().list_repo_files(repo)
    return [
        file.file_path.relative_to(revision.snapshot_path).as_posix()
        for known in scan_cache_dir().repos
        if known.repo_id == repo
        for revision in known.revisions
        if "main" in revision.refs
        for file in revision.files
    ]

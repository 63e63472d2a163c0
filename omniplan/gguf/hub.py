"""Finds a model's files in a repository of the Hugging Face hub; list, login and cache are those of huggingface-hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from omniplan.errors import HeaderError, install
from omniplan.gguf.location import Located

# What llama-server's -hf takes where no quant is named.
DEFAULT_QUANT: Final = "Q4_K_M"
SCHEME: Final = "hf:"
_MAIN: Final = "main"
_REPO: Final = r"hf:([\w.-]+/[\w.-]+)(?:@(refs/(?:pr|convert)/[\w.-]+|[\w.-]+))?"
_PLACE: Final = re.compile(rf"{_REPO}(?::([\w.-]+)|/([^:?#\\@]+\.gguf))?", re.ASCII)
_SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)")
# The last words of a name that say how weights are stored.
_QUANT: Final = re.compile(r"(?:^|[-._])((?:UD-)?(?:I?Q\d|TQ\d|B?F16|F32|FP16|[MN][XV]?FP4)\w*)$", re.IGNORECASE)
# What lies beside models and is none: common/download.cpp, gguf_filename_is_model.
_BESIDE: Final = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a repository, at a revision; ``name`` is that of the first where a model is split."""

    repo: str
    revision: str
    name: str

    @property
    def place(self) -> str:
        """The name by which it is read again."""
        revision = "" if self.revision == _MAIN else f"@{self.revision}"
        return f"{SCHEME}{self.repo}{revision}/{self.name}"

    @property
    def url(self) -> str:
        """Its address."""
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{endpoint}/{self.repo}/resolve/{quote(self.revision, safe='')}/{quote(self.name)}"

    @property
    def quant(self) -> str:
        """The quant that its name, or its folder's, ends in; empty where neither does."""
        folder, _, name = _SHARD.sub("", self.name).removesuffix(".gguf").rpartition("/")
        found = _QUANT.search(name) or _QUANT.search(folder)
        return found[1] if found else ""

    @property
    def pattern(self) -> str:
        """What all files of its set match, as ``hf download --include`` takes it."""
        return _SHARD.sub(r"-*-of-\2", self.name)

    @property
    def is_main(self) -> bool:
        """Whether it is of the revision that llama-server downloads."""
        return self.revision == _MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The files of a repository at a revision, each with its bytes; ``is_cached`` says that the hub was not asked."""

    repo: str
    revision: str
    files: Mapping[str, int]
    is_cached: bool = False

    @property
    def models(self) -> tuple[HubFile, ...]:
        """The models, of a set the first file, in the order of their names."""
        return tuple(self.file(name) for name in sorted(self.files) if _is_model(name))

    def file(self, name: str) -> HubFile:
        """The file called so."""
        return HubFile(repo=self.repo, revision=self.revision, name=name)

    def parts(self, name: str) -> tuple[str, ...]:
        """The files of the set that ``name`` belongs to, in order."""
        shard = _SHARD.search(name)
        count = min(int(shard[2]), 9999) if shard else 0
        return tuple(_SHARD.sub(rf"-{part:05d}-of-\g<2>", name) for part in range(1, count + 1)) or (name,)

    def llama_takes(self, file: HubFile) -> bool:
        """Whether ``-hf repo:QUANT`` finds it by its quant: the first whose name has that before a dash or a dot."""
        asked = re.compile(rf"{re.escape(file.quant)}[.-]", re.IGNORECASE)
        first = next((other for other in self.models if asked.search(other.name)), None)
        return bool(file.quant) and first == self.file(self.parts(file.name)[0])


def is_repository(place: str) -> bool:
    """Whether ``place`` names a repository and no quant or file of it."""
    found = _PLACE.fullmatch(place)
    return found is not None and not found[3] and not found[4]


def hub_file(place: str) -> HubFile | None:
    """The file that ``place`` names by its path in a repository; None where it is anything else."""
    found = _PLACE.fullmatch(place)
    return HubFile(repo=found[1], revision=found[2] or _MAIN, name=found[4]) if found and found[4] else None


def listed(place: str) -> Repository:
    """The repository that ``place`` is in; the hub's list, or the cache's where the hub may not be asked."""
    repo, revision, _, _ = named_parts(place)
    with _asking(place):
        from huggingface_hub import HfApi, constants
        from huggingface_hub.hf_api import RepoFile

        if constants.HF_HUB_OFFLINE:
            return Repository(repo=repo, revision=revision, files=_cached(repo, revision), is_cached=True)
        tree = HfApi().list_repo_tree(repo, recursive=True, revision=None if revision == _MAIN else revision)
        files = {item.path: item.size for item in tree if isinstance(item, RepoFile)}
    return Repository(repo=repo, revision=revision, files=files)


def located(place: str) -> Located:
    """The file that ``place`` names, ``hf:owner/repo[@revision][:QUANT]`` or ``hf:owner/repo/file.gguf``.

    It is the one of huggingface-hub's cache where that has all of the set, else an address with the login for it.
    Raises ``HeaderError``.
    """
    repo, revision, quant, name = named_parts(place)
    known = Repository(repo=repo, revision=revision, files={})
    if name and (path := in_cache(place, known, name)):
        return Located(place=path)
    known = listed(place)
    file = known.file(name) if name else chosen(place, known, quant)
    path = in_cache(place, known, file.name)
    return Located(place=path) if path else elsewhere(place, known, file)


def elsewhere(place: str, repository: Repository, file: HubFile) -> Located:
    """The address of a file, and the login for it; raises ``HeaderError`` where the hub may not be asked."""
    if repository.is_cached:
        raise HeaderError(place, f"{file.name} is not in the cache whole", remedy="unset HF_HUB_OFFLINE")
    with _asking(place):
        from huggingface_hub import constants, get_token, hf_hub_url

        url = hf_hub_url(file.repo, file.name, revision=file.revision)
        page = f"{constants.ENDPOINT}/{file.repo}"
        # An address says what a name cannot: a file that its quant does not find.
        is_found = not file.is_main or repository.llama_takes(file)
        return Located(
            place=url,
            token=get_token() or "",
            refused=f"accept its licence on {page}, then log in with `hf auth login` or HF_TOKEN",
            base=url.removesuffix(quote(file.name)) if is_found else "",
            shown=file.place.removesuffix(file.name),
        )


def in_cache(place: str, repository: Repository, name: str) -> Path | None:
    """The file in huggingface-hub's cache, where that has all of its set."""
    with _asking(place):
        from huggingface_hub import try_to_load_from_cache

        names = [name, *(part for part in repository.parts(name) if part != name)]
        paths = [try_to_load_from_cache(repository.repo, part, revision=repository.revision) for part in names]
    return Path(str(paths[0])) if all(isinstance(path, str) for path in paths) else None


def chosen(place: str, repository: Repository, quant: str) -> HubFile:
    """The model whose name ends in ``quant``, or lies in a folder called so.

    Without one the only model, or the one that llama-server takes. Raises ``HeaderError``, which names what there is.
    """
    models = repository.models
    if not quant and len(models) == 1:
        return models[0]
    asked = re.compile(rf"(^|[-._/]){re.escape(quant or DEFAULT_QUANT)}(/|$)", re.IGNORECASE)
    found = [model for model in models if asked.search(_SHARD.sub("", model.name).removesuffix(".gguf"))]
    # A dynamic quant of the same name is another one.
    found = [model for model in found if model.quant.upper() == (quant or DEFAULT_QUANT).upper()] or found
    if len(found) == 1:
        return found[0]
    problem = f"{len(found) or 'no'} models of the repository are {quant or DEFAULT_QUANT}"
    offered = ", ".join(model.name for model in (found or models)[:_SHOWN])
    raise HeaderError(place, problem, remedy=f"name one of {offered}" if offered else "it holds no GGUF files")


def named_parts(place: str) -> tuple[str, str, str, str]:
    """Repository, revision, quant and file; the last two empty where they are not named."""
    found = _PLACE.fullmatch(place)
    if not found or ".." in place:
        raise HeaderError(place, "is no model's name", remedy="write hf:OWNER/REPO:QUANT or hf:OWNER/REPO/FILE.gguf")
    return found[1], found[2] or _MAIN, found[3] or "", found[4] or ""


def _is_model(name: str) -> bool:
    """Whether it is a model or the first part of one, and nothing that lies beside models."""
    shard, bare = _SHARD.search(name), name.rpartition("/")[2].lower()
    return (
        name.endswith(".gguf") and (shard is None or int(shard[1]) == 1) and not any(word in bare for word in _BESIDE)
    )


def _cached(repo: str, revision: str) -> Mapping[str, int]:
    """Names and bytes of what the library's cache has of a revision."""
    from huggingface_hub import scan_cache_dir

    return {
        file.file_path.relative_to(known.snapshot_path).as_posix(): file.size_on_disk
        for cached in scan_cache_dir().repos
        if cached.repo_id == repo
        for known in cached.revisions
        if revision in known.refs or revision == known.commit_hash
        for file in known.files
    }


def _refusal(status: int) -> tuple[str, str]:
    match status:
        case 404:
            remedy = "look at the name, and at the revision after @"
        case 401 | 403:
            remedy = "look at the name; one that is private or gated needs `hf auth login` and its licence accepted"
        case _:
            remedy = "try again"
    return f"the hub refuses its list (HTTP {status})", remedy


@contextmanager
def _asking(place: str) -> Iterator[None]:
    """Whatever goes wrong with the library or the hub becomes a ``HeaderError``."""
    try:
        import huggingface_hub  # noqa: F401 - what is in it is imported on first use.
        from httpx2 import HTTPError
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    except ImportError as error:
        raise HeaderError(
            place, "needs huggingface-hub, of version 2.4 or later", remedy=install("huggingface-hub")
        ) from error
    try:
        yield
    except HfHubHTTPError as error:
        problem, remedy = _refusal(error.response.status_code)
        raise HeaderError(place, problem, remedy=remedy) from error
    except HFValidationError as error:
        raise HeaderError(place, "is no repository's name", remedy="write hf:OWNER/REPO:QUANT") from error
    except (OfflineModeIsEnabled, HTTPError, OSError, ValueError) as error:
        said = " ".join(f"{error}".split())[:200]
        raise HeaderError(place, f"the hub cannot be asked: {said}", remedy="name a file that is cached") from error

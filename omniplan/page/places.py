"""Where a model lies that somebody names: a repository of the Hugging Face hub, a file of one, or any address."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import unquote

from omniplan.errors import HeaderError, InputError
from omniplan.gguf.hub import SCHEME, HubFile, Repository, chosen, named_parts
from omniplan.gguf.place import is_url
from omniplan.page.values import ModelPlace, PageChoice

_LISTS: Final = "https://huggingface.co/api/models/{}/revision/{}"
# The addresses that the hub's own pages have.
_HUB_PAGE: Final = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<repo>[\w.-]+/[\w.-]+)"
    r"(?:/(?:blob|resolve|raw)/(?P<revision>[\w.-]+)/(?P<file>[^?#]+\.gguf)|/tree/[\w.-]+)?/?(?:\?[^#]*)?",
    re.ASCII,
)


def place_of(text: str, listing: str = "") -> ModelPlace:
    """Where the model called ``text`` lies; ``listing`` is what the hub says of its repository, "" before it is asked.

    Raises InputError for what names nothing, HeaderError where the repository has no such model, or several.
    """
    words = text.strip()
    page = _HUB_PAGE.fullmatch(words)
    if page and page["file"]:
        file = HubFile(repo=page["repo"], revision=page["revision"], name=unquote(page["file"]))
        return ModelPlace(
            name=file.url, files=_files(Repository(repo=file.repo, revision=file.revision, files={}), file)
        )
    if is_url(words) and not page:
        return ModelPlace(name=words, files=Repository(repo="", revision="", files={}).parts(words))
    return _in_hub(page["repo"] if page else words.removeprefix(SCHEME), listing)


def _in_hub(words: str, listing: str) -> ModelPlace:
    """The place of ``OWNER/REPO``, with a quant or a file of it or without."""
    try:
        repo, revision, quant, name = named_parts(f"{SCHEME}{words}")
    except HeaderError as error:
        problem = "write OWNER/REPO:QUANT of Hugging Face, or the address of a file"
        raise InputError(problem, field="model", value=words) from error
    if not listing:
        return ModelPlace(listing=_LISTS.format(repo, revision))
    known = Repository(repo=repo, revision=revision, files=dict.fromkeys(_listed(repo, listing), 0))
    file = known.file(name) if name else chosen(f"{SCHEME}{repo}", known, quant)
    # As the command names it: an address says what a name cannot, a file that its quant does not find.
    place = file.place if known.llama_takes(file) or not file.is_main else file.url
    others = tuple(PageChoice(value=other.place, text=other.name) for other in known.models)
    return ModelPlace(name=place, files=_files(known, file), others=others)


def _files(repository: Repository, file: HubFile) -> tuple[str, ...]:
    """Addresses of the set that ``file`` is of, it first."""
    names = dict.fromkeys((file.name, *repository.parts(file.name)))
    return tuple(repository.file(name).url for name in names)


def _listed(repo: str, listing: str) -> list[str]:
    """Names of files as the hub lists them; raises HeaderError for any other text."""
    try:
        names = [row["rfilename"] for row in json.loads(listing)["siblings"]]
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise HeaderError(repo, "the hub's list is no list of files", remedy="name the file") from error
    return [name for name in names if isinstance(name, str) and name.isprintable()]

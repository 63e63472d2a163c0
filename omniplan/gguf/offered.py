"""What a repository of the hub offers: every quant of a model, with its header where that costs little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from omniplan.domain.header import Header, Value
from omniplan.domain.progress import Progress, unwatched
from omniplan.errors import HeaderError
from omniplan.gguf.hub import DEFAULT_QUANT, HubFile, Repository, elsewhere, in_cache, listed
from omniplan.gguf.reader import Shard, read_shard
from omniplan.gguf.shards import joined, read_header, read_set
from omniplan.gguf.sibling import read_part, read_sibling

# A set of more files is not read: a request each, and their sizes say nearly as much.
_MOST_PARTS: Final = 16
# Requests at a time: a hub answers each in a tenth of a second, and bears that many of one reader.
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedQuant:
    """One quant of a repository: its first file, its bytes by the list, and its header, or why that is not known."""

    file: HubFile
    size: int
    header: Header | None = None
    why_not: str = ""


def offered(place: str, *, progress: Progress = unwatched) -> Iterator[OfferedQuant]:
    """Every model of the repository, in the order of names.

    One header is read whole, with its vocabulary; of the others only what differs, some hundred KiB. Of a set of many
    files, and of what is not as expected, the list's size has to do. Raises ``HeaderError`` where not even one can be
    read.
    """
    repository = listed(place)
    models = repository.models
    if not models:
        raise HeaderError(place, "the repository holds no GGUF model", remedy="look for one whose name ends in GGUF")
    if repository.is_cached:
        yield from (_cached(place, repository, file) for file in models)
        return
    first = _reference(repository, models)
    where = elsewhere(place, repository, first)
    known = read_set(where.place, partial(read_shard, where=where, progress=progress))
    read = partial(_read, place, repository, known, first)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, quant in enumerate(pool.map(read, models)):
            progress(done + 1, len(models), f"reading {quant.file.quant or quant.file.name}")
            yield quant


def _cached(place: str, repository: Repository, file: HubFile) -> OfferedQuant:
    """One quant that huggingface-hub's cache has all files of."""
    quant = OfferedQuant(file=file, size=_size(repository, file))
    try:
        path = in_cache(place, repository, file.name)
        return replace(quant, header=read_header(path)) if path else replace(quant, why_not="not in the cache whole")
    except HeaderError as error:
        return replace(quant, why_not=error.problem)


def _reference(repository: Repository, models: Sequence[HubFile]) -> HubFile:
    """The one to read whole: of few files, the usual quant where it is among them, else the smallest."""
    return min(
        models,
        key=lambda file: (
            len(repository.parts(file.name)),
            file.quant.upper() != DEFAULT_QUANT,
            _size(repository, file),
        ),
    )


def _size(repository: Repository, file: HubFile) -> int:
    return sum(repository.files.get(part, 0) for part in repository.parts(file.name))


def _read(place: str, repository: Repository, known: Sequence[Shard], first: HubFile, file: HubFile) -> OfferedQuant:
    """One quant with its header; two requests for what has the vocabulary, one for every other part."""
    quant = OfferedQuant(file=file, size=_size(repository, file))
    parts = repository.parts(file.name)
    missing = [part for part in parts if part not in repository.files]
    if missing:
        return replace(quant, why_not=f"{len(missing)} of its {len(parts)} files are missing")
    where = elsewhere(place, repository, file)
    try:
        shards = known if file == first else tuple(_shards(place, repository, known, parts))
        header = joined(shards)
    except HeaderError as error:
        return replace(quant, why_not=error.problem)
    return replace(quant, header=replace(header, paths=tuple(where.named(shard.path) for shard in shards)))


def _shards(place: str, repository: Repository, known: Sequence[Shard], parts: Sequence[str]) -> Iterator[Shard]:
    if len(parts) > _MOST_PARTS:
        raise HeaderError(place, f"its {len(parts)} files are not read one by one", remedy="download them")
    whole = replace(known[0], tensors=tuple(tensor for shard in known for tensor in shard.tensors))
    places = [elsewhere(place, repository, repository.file(part)) for part in parts]
    begin = read_sibling(str(places[0].place), whole, where=places[0])
    yield replace(begin, metadata=_split(known[0].metadata, len(parts), len(whole.tensors)))
    for where in places[1:]:
        yield replace(read_part(str(where.place), where=where), metadata={})


def _split(metadata: Mapping[str, Value], n_parts: int, n_tensors: int) -> Mapping[str, Value]:
    """The metadata with what a set of so many parts says of itself, and not what another quant does."""
    own = ("general.file_type", "split.no", "split.count", "split.tensors.count")
    kept = {key: value for key, value in metadata.items() if key not in own}
    return kept | ({"split.no": 0, "split.count": n_parts, "split.tensors.count": n_tensors} if n_parts > 1 else {})

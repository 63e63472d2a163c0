"""Finds the files of a model that is split over several and merges their headers.

Rules: llama.cpp b11434 src/llama-model-loader.cpp (constructor) and src/llama.cpp (llama_split_prefix).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from omniplan.domain.header import ByteOrder, Header, Tensor
from omniplan.domain.progress import Progress, unwatched
from omniplan.errors import HeaderError
from omniplan.gguf.cursor import DOWNLOAD_AGAIN
from omniplan.gguf.place import beside, is_url, located, name_of
from omniplan.gguf.reader import MAX_TENSORS, Shard, read_shard

SUFFIX: Final = "-{:05d}-of-{:05d}.gguf"
_NAMED: Final = 3


def read_header(path: str | Path, *, progress: Progress = unwatched) -> Header:
    """The header of the GGUF model at ``path``, a URL or a store's name too: one file, or any file of a split model.

    Raises ``HeaderError`` for every file that cannot be read, is not GGUF, is cut short, misses parts or would be
    refused by llama.cpp's loader. Reads no tensor data; long arrays become ``ArrayInfo``. ``progress`` is told what is
    read of a file that lies elsewhere.
    """
    where = located(path)
    shards = read_set(where.place, partial(read_shard, where=where, progress=progress))
    return replace(joined(shards), paths=tuple(where.named(shard.path) for shard in shards))


def read_set(place: str | Path, read: Callable[[str | Path], Shard]) -> tuple[Shard, ...]:
    """Every file of the set that the one at ``place`` belongs to, in order, as ``read`` reads them."""
    given = read(place)
    return tuple(_read_set(given, _number(given, "split.count"), read))


def joined(shards: Sequence[Shard]) -> Header:
    """The header that the files of a set make together; raises ``HeaderError`` where they do not."""
    _check_data(shards)
    first = shards[0]
    return Header(
        paths=tuple(shard.path for shard in shards),
        version=first.version,
        byte_order=first.byte_order,
        alignment=first.alignment,
        metadata=first.metadata,
        tensors=_merge(shards),
        header_only=all(shard.header_only for shard in shards),
        file_bytes=sum(shard.file_bytes for shard in shards),
    )


def _number(shard: Shard, key: str, default: int = 0) -> int:
    value = shard.metadata.get(key, default)
    assert isinstance(value, int)
    return value


def _read_set(given: Shard, count: int, read: Callable[[str | Path], Shard]) -> Iterator[Shard]:
    """All shards in order; only the given one when the model is not split."""
    if count <= 1:
        yield given
        return
    n_tensors = 0
    for number, path in enumerate(_paths(given, count)):
        shard = given if path == given.path else read(path)
        _check_member(shard, number, count, given.byte_order)
        n_tensors += len(shard.tensors)
        if n_tensors > MAX_TENSORS:
            raise HeaderError(shard.path, f"has more tensors than the expected {MAX_TENSORS:,} at most")
        # Only the first part's metadata counts; the others' need not be kept.
        yield replace(shard, metadata={}) if number else shard


def _paths(given: Shard, count: int) -> Sequence[str]:
    number = _number(given, "split.no")
    name, suffix = name_of(given.path), SUFFIX.format(number + 1, count)
    if not name.endswith(suffix):
        raise HeaderError(
            given.path,
            f"is part {number + 1} of {count} but its name does not end in {suffix}",
            remedy="give it that name: the other parts are found by theirs",
        )
    prefix = name.removesuffix(suffix)
    paths = [beside(given.path, prefix + SUFFIX.format(part, count)) for part in range(1, count + 1)]
    missing = [name_of(path) for path in paths if not _exists(path)]
    if missing:
        names = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
        problem = f"{len(missing)} of the model's {count} files are missing: {names}"
        raise HeaderError(given.path, problem, remedy="download them next to it")
    return paths


def _exists(path: str) -> bool:
    try:
        return is_url(path) or Path(path).exists()
    except OSError:
        # Reading it will say what is wrong.
        return True


def _check_member(shard: Shard, number: int, count: int, byte_order: ByteOrder) -> None:
    found = _number(shard, "split.no", -1), _number(shard, "split.count", count), shard.byte_order
    if found != (number, count, byte_order):
        own = f"part {found[0] + 1} of {found[1]}, {found[2]}-endian" if found[0] >= 0 else "no part of a split model"
        raise HeaderError(
            shard.path,
            f"is {own}, where part {number + 1} of {count}, {byte_order}-endian, belongs",
            remedy="download the parts of one model into one folder",
        )


def _check_data(shards: Sequence[Shard]) -> None:
    """Refuse a set in which only some files have their tensor data."""
    empty = [shard for shard in shards if shard.tensors and shard.header_only]
    whole = [shard for shard in shards if shard.tensors and not shard.header_only]
    if empty and whole:
        problem = f"ends after its header, while {name_of(whole[0].path)} holds its tensors"
        raise HeaderError(empty[0].path, problem, remedy=DOWNLOAD_AGAIN)


def _merge(shards: Sequence[Shard]) -> tuple[Tensor, ...]:
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        for tensor in shard.tensors:
            if tensor.name in tensors:
                other = name_of(shards[tensors[tensor.name].shard].path)
                raise HeaderError(shard.path, f"tensor {tensor.name!r} is also in {other}", remedy=DOWNLOAD_AGAIN)
            tensors[tensor.name] = tensor
    expected = _number(shards[0], "split.tensors.count", -1)
    if len(shards) > 1 and expected != len(tensors):
        problem = f"split.tensors.count is {expected:,} but the files hold {len(tensors):,} tensors"
        raise HeaderError(shards[0].path, problem, remedy="download the parts of one model into one folder")
    return tuple(tensors.values())

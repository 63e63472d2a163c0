"""Files of full length for headers that stand alone: llama.cpp checks that every tensor lies within its file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from omniplan.domain.header import Header
from omniplan.errors import InputError
from omniplan.gguf.place import is_path, located
from omniplan.units import pad


def complete_file(header: Header, folder: Path) -> Path:
    """The model's first file, or a sparse copy in ``folder`` when it and its other parts end after their headers.

    A copy takes the header's bytes on disk; the rest is a hole. Raises InputError when ``folder`` cannot hold it.
    """
    if not is_path(header.paths[0]):
        raise InputError(f"{header.paths[0]}: llama.cpp's library reads only files of this host; download it")
    if not header.header_only:
        return Path(located(header.paths[0]).place)
    try:
        copies = [_copy(header, shard, folder) for shard in range(len(header.paths))]
    except OSError as error:
        raise InputError(f"{folder}: a sparse copy of {header.paths[0]} cannot be made: {error}") from error
    return copies[0]


def _copy(header: Header, shard: int, folder: Path) -> Path:
    source = Path(located(header.paths[shard]).place)
    target = folder / source.name
    shutil.copyfile(source, target)
    ends = [tensor.offset + tensor.nbytes for tensor in header.tensors if tensor.shard == shard]
    if ends:
        os.truncate(target, pad(source.stat().st_size, header.alignment) + pad(max(ends), header.alignment))
    return target

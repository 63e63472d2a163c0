"""Quants: which of several files of one model to run, and what one not downloaded would be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from omniplan.api.source import load_model, machine_of, model_of, requested
from omniplan.domain.progress import unwatched
from omniplan.errors import HeaderError, UnsupportedModel

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.model import Model
    from omniplan.domain.progress import Progress
    from omniplan.domain.request import Request, RequestChanges
    from omniplan.planning.recommendation import LeftOut, Recommendation

_SHARD: Final = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$")


def requantise(model: ModelSource, quant: str, *, imatrix: bool | None = None, pure: bool = False) -> Model:
    """The model as llama-quantize would write it as ``quant``, such as "Q4_K_M": types and sizes, no data.

    By b11434's rules, from the header of any other quant of the model; the result goes wherever a model goes, and every
    plan of it carries the assumption. ``imatrix`` says whether an importance matrix is used (None: only where the quant
    cannot be made without one), ``pure`` that no rules mix types. Raises InputError for an unknown quant and
    UnsupportedModel where llama-quantize would give up.
    """
    from omniplan.llamacpp.quant.requantise import requantise as make

    return make(model_of(model), quant, imatrix=imatrix, pure=pure)


def recommend(
    models: ModelSource | Sequence[ModelSource],
    machine: MachineSource,
    request: Request | None = None,
    *,
    what_if: Sequence[str] = (),
    build: int | str | None = None,
    progress: Progress = unwatched,
    **changes: Unpack[RequestChanges],
) -> Recommendation:
    """Rank several files of one model by predicted speed on ``machine``, each with its own plan.

    ``models`` are files (any shard of a set), folders searched for them, or models. Files that cannot be read and
    files of another model than most are named in ``left_out``. ``what_if`` are quants to estimate beside them, from the
    file with the most bits per weight. ``request``, ``build`` and ``changes`` are as for ``plan``, and
    ``progress`` is told of every plan. Nothing that fits is an answer, not an error.
    """
    from omniplan.domain.model import Model
    from omniplan.planning.recommend import make_recommendation

    read, left_out = _load([models] if isinstance(models, str | Path | Model) else list(models))
    asked = requested(request, build, changes)
    host = machine_of(machine)
    return make_recommendation(read, host, asked, what_if=what_if, left_out=left_out, progress=progress)


def _load(sources: Sequence[ModelSource]) -> tuple[list[Model], list[LeftOut]]:
    from omniplan.gguf.place import is_path
    from omniplan.planning.recommendation import LeftOut

    models: dict[object, Model] = {}
    left_out = []
    for source in sources:
        if not isinstance(source, str | Path):
            models[id(source)] = source
            continue
        for path in _files(Path(source)) if is_path(source) else (source,):
            try:
                model = load_model(path)
            except (HeaderError, UnsupportedModel) as error:
                left_out.append(LeftOut(path=str(path), reason=str(error).removeprefix(f"{path}: ")))
            else:
                models.setdefault(Path(model.header.paths[0]).resolve(), model)
    return list(models.values()), left_out


def _files(path: Path) -> Iterator[Path]:
    """The path itself, or one file of every model in the folder and below."""
    if not path.is_dir():
        yield path
        return
    seen: set[tuple[Path, str, str]] = set()
    for file in sorted(path.rglob("*.gguf")):
        shard = _SHARD.match(file.name)
        key = (file.parent, shard[1], shard[3]) if shard else (file.parent, file.name, "")
        if key not in seen:
            seen.add(key)
            yield file

"""Quants: which of several files of one model to run, and what one not downloaded would be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from omniplan.api.source import load_model, machine_of, model_of, requested
from omniplan.domain.progress import unwatched
from omniplan.errors import HeaderError, UnsupportedModel
from omniplan.gguf.place import is_path

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
    what_if: Sequence[str] | None = None,
    build: int | str | None = None,
    progress: Progress = unwatched,
    **changes: Unpack[RequestChanges],
) -> Recommendation:
    """Rank models, or quants of one, on ``machine``, best first, each with its own plan.

    ``models`` are files (any shard of a set), folders searched for them, or models. Files that cannot be read are named
    in ``left_out``, projectors and drafts are no models of their own. ``what_if`` are quants to estimate from the file
    with the most bits per weight; None are those that publishers usually offer where one file is given, else none.
    ``request``, ``build`` and ``changes`` are as for ``plan``, and ``progress`` is told of every plan. Nothing that
    fits is an answer, not an error.
    """
    from omniplan.domain.model import Model
    from omniplan.llamacpp.quant.ladder import ladder
    from omniplan.planning.recommend import Offer, make_recommendation

    sources = [models] if isinstance(models, str | Path | Model) else list(models)
    read, left_out = _load(sources)
    if what_if is None:
        is_folder = isinstance(sources[0], str | Path) and is_path(sources[0]) and Path(sources[0]).is_dir()
        what_if = ladder(read[0]) if len(read) == 1 and not is_folder else ()
    asked = requested(request, build, changes)
    offers = [Offer.of(model) for model in read]
    host = machine_of(machine)
    return make_recommendation(offers, host, asked, what_if=what_if, left_out=left_out, progress=progress)


def _load(sources: Sequence[ModelSource]) -> tuple[list[Model], list[LeftOut]]:
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

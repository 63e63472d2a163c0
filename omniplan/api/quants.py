"""Quants: which of several files of one model to run, and what one not downloaded would be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from omniplan.api.source import load_model, machine_of, model_of, requested, with_projector
from omniplan.domain.progress import unwatched
from omniplan.errors import HeaderError, InputError, UnsupportedModel

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.model import Model
    from omniplan.domain.progress import Progress
    from omniplan.domain.request import Request, RequestChanges
    from omniplan.gguf.offered import OfferedQuant
    from omniplan.planning.recommend import Offer
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

    ``models`` are files (any shard of a set), folders searched for them, repositories (``hf:OWNER/REPO``), of which
    headers are read, or models. Files that cannot be read, projectors and drafts are named in ``left_out``.
    ``what_if`` are quants to estimate from the file with the most bits per weight; None are those that publishers
    usually offer where one file is given, else none.
    ``request``, ``build`` and ``changes`` are as for ``plan``, and ``progress`` is told of every plan. Nothing that
    fits is an answer, not an error.
    """
    from omniplan.domain.model import Model
    from omniplan.llamacpp.quant.usual import usual_quants
    from omniplan.planning.recommend import make_recommendation

    sources = [models] if isinstance(models, str | Path | Model) else list(models)
    offers, left_out = _load(sources, progress)
    if what_if is None:
        is_file = len(offers) == len(sources) == 1 and not _is_many(sources[0])
        what_if = usual_quants(offers[0].model) if is_file else ()
    asked = requested(request, build, changes)
    if len(offers) == 1:
        asked = with_projector(offers[0].model, asked)
    host = machine_of(machine)
    return make_recommendation(offers, host, asked, what_if=what_if, left_out=left_out, progress=progress)


def _is_many(source: ModelSource) -> bool:
    """Whether it is a folder or a repository rather than one model."""
    from omniplan.gguf.hub import is_repository
    from omniplan.gguf.place import is_path

    if not isinstance(source, str | Path):
        return False
    return Path(source).is_dir() if is_path(source) else is_repository(str(source))


def _load(sources: Sequence[ModelSource], progress: Progress) -> tuple[list[Offer], list[LeftOut]]:
    from omniplan.gguf.hub import is_repository
    from omniplan.gguf.model.architectures import row
    from omniplan.gguf.place import is_path
    from omniplan.planning.recommend import Offer
    from omniplan.planning.recommendation import LeftOut

    offers: dict[object, Offer] = {}
    left_out: list[LeftOut] = []
    for source in sources:
        if not isinstance(source, str | Path):
            offers[id(source)] = Offer.of(source)
        elif not is_path(source) and is_repository(str(source)):
            found, unread = _repository(str(source), progress)
            offers |= {offer.model.header.paths[0]: offer for offer in found}
            left_out += unread
        else:
            for path in _files(Path(source)) if is_path(source) else (source,):
                try:
                    offer = Offer.of(load_model(path, progress=progress))
                except (HeaderError, UnsupportedModel) as error:
                    left_out.append(LeftOut(path=str(path), reason=str(error).removeprefix(f"{path}: ")))
                    continue
                if drafts := row(offer.model.arch).drafts:
                    left_out.append(LeftOut(path=str(path), reason=f"a draft ({drafts}), loaded beside a model"))
                else:
                    offers.setdefault(_identity(offer.model.header.paths[0]), offer)
    return list(offers.values()), left_out


def _identity(path: str) -> object:
    from omniplan.gguf.place import is_path

    return Path(path).resolve() if is_path(path) else path


def _repository(place: str, progress: Progress) -> tuple[list[Offer], list[LeftOut]]:
    """What a repository offers; quants whose header was not read are estimated from another, as far as rules go."""
    from omniplan.gguf.model import build_model
    from omniplan.gguf.offered import offered
    from omniplan.planning.recommend import Offer
    from omniplan.planning.recommendation import LeftOut

    found = list(offered(place, progress=progress))
    offers, left_out = [], []
    for item in found:
        if item.header is not None:
            try:
                model = build_model(item.header)
            except UnsupportedModel as error:
                left_out.append(LeftOut(path=item.file.place, reason=str(error)))
            else:
                offers.append(Offer(model=model, quant=item.file.quant.upper() or Offer.of(model).quant))
    for item in found:
        if item.header is None:
            try:
                offers.append(_unread(item, offers[0].model))
            except (InputError, UnsupportedModel, IndexError):
                left_out.append(LeftOut(path=item.file.place, reason=item.why_not))
    return offers, left_out


def _unread(item: OfferedQuant, known: Model) -> Offer:
    """A quant whose header was not read, from one that was; raises InputError for a quant that nobody knows."""
    from omniplan.domain.evidence import Assumption
    from omniplan.llamacpp.quant.usual import estimated
    from omniplan.planning.recommend import Offer

    quant = item.file.quant.upper()
    model = estimated(known, quant)
    noted = Assumption(
        subject=f"quant {quant}",
        statement=f"its header was not read ({item.why_not}); the list says {item.size:,} bytes, the estimate "
        f"{model.header.file_bytes:,}",
        source="the repository's list",
    )
    header = replace(model.header, paths=(item.file.place,))
    return Offer(
        model=replace(model, header=header, assumptions=(*model.assumptions, noted)), quant=quant, is_estimate=True
    )


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

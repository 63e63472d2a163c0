"""The files that a server loads beside its model, read where they are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.request import Request
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model


def with_companions(model: Model, params: ServerParams) -> Model:
    """``model`` with what ``params`` load beside it, as far as those files are there.

    Raises HeaderError or UnsupportedModel for one that is there and cannot be read.
    """
    adapters = tuple(file.path for file in params.adapters)
    return companied(
        model,
        draft=_if_there(params.draft.model),
        projector=_if_there(params.mmproj),
        adapters=adapters if all(map(_if_there, adapters)) else (),
    )


def with_requested(model: Model, request: Request) -> Model:
    """``model`` with what ``request`` loads beside it; raises as ``companied`` does."""
    return companied(model, draft=request.draft, projector=request.mmproj, adapters=request.lora)


def companied(model: Model, *, draft: str | None, projector: str | None, adapters: tuple[str, ...] = ()) -> Model:
    """``model`` with the files at these paths beside it; what it has already stays.

    Raises HeaderError or UnsupportedModel for one that cannot be read.
    """
    known = model.companions
    if draft and known.draft is None:
        known = replace(known, draft=build_model(read_header(draft)))
    if projector and known.projector is None:
        known = replace(known, projector=read_header(projector))
    if adapters and not known.adapters:
        known = replace(known, adapters=tuple(map(read_header, adapters)))
    return model if known is model.companions else replace(model, companions=known)


def _if_there(path: str | None) -> str | None:
    return path if path and Path(path).is_file() else None

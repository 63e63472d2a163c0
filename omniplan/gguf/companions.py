"""The files that a server loads beside its model, read where the arguments name them and they are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omniplan.domain.header import Header
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model


def with_companions(model: Model, params: ServerParams) -> Model:
    """``model`` with what ``params`` load beside it; what it has already stays, a file that is not there is left out.

    Raises HeaderError or UnsupportedModel for a file that is there and cannot be read.
    """
    known = model.companions
    draft = known.draft or _draft(params.draft.model)
    projector = known.projector or _header(params.mmproj)
    if draft is known.draft and projector is known.projector:
        return model
    return replace(model, companions=replace(known, draft=draft, projector=projector))


def _draft(path: str | None) -> Model | None:
    header = _header(path)
    return None if header is None else build_model(header)


def _header(path: str | None) -> Header | None:
    return read_header(path) if path and Path(path).is_file() else None

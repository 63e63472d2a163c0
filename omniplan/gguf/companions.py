"""The files that a server loads beside its model, read where they are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from omniplan.domain.header import ArrayInfo, Value
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.request import Request
from omniplan.errors import RequestError
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model

# common/speculative.cpp: SPEC_VOCAB_MAX_SIZE_DIFFERENCE.
_MOST_APART: Final = 128


def with_companions(model: Model, params: ServerParams) -> Model:
    """``model`` with what ``params`` load beside it, as far as those files are there.

    Raises HeaderError or UnsupportedModel for one that is there and cannot be read.
    """
    adapters = tuple(file.path for file in params.adapters)
    return _companied(
        model,
        draft=_if_there(params.draft.model),
        projector=_if_there(params.mmproj),
        adapters=adapters if all(map(_if_there, adapters)) else (),
    )


def with_requested(model: Model, request: Request) -> Model:
    """``model`` with what ``request`` loads beside it.

    Raises HeaderError or UnsupportedModel for a file that cannot be read, RequestError for a draft that llama-server
    refuses.
    """
    served = _companied(model, draft=request.draft, projector=request.mmproj, adapters=request.lora)
    draft = served.companions.draft
    if draft is not None and not request.mtp and (other := foreign(model, draft)):
        raise RequestError(
            "draft", request.draft, f"it has {other}: llama-server refuses it; take one of the same family"
        )
    return served


def _companied(model: Model, *, draft: str | None, projector: str | None, adapters: tuple[str, ...]) -> Model:
    """``model`` with the files at these paths beside it; what it has already stays."""
    known = model.companions
    if draft and known.draft is None:
        known = replace(known, draft=build_model(read_header(draft)))
    if projector and known.projector is None:
        known = replace(known, projector=read_header(projector))
    if adapters and not known.adapters:
        known = replace(known, adapters=tuple(map(read_header, adapters)))
    return model if known is model.companions else replace(model, companions=known)


def foreign(model: Model, draft: Model) -> str:
    """How the vocabulary of ``draft`` differs by more than llama.cpp lets it, "" where it does not or nobody knows."""
    own, other = _vocabulary(model), _vocabulary(draft)
    if None in (*own, *other) or (own[0] == other[0] and abs((own[1] or 0) - (other[1] or 0)) <= _MOST_APART):
        return ""
    return f"the tokenizer {other[0]} with {other[1]:,} tokens, the model {own[0]} with {own[1]:,}"


def _vocabulary(model: Model) -> tuple[Value | None, int | None]:
    """Kind of tokenizer and number of tokens."""
    tokens = model.header.metadata.get("tokenizer.ggml.tokens")
    count = tokens.length if isinstance(tokens, ArrayInfo) else len(tokens) if isinstance(tokens, tuple) else None
    return model.header.metadata.get("tokenizer.ggml.model"), count


def _if_there(path: str | None) -> str | None:
    return path if path and Path(path).is_file() else None

"""A model as the loader of one build reads it (``load_hparams`` and ``load_arch_hparams`` of that build)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from omniplan.documents.record import read
from omniplan.domain.model import Model
from omniplan.errors import UnsupportedModel
from omniplan.gguf.model import architectures
from omniplan.gguf.model.architectures import ArchRow
from omniplan.gguf.model.model import build_model
from omniplan.llamacpp.build import Build, known

_WINDOWS = "attention.sliding_window_pattern"


def as_read(model: Model, number: int) -> Model:
    """``model`` for the build ``number``; raises UnsupportedModel where that build does not know its architecture."""
    came = architectures.came().get(model.arch)
    if came and number <= came.last:
        raise UnsupportedModel(
            f"{model.header.paths[0]}: llama.cpp b{number} does not know the architecture {model.arch}, "
            f"b{came.until} does"
        )
    return _as_read(model, known(number))


@lru_cache(maxsize=64)
def _as_read(model: Model, build: Build) -> Model:
    facts = build.loaders.get(model.arch, {})
    row = architectures.row(model.arch)
    takes_arrays = build.rules.reads_window_arrays or row.swa is None or row.swa.from_header
    if not takes_arrays and "window_array" not in facts and isinstance(model.key(_WINDOWS), tuple):
        metadata = {name: value for name, value in model.header.metadata.items() if name != f"{model.arch}.{_WINDOWS}"}
        model = build_model(replace(model.header, metadata=metadata), model.companions)
    if not facts:
        return model
    typed = read(ArchRow, facts)
    return replace(model, loader_facts={name: getattr(typed, name) for name in facts})

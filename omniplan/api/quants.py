"""Quants: which of several files of one model to run, and what one not downloaded would be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omniplan.api.source import ModelSource, headroom_of, load_model, model_of
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.errors import HeaderError, UnsupportedModel

if TYPE_CHECKING:
    from omniplan.planning.recommendation import LeftOut, Recommendation

_SHARD: Final = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$")


def requantise(source: ModelSource, quant: str, *, imatrix: bool | None = None, pure: bool = False) -> Model:
    """The model as llama-quantize would write it as ``quant``, such as "Q4_K_M": types and sizes, no data.

    By b11434's rules, from the header of any other quant of the model; the result goes wherever a model goes, and every
    plan of it carries the assumption. ``imatrix`` says whether an importance matrix is used (None: only where the quant
    cannot be made without one), ``pure`` that no rules mix types. Raises InputError for an unknown quant and
    UnsupportedModel where llama-quantize would give up.
    """
    from omniplan.llamacpp.quant.requantise import requantise as make

    return make(model_of(source), quant, imatrix=imatrix, pure=pure)


def recommend(
    sources: ModelSource | Sequence[ModelSource],
    machine: Machine,
    *,
    what_if: Sequence[str] = (),
    n_ctx: int | None = None,
    n_parallel: int = 1,
    cache_type_k: str = "f16",
    cache_type_v: str = "f16",
    headroom: Headroom | str | int | None = None,
    n_prompt: int = 2048,
    n_gen: int = 256,
    objective: str = "request",
) -> Recommendation:
    """Rank several files of one model by predicted speed on ``machine``, each with its own plan.

    ``sources`` are files (any shard of a set), folders searched for them, or models. Files that cannot be read and
    files of another model than most are named in ``left_out``. ``what_if`` are quants to estimate beside them, from the
    file with the most bits per weight. The rest is as for ``plan``. Nothing that fits is an answer, not an error.
    """
    from omniplan.planning.recommend import make_recommendation

    given = [sources] if isinstance(sources, ModelSource) else list(sources)
    models, left_out = _load(given)
    return make_recommendation(
        models,
        machine,
        what_if=what_if,
        left_out=left_out,
        n_ctx=n_ctx,
        n_parallel=n_parallel,
        cache_type_k=cache_type_k,
        cache_type_v=cache_type_v,
        headroom=headroom_of(headroom),
        n_prompt=n_prompt,
        n_gen=n_gen,
        objective=objective,
    )


def _load(sources: Sequence[ModelSource]) -> tuple[list[Model], list[LeftOut]]:
    from omniplan.planning.recommendation import LeftOut

    models: dict[object, Model] = {}
    left_out = []
    for source in sources:
        if isinstance(source, Model):
            models[id(source)] = source
            continue
        for path in _files(Path(source)):
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

"""A model as llama-quantize would make it from another file of the same model: types and sizes, no data."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from omniplan.domain.evidence import Assumption
from omniplan.domain.header import Header, Tensor
from omniplan.domain.model import Model
from omniplan.domain.tensor_type import TensorType
from omniplan.errors import UnsupportedModel
from omniplan.gguf.model import build_model
from omniplan.gguf.reader import DEFAULT_ALIGNMENT
from omniplan.llamacpp.quant.quantize import QuantRecipe, quantized_types
from omniplan.llamacpp.quant.table import Mix, find_mix, mix_of, quantize_rules
from omniplan.units import pad

_SOURCE: Final = "llama.cpp b11434 src/llama-quant.cpp (data/quantize.toml)"
_QUANTIZATION_VERSION: Final = 2


def requantise(model: Model, quant: str, *, imatrix: bool | None = None, pure: bool = False) -> Model:
    """``model`` as llama-quantize would write it as ``quant``: a model for every verb, marked as an estimate.

    ``imatrix`` says whether an importance matrix is used, which moves a few types of a few mixes (None: only where the
    mix cannot be made without one); ``pure`` is ``--pure``. Raises InputError for an unknown quant.
    """
    mix = find_mix(quant)
    recipe = QuantRecipe(mix=mix, imatrix=mix.needs_imatrix if imatrix is None else imatrix, pure=pure)
    header = _header(model.header, mix, quantized_types(model, recipe))
    made = build_model(header, model.companions)
    return replace(made, assumptions=(*made.assumptions, _assumption(model, recipe)))


def smaller_quants(model: Model) -> tuple[tuple[int, str], ...]:
    """Bytes of all tensors and name of every usual mix that makes the model smaller, smallest first."""
    header = model.header
    found = []
    for mix in quantize_rules().mixes.values():
        # Rules give a tensor more bits than the mix's own type, hardly ever fewer.
        if mix.rare or mix.default.bits_per_weight >= bits_per_weight(header):
            continue
        with contextlib.suppress(UnsupportedModel):
            types = quantized_types(model, QuantRecipe(mix=mix, imatrix=mix.needs_imatrix))
            size = sum(header.by_name[name].nbytes_as(kind) for name, kind in types.items())
            found.append((size, mix.name))
    return tuple(sorted(item for item in found if item[0] < header.tensor_bytes))


def quant_name(header: Header) -> str:
    """The mix a file says it is, such as "Q4_K_M"; the type of most of its bytes where it does not say."""
    mix = mix_of(header.metadata.get("general.file_type"))
    if mix is not None:
        return mix.name
    sizes: dict[str, int] = {}
    for tensor in header.tensors:
        sizes[tensor.type.name] = sizes.get(tensor.type.name, 0) + tensor.nbytes
    return max(sizes, key=lambda name: sizes[name])


def bits_per_weight(header: Header) -> float:
    """Bits a weight takes on average over the whole file, scales included."""
    return 8 * header.tensor_bytes / sum(tensor.n_elements for tensor in header.tensors)


def _header(header: Header, mix: Mix, types: Mapping[str, TensorType]) -> Header:
    tensors = tuple(_laid_out(header, types))
    before = sum(pad(tensor.nbytes, header.alignment) for tensor in header.tensors)
    after = sum(pad(tensor.nbytes, DEFAULT_ALIGNMENT) for tensor in tensors)
    kept = {key: value for key, value in header.metadata.items() if not key.startswith("split.")}
    return replace(
        header,
        paths=(renamed(header.paths[0], mix.name),),
        # llama-quantize writes with it whatever the input's was.
        alignment=DEFAULT_ALIGNMENT,
        metadata={**kept, "general.file_type": mix.id, "general.quantization_version": _QUANTIZATION_VERSION},
        tensors=tensors,
        header_only=True,
        # The metadata's own bytes are taken as those of the file at hand.
        file_bytes=pad(header.file_bytes - before, DEFAULT_ALIGNMENT) + after,
    )


def _laid_out(header: Header, types: Mapping[str, TensorType]) -> Iterator[Tensor]:
    offset = 0
    for name, kind in types.items():
        tensor = replace(header.by_name[name], type=kind, offset=offset, shard=0)
        yield tensor
        offset += pad(tensor.nbytes, DEFAULT_ALIGNMENT)


def renamed(path: str, quant: str) -> str:
    """The path with the quant's name in place of the one it has, or at its end."""
    whole = PurePath(re.sub(r"-\d{5}-of-\d{5}(?=\.gguf$)", "", path))
    known = "|".join(sorted(quantize_rules().mixes, key=len, reverse=True))
    stem, found = re.subn(rf"(?<![A-Za-z0-9])(?:{known})(?![A-Za-z0-9_])", quant, whole.stem, flags=re.IGNORECASE)
    return str(whole.with_name(f"{stem if found else f'{stem}-{quant}'}{whole.suffix}"))


def _assumption(model: Model, recipe: QuantRecipe) -> Assumption:
    matrix = "with" if recipe.imatrix else "without"
    mixture = "one type for all (--pure)" if recipe.pure else "its usual mixture"
    return Assumption(
        subject=f"quant {recipe.mix.name}",
        statement=f"an estimate, not a file: {quant_name(model.header)} tensors of {model.header.paths[0]} retyped as "
        f"llama-quantize would, in {mixture}, {matrix} an importance matrix; dynamic quants (UD) and files made with "
        "--tensor-type differ",
        source=_SOURCE,
    )

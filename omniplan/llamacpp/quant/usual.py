"""The quants that publishers usually offer (``data/usual_quants.toml``), and what a model would be as one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Column, Name
from omniplan.documents.source import read_table
from omniplan.domain.evidence import Assumption
from omniplan.domain.model import Model
from omniplan.llamacpp.quant.quality import PublishedLoss, quality
from omniplan.llamacpp.quant.requantise import quant_name, renamed, requantise
from omniplan.llamacpp.quant.table import find_mix, quantize_rules

_FILE: Final = "usual_quants.toml"
_Share = Annotated[float, Column(least=-1, most=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualQuant:
    """One quant that is offered; ``like`` is the mix that a dynamic one is estimated as, empty for a mix itself.

    ``least`` and ``most`` say by which shares published files were smaller or larger than that, as ``source`` lists.
    ``rare`` ones are planned only where they are asked for.
    """

    name: Name
    like: str = ""
    least: _Share = 0.0
    most: _Share = 0.0
    rare: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualQuants:
    """The whole table."""

    source: str
    rows: Annotated[Mapping[str, UsualQuant], Column(key="quant")]


@cache
def _usual() -> Mapping[str, UsualQuant]:
    return read_table(_FILE, UsualQuants).rows


def usual_quants(model: Model) -> tuple[str, ...]:
    """The quants beside that of ``model`` that are usually offered, largest first.

    None of a model that was trained in the type of most of its bytes: more bits of that add no quality.
    """
    if is_native(model):
        return ()
    own = quant_name(model.header)
    return tuple(row.name for row in _usual().values() if not row.rare and row.name != own)


def is_native(model: Model) -> bool:
    """Whether most of its bytes have a type that models are trained in, such as MXFP4."""
    sizes: dict[str, int] = {}
    for tensor in model.header.tensors:
        sizes[tensor.type.name] = sizes.get(tensor.type.name, 0) + tensor.nbytes
    largest = max(sizes, key=lambda name: sizes[name], default="")
    return any(mix.native and mix.default.name == largest for mix in quantize_rules().mixes.values())


def estimated(model: Model, quant: str) -> Model:
    """``model`` as a publisher would offer it as ``quant``, by llama-quantize's rules; raises InputError.

    A dynamic one has the types of the mix it is like, and says by how much published files differed.
    """
    row = _usual().get(quant.upper())
    if row is None or not row.like:
        return requantise(model, quant)
    made = requantise(model, row.like)
    sizes = f"published files were {row.least:+.0%} to {row.most:+.0%} of that size"
    noted = Assumption(
        subject=f"quant {row.name}",
        statement=f"an estimate, not a file: its types are chosen by measurement; counted as {row.like}, {sizes}",
        source=row.source,
    )
    header = replace(made.header, paths=(renamed(model.header.paths[0], row.name),))
    return replace(made, header=header, assumptions=(*model.assumptions, noted))


def known_quant(name: str) -> str:
    """The quant called ``name`` as it is written everywhere; raises InputError for one that nobody knows."""
    return name.upper() if name.upper() in _usual() else find_mix(name).name


def published_loss(name: str) -> PublishedLoss | None:
    """What was published of the quant called ``name``, None where nothing was."""
    return quality().published.get(name.upper())


def assumed_loss(name: str, bits: float) -> float:
    """The share of perplexity to count with for a quant: published, that of the mix it is like, or by its bits."""
    row = _usual().get(name.upper())
    known = published_loss(row.like if row and row.like else name)
    if known:
        return known.loss
    # Of published mixes as large or smaller, the one that loses least; 16 bits lose nothing.
    return min((mix.loss for mix in quality().mix.values() if mix.bits <= bits), default=1.0) if bits < 12 else 0.0

"""What the file of an adapter of low rank holds: two factors for every tensor that it changes (llama-adapter.cpp)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from omniplan.domain.header import Header, Tensor

# Its factors stand the other way round.
EMBEDDING: Final = "token_embd.weight"
_A: Final = ".lora_a"
_B: Final = ".lora_b"


def pairs(header: Header) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Factors A and B by the name of the tensor they are of, those with both; norms are left out, as llama.cpp does."""
    by_name = header.by_name
    bases = (tensor.name.removesuffix(_A) for tensor in header.tensors if tensor.name.endswith(_A))
    return {base: (by_name[base + _A], by_name[base + _B]) for base in bases if base + _B in by_name}


def faults(header: Header, tensors: Mapping[str, Tensor], arch: str) -> str:
    """Why llama.cpp does not take the adapter for a model of ``arch`` with ``tensors``, empty where it does."""
    metadata = header.metadata
    for key, wanted in (("general.type", "adapter"), ("general.architecture", arch), ("adapter.type", "lora")):
        if metadata.get(key) != wanted:
            return f"{key} is {metadata.get(key)!r}, not {wanted!r}"
    known = pairs(header)
    for tensor in header.tensors:
        if not tensor.name.endswith((_A, _B, "_norm.weight")):
            return f"tensor {tensor.name} has an unexpected suffix"
        base = tensor.name.removesuffix(_A).removesuffix(_B)
        if not tensor.name.endswith("_norm.weight") and base not in known:
            return f"the pair of {base} is missing one part"
    if EMBEDDING in known and "output.weight" not in tensors:
        return f"{EMBEDDING} is the output as well, and llama.cpp aborts when it multiplies with that one's factors"
    for name, (a, b) in known.items():
        model = tensors.get(name)
        if model is None:
            return f"the model has no tensor {name}"
        if not _fits(name, model.shape, a.shape, b.shape):
            return f"tensor {name} has another shape"
    return ""


def _fits(name: str, model: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    if name == EMBEDDING:
        return (model[0], model[1]) == (b[1], a[1])
    return (model[0], model[1], a[1]) == (a[0], b[1], b[0])

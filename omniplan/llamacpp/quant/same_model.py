"""Which files hold one and the same model in different quants: what a model is beside the types of its tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.domain.model import Model
from omniplan.llamacpp.quant.table import quantize_rules

# Words that say how weights are stored, not whose they are.
_STORAGE: Final = ("fp8", "fp16", "gguf", "ud", "imat", "imatrix")


@dataclass(frozen=True, slots=True)
class Identity:
    """The facts that files of one model share, by the words a user knows them by."""

    facts: tuple[tuple[str, object], ...]

    @classmethod
    def of(cls, model: Model) -> Identity:
        """The identity of ``model``: architecture and shape, and its name without words about storage."""
        h = model.hparams
        facts = {
            "name": plain_name(str(model.header.metadata.get("general.name", ""))),
            "architecture": model.arch,
            "layers": h.n_layer,
            "embedding": h.n_embd,
            "vocabulary": h.n_vocab,
            "heads": h.n_head,
            "experts": h.n_expert,
            "experts used": h.n_expert_used,
            "feed-forward": h.n_ff,
        }
        return cls(tuple(facts.items()))

    def differences(self, other: Identity) -> tuple[str, ...]:
        """How a file differs from ``other``, one text per fact; a name that one of them lacks is no difference."""
        return tuple(
            f"{word} {_shown(mine)} where the others have {_shown(theirs)}"
            for (word, mine), (_, theirs) in zip(self.facts, other.facts, strict=True)
            if mine != theirs and "" not in (mine, theirs)
        )


def plain_name(name: str) -> str:
    """A model's name in lower case without quants, separators and words about storage."""
    known: Mapping[str, object] = quantize_rules().mixes
    words = "|".join(sorted((*map(str.lower, known), *_STORAGE), key=len, reverse=True))
    bare = re.sub(rf"(?<![a-z0-9])(?:{words})(?![a-z0-9_])", " ", name.lower())
    return re.sub(r"[^a-z0-9.]+", "", bare)


def commonest(models: Sequence[Model]) -> Identity:
    """The identity most of ``models`` share; of equals, that of the first."""
    counts = Counter(Identity.of(model) for model in models)
    return max(counts, key=lambda identity: counts[identity])


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in dict.fromkeys(value))
    return str(value)

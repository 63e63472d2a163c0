"""Rules about what comments claim of a model, against its header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from typing import Final

from omniplan.check.case import Case
from omniplan.check.hit import Hit
from omniplan.check.rule import CommandRule
from omniplan.formats.command import Word

_MOE: Final = re.compile(r"\b(moe|mixture of experts|experts?)\b|\d+B-A\d+(\.\d+)?B", re.IGNORECASE)
_DENSE: Final = re.compile(r"\bdense\b", re.IGNORECASE)
_NOT: Final = re.compile(r"\b(not|no|isn't|never|without|unlike|other|than)\b", re.IGNORECASE)
# A line that is about what the model is, not about where its layers go.
_ABOUT: Final = re.compile(
    r"architecture|\b(moe|dense|experts?|heads|parameters|mla|model|arch)\b|: \d+ layers|has \d+ layers", re.IGNORECASE
)
# "47 layers", but not "33 layers on CUDA0", "first 3 layers", "layers 0-16".
_LAYERS: Final = re.compile(
    r"(?<![\w.+/-])(\d{1,4}) (?:transformer )?layers\b(?!\s*(?:on|to|of|per|each|with|left|have))"
)
_EXPERTS: Final = re.compile(r"(?<![\w.+/-])(\d{1,4}) (?:routed )?experts\b(?!\s*(?:active|used|per token))")
_PLACED: Final = re.compile(
    r"CUDA|GPU|CPU|VRAM|RAM\b|offload|first|last|leading|active|extra|up to|~|\+|\b(?:40|50)[6-9]0\b", re.IGNORECASE
)
_SIZE: Final = re.compile(r"(?<![\w.-])~?(\d+(?:\.\d+)?)\s*(GB|GiB)\b")
_FILE: Final = re.compile(
    r"\b(file|model|weights?|gguf|download)(?:'s)?(?: file)?(?: size| is|:| =)|\bsize\b", re.IGNORECASE
)
_OTHER_SIZE: Final = re.compile(
    r"\b(VRAM|KV|cache|buffer|compute|free|usable|left|headroom|RAM|context|CUDA\d|CPU|GPU|layer|expert|total)s?\b",
    re.IGNORECASE,
)
_GB: Final = {"GB": 10**9, "GiB": 1 << 30}
# Rounded figures, and GB written for GiB, stay within this of the truth.
_ROUNDING: Final = 0.04


def architecture(case: Case) -> Iterator[Hit]:
    """A comment says dense and the header has experts, or the other way round; or it miscounts layers or experts."""
    if case.model is None:
        return
    moe = [word for word in case.comments if _MOE.search(word.text)]
    dense = [word for word in case.comments if _DENSE.search(word.text) and not _NOT.search(word.text)]
    h = case.model.hparams
    if case.is_moe and dense and not moe:
        yield _claim(dense[0], f"says dense; the header has {h.n_expert} experts, {max(h.n_expert_used)} used")
    if not case.is_moe and not dense:
        for word in moe[:1]:
            if not _NOT.search(word.text):
                yield _claim(word, "says experts; the header has none")
    for word in case.comments:
        yield from _counts(case, word)


def _counts(case: Case, word: Word) -> Iterator[Hit]:
    """Numbers of layers and experts that a comment states plainly."""
    assert case.model is not None
    h = case.model.hparams
    if _PLACED.search(word.text) or not _ABOUT.search(word.text):
        return
    layers = {h.n_layer, h.n_layer_all, h.n_layer_all + 1, h.n_layer_all - h.n_layer_dense_lead, h.n_layer_dense_lead}
    for match in _LAYERS.finditer(word.text):
        if int(match[1]) not in layers | _kinds(case):
            yield _claim(word, f"says {match[1]} layers; the header has {h.n_layer}")
    experts = {h.n_expert, *h.n_expert_used, h.n_expert_shared, h.n_expert + h.n_expert_shared}
    for match in _EXPERTS.finditer(word.text):
        if case.is_moe and int(match[1]) not in experts:
            yield _claim(word, f"says {match[1]} experts; the header has {h.n_expert}")


def _kinds(case: Case) -> set[int]:
    """How many layers there are of each kind: a comment may count these."""
    assert case.model is not None
    counts: Counter[Hashable] = Counter()
    for layer in case.model.layers:
        counts.update((("mixer", layer.mixer, layer.is_sliding), ("window", layer.is_sliding)))
        counts.update((("ffn", layer.ffn), ("routed", layer.ffn.is_routed)))
    return set(counts.values())


def size(case: Case) -> Iterator[Hit]:
    """A comment's file size that is not the file's."""
    if case.model is None:
        return
    header = case.model.header
    for word in case.comments:
        match = _SIZE.search(word.text)
        if not match or not _FILE.search(word.text) or _OTHER_SIZE.search(word.text):
            continue
        said = float(match[1])
        # GB and GiB are written for each other everywhere, so either reading may be meant.
        ratios = [
            said * unit / size for unit in _GB.values() for size in (header.file_bytes, header.tensor_bytes) if size
        ]
        if all(abs(ratio - 1) > _ROUNDING + 0.5 / max(said, 1) for ratio in ratios):
            real = header.file_bytes / _GB[match[2]]
            yield _claim(word, f"says {match[1]} {match[2]}; the file has {real:.1f} {match[2]}")


def _claim(word: Word, text: str) -> Hit:
    return Hit(message=f"a comment {text}", at=word)


RULES: Final[Mapping[str, CommandRule]] = {
    "comment-architecture": architecture,
    "comment-size": size,
}

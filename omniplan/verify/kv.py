"""How many layers' caches lie on each device, by the bytes of a log, by a prediction, and by what -ot says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from omniplan.domain.footprint import Footprint
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.overrides import first_match
from omniplan.verify.logs.report import BufferKind, Load
from omniplan.verify.pools import pool_of

# The share of a layer by which a count may miss a whole number.
_WHOLE = 0.1


def layers_held(load: Load) -> dict[str, int]:
    """Layers whose KV cache lies on each pool; empty where layers differ in size or the log does not show enough."""
    context = load.contexts[0] if load.contexts else None
    caches = [cache for cache in context.caches if not cache.is_recurrent] if context else []
    sizes: Counter[str] = Counter()
    for device, size in load.sizes(BufferKind.KV).items():
        sizes[pool_of(device)] += size
    n_layer = _count(load, [cache.n_layer for cache in caches])
    total = sum(sizes.values())
    if not n_layer or not total:
        return {}
    shares = {pool: size * n_layer / total for pool, size in sizes.items()}
    if any(abs(share - round(share)) > _WHOLE for share in shares.values()):
        return {}
    return {pool: round(share) for pool, share in shares.items() if round(share)}


def _count(load: Load, stated: Sequence[int | None]) -> int:
    """Layers with a cache: as the only cache states it, else the model's, where nothing says that some have none."""
    if len(stated) == 1 and stated[0]:
        return stated[0]
    if len(stated) > 1 or load.sizes(BufferKind.RECURRENT):
        return 0
    text = load.model.hparams.get("n_layer", "")
    return int(text) if text.isdigit() else 0


def layers_predicted(priced: Footprint) -> dict[str, int]:
    """The same where a prediction puts caches of equal layers; the output layer has none."""
    return dict(Counter(pool_of(name) for name in priced.layers[:-1]))


def layers_pinned(args: Sequence[str], n_layer: int) -> dict[str, int]:
    """Layers whose attention weights -ot names a device for, per device; empty where it names none."""
    try:
        overrides = parse(list(args)).overrides
    except ArgumentError:
        return {}
    names = {f"blk.{il}.attn_norm.weight": il for il in range(n_layer)}
    return dict(Counter(pool_of(item.buffer_type) for item in first_match(overrides, names).values()))


def in_words(layers: Mapping[str, int], order: Sequence[str]) -> str:
    """``31+16`` in the order of ``order``, with the names behind it."""
    names = [name for name in order if name in layers]
    return f"{'+'.join(str(layers[name]) for name in names)} on {' + '.join(names)}"

"""Seconds that devices of other hosts wait for the network: what each micro-batch sends them and gets back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.roles import layer_of
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load.placement import Placement
from omniplan.predict.rates import Rates

# Rows between layers and of a mask without flash attention are f32, a mask with it is f16 (src/llama-graph.cpp:
# build_attn_inp_kq_mask).
_FLOAT, _HALF = 4, 2


def seconds(
    model: Model, placement: Placement, rates: Rates, constants: Mapping[str, float], *, n_tokens: int, depth: int
) -> float:
    """Of one batch of ``n_tokens`` after ``depth`` tokens, nothing of which passes while devices compute.

    A device is sent the mask of its attention once, and rows each time the layers come to it; these go back when they
    leave it, by way of the main host. A split waits for one answer.
    """
    remote = {name: gpu for name, gpu in rates.gpus.items() if gpu.network is not None}
    if not remote:
        return 0.0
    h, total = model.hparams, 0.0
    steps = [*_walk(placement), buffers.CPU]
    for at, (before, after) in enumerate(pairwise(steps)):
        if before == after:
            continue
        # The last thing that comes back is one row of logits.
        size = _FLOAT * (h.n_vocab if at == len(steps) - 2 else n_tokens * h.n_embd)
        total += sum(size / (remote[name].network or 1.0) for name in (before, after) if name in remote)
        total += remote[after].latency + constants["rpc.split"] if after in remote else 0.0
    return total + sum(
        _masks(h, placement, name, n_tokens, depth) / (gpu.network or 1.0) for name, gpu in remote.items()
    )


def _walk(placement: Placement) -> Iterator[str]:
    """The devices in the order in which the rows of a batch come to them, from the embedding to the output."""
    ffn: dict[int, str] = {}
    for name, buffer in placement.weights.buffer_of.items():
        il = layer_of(name)
        if il is not None and ".ffn_down" in name:
            ffn[il] = buffers.CPU if buffers.is_host(buffer) else buffer
    yield buffers.CPU
    for il, device in enumerate(placement.layers):
        yield device
        yield ffn.get(il, device)


def _masks(h: Hparams, placement: Placement, device: str, n_tokens: int, depth: int) -> int:
    """Bytes of the masks that layers of ``device`` look through: all tokens, or those of a window."""
    size = _HALF if placement.context.flash_attn else _FLOAT
    attending = [il for il in _layers(placement, device, h.n_layer) if h.has_kv[il] and not h.is_recr[il]]
    reaches = {min(depth, h.n_swa) if h.is_swa[il] and h.n_swa else depth for il in attending}
    return sum(size * n_tokens * (reach + n_tokens) for reach in reaches)


def _layers(placement: Placement, device: str, n_layer: int) -> Sequence[int]:
    return [il for il in range(n_layer) if placement.cache_device(il) == device]

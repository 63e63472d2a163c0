"""Seconds for a prompt: per micro-batch the larger of streaming CPU weights and computing, plus the rest."""

from __future__ import annotations

from omniplan.domain.model import Model
from omniplan.domain.params import LoadMode, ServerParams
from omniplan.llamacpp import buffers
from omniplan.llamacpp.placement import Placement
from omniplan.predict.rates import Rates
from omniplan.predict.traffic import Traffic
from omniplan.tables.calibration import value

# ggml-cuda.cu:ggml_backend_cuda_device_offload_op: a smaller batch is computed where its weights are.
_OFFLOAD_BATCH = 32


def prompt_terms(
    model: Model, placement: Placement, params: ServerParams, traffic: Traffic, rates: Rates, n_prompt: int
) -> dict[str, float]:
    """Seconds for ``n_prompt`` tokens by cause (``docs/prediction.md``)."""
    if n_prompt == 0:
        return {}
    n_ubatch = min(placement.context.n_ubatch, n_prompt)
    n_batches = -(-n_prompt // n_ubatch)
    compute = _gpu_compute(model, placement, traffic, rates, n_prompt)
    terms = {"GPU compute": compute, "GPU weights": n_batches * _gpu_weights(traffic, rates)}
    if traffic.weights[buffers.CPU]:
        is_offloaded = bool(placement.devices) and params.op_offload and n_ubatch >= _OFFLOAD_BATCH
        if is_offloaded:
            terms["streaming CPU weights"] = n_batches * _stream(placement, params, traffic, rates)
        else:
            terms["CPU compute"] = 2 * traffic.active[buffers.CPU] * n_prompt / rates.cpu_flops
    return {name: seconds for name, seconds in terms.items() if seconds > 0}


def _gpu_compute(model: Model, placement: Placement, traffic: Traffic, rates: Rates, n_prompt: int) -> float:
    """Matrix products on the devices; with op offload the first device also takes the CPU's."""
    seconds = []
    for name in placement.devices:
        active = traffic.active[name]
        if name == placement.devices[0] and placement.context.op_offload:
            active += traffic.active[buffers.CPU]
        flops = 2 * active * n_prompt + _attention(model, placement, name, n_prompt)
        seconds.append(flops / (value("gpu.compute_share") * rates.gpus[name].flops))
    # With pipeline copies the devices work on different micro-batches at the same time.
    is_piped = placement.n_copies > 1 and n_prompt > placement.context.n_ubatch
    return max(seconds, default=0.0) if is_piped else sum(seconds)


def _attention(model: Model, placement: Placement, device: str, n_prompt: int) -> float:
    """Floating-point operations of scores and values over the prompt itself: half the square, twice, twice."""
    h = model.hparams
    total = 0.0
    for il in range(h.n_layer):
        if placement.layers[il] == device and not h.is_recr[il]:
            reach = min(n_prompt, h.n_swa) if h.is_swa[il] and h.n_swa else n_prompt / 2
            width = h.n_head[il] * (h.n_embd_head_k[il] + h.n_embd_head_v[il])
            total += 2 * n_prompt * reach * width
    return total


def _gpu_weights(traffic: Traffic, rates: Rates) -> float:
    """A micro-batch reads every weight once; experts not asked for are left out only by small batches."""
    return sum(
        size / (value("gpu.weights_share") * rates.gpus[name].memory)
        for name, size in traffic.weights.items()
        if name != buffers.CPU
    )


def _stream(placement: Placement, params: ServerParams, traffic: Traffic, rates: Rates) -> float:
    share = "link.pinned_share" if params.load_mode in (LoadMode.NONE, LoadMode.DIO) else "link.pageable_share"
    return traffic.streamed / (value(share) * rates.gpus[placement.devices[0]].link)

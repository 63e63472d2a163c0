"""Bytes of a projector: its weights, and the buffers that b11434 reserves when it warms one up (``clip_init``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from omniplan.domain.footprint import BufferSize
from omniplan.domain.header import Header
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import FlashAttn, ServerParams
from omniplan.errors import UnsupportedModel
from omniplan.llamacpp.build import Build, known
from omniplan.llamacpp.ggml import registry
from omniplan.llamacpp.ggml.allocate import allocate
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import Homes
from omniplan.llamacpp.ggml.splits import schedule
from omniplan.llamacpp.projector import families
from omniplan.llamacpp.projector.encoder import GENERATED, Encoder, encoders
from omniplan.llamacpp.projector.tensors import loaded

_ATTENTION: Final = "FLASH_ATTN_EXT"
_OUTPUT: Final = "mm.input_projection.weight"
_CPU: Final = registry.cpu(())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What decides the bytes of one projector: its device, and what arguments say."""

    device: Device
    flash_attn: FlashAttn
    least_tokens: int
    most_tokens: int
    build: Build

    @classmethod
    def of(cls, machine: Machine, params: ServerParams) -> _Asked:
        """What ``params`` ask for on ``machine``."""
        return cls(
            device=_device(machine, params),
            flash_attn=params.flash_attn,
            least_tokens=params.image_min_tokens,
            most_tokens=params.image_max_tokens,
            build=known(params.build),
        )

    def encoders(self, header: Header) -> tuple[Encoder, ...]:
        """Those of a file, as asked for."""
        return encoders(header, least_tokens=self.least_tokens, most_tokens=self.most_tokens)


def held(model: Model, machine: Machine, params: ServerParams, n_ubatch: int) -> Mapping[str, BufferSize]:
    """Bytes per buffer type that the projector of ``model`` takes once it is loaded; empty without one.

    An image that has to fit into a micro-batch of ``n_ubatch`` tokens is no larger (server-context.cpp: load_model).
    """
    return _held(model, _Asked.of(machine, params), n_ubatch)


def set_aside(model: Model, machine: Machine, params: ServerParams) -> Mapping[str, int]:
    """Bytes per buffer type that ``--fit`` keeps free for it (``mtmd_get_memory_usage``): no padding, no cap."""
    return _set_aside(model, _Asked.of(machine, params))


def unknown(header: Header) -> tuple[str, ...]:
    """Types of projectors in a file whose compute buffer is not known."""
    return tuple(dict.fromkeys(encoder.kind.name for encoder in encoders(header) if not _is_known(encoder)))


def _device(machine: Machine, params: ServerParams) -> Device:
    """The one device that holds and runs a projector: named, the first of ``--device``, the first GPU, or the CPU."""
    name = params.mmproj_device
    if name is None and params.devices is not None:
        name = next(iter(params.devices), None)
    elif name is None:
        # ggml_backend_init_by_type: other hosts' are registered last, and integrated GPUs come after all others.
        ranked = sorted(machine.gpus, key=lambda gpu: (gpu.is_unified, bool(gpu.endpoint)))
        name = next((gpu.name for gpu in ranked), None)
    return registry.device(machine.gpu(name), params.build) if name and params.mmproj_offload else _CPU


@lru_cache(maxsize=16)
def _held(model: Model, asked: _Asked, n_ubatch: int) -> Mapping[str, BufferSize]:
    header = model.companions.projector
    if header is None:
        return {}
    whole = (encoder.max_tokens for encoder in asked.encoders(header) if _is_whole(encoder))
    if max(whole, default=-1) > n_ubatch:
        asked = replace(asked, most_tokens=n_ubatch, least_tokens=min(asked.least_tokens, n_ubatch))
    weights, compute = Counter[str](), Counter[str]()
    for encoder in asked.encoders(header):
        weights[asked.device.buffer] += sum(_weights(encoder, asked.device))
        compute.update(_compute(encoder, asked))
    names = dict.fromkeys((*weights, *compute))
    return {name: BufferSize(model=weights[name], compute=compute[name]) for name in names}


@lru_cache(maxsize=16)
def _set_aside(model: Model, asked: _Asked) -> Mapping[str, int]:
    header = model.companions.projector
    found: Counter[str] = Counter()
    for encoder in asked.encoders(header) if header else ():
        if encoder.modality is not GENERATED:
            found[asked.device.buffer] += sum(tensor.nbytes for tensor in loaded(encoder))
            found.update(_compute(encoder, asked))
    return found


def _is_whole(encoder: Encoder) -> bool:
    """Whether an image has to fit into one micro-batch (``mtmd_decode_use_non_causal``)."""
    output = encoder.header.by_name.get(_OUTPUT)
    width = output.shape[1] if output and len(output.shape) > 1 else 0
    return encoder.kind.non_causal and width not in encoder.kind.causal_widths


def _is_known(encoder: Encoder) -> bool:
    # What makes sound is not warmed up.
    return encoder.modality is GENERATED or encoder.kind.graph in families.FAMILIES


def _weights(encoder: Encoder, device: Device) -> Iterator[int]:
    for tensor in loaded(encoder):
        yield device.memory.size(tensor.type, tensor.shape[0], tensor.nbytes)


def _compute(encoder: Encoder, asked: _Asked) -> Mapping[str, int]:
    """Bytes per buffer type of one encoder's scheduler, whose devices are its own and the CPU."""
    if encoder.modality is GENERATED or not _is_known(encoder):
        return {}
    try:
        sizes, runs_fused = _reserved(encoder, asked, flash_attn=asked.flash_attn is not FlashAttn.OFF)
        if asked.flash_attn is FlashAttn.AUTO and not runs_fused:
            # Buffers that the first try needed stay as large.
            plain, _ = _reserved(encoder, asked, flash_attn=False)
            sizes = {name: max(size, plain[name]) for name, size in sizes.items()}
    except ArithmeticError as error:
        # llama.cpp's own checks abort.
        raise UnsupportedModel(f"{encoder.header.paths[0]}: its sizes make no graph: {error}") from error
    return sizes


def _reserved(encoder: Encoder, asked: _Asked, *, flash_attn: bool) -> tuple[dict[str, int], bool]:
    """What one graph needs, and whether the device runs every flash attention in it (``reserve_compute_meta``)."""
    graph = families.build(encoder, asked.build, flash_attn=flash_attn)
    device = asked.device
    devices = tuple(dict.fromkeys((device, _CPU)))
    homes = Homes(devices=devices, home=lambda _: device.buffer, build=asked.build)
    sizes = allocate(schedule(Prepared(graph.nodes, graph.leafs), homes)).nbytes
    runs = all(device.backend.supports(node) for node in graph.nodes if node.op == _ATTENTION)
    return {held.buffer: size for held, size in zip(devices, sizes, strict=True)}, runs

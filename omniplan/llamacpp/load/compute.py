"""Compute buffers and graph splits of a placement: build both graphs, schedule them, allocate the prompt batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from omniplan.domain.footprint import ComputePart, GraphSplits
from omniplan.domain.model import Model
from omniplan.gguf.model.architectures import row_of
from omniplan.llamacpp.ggml import buffers, registry
from omniplan.llamacpp.ggml.allocate import allocate, bounds
from omniplan.llamacpp.ggml.backend import Backend
from omniplan.llamacpp.ggml.neighbours import backends_of
from omniplan.llamacpp.ggml.parts import parts
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import Homes, assign
from omniplan.llamacpp.ggml.splits import Schedule, cut, optimized, schedule
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.graph.graph import Batch
from omniplan.llamacpp.graph.node import CACHE, EXPERT_BANK, SLOT_MAP, Node
from omniplan.llamacpp.load import capacity
from omniplan.llamacpp.load.context import Context
from omniplan.llamacpp.load.memory import reads_micro_batch
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.weights import OUTPUT, TOKEN_EMBEDDING

# llama_context::graph_get_cb: below this many tokens norms are pinned to their layer's device.
_PIN_BELOW_TOKENS = 32


@dataclass(frozen=True, slots=True)
class _Probe:
    switch: str
    op: str
    n_tokens: int = 1


_FLASH_ATTENTION: Final = _Probe("flash_attn", "FLASH_ATTN_EXT")
# llama-context.cpp:llm_fused_op_*_probe, in this order. b11434 never asks about the gated delta net and the lightning
# indexer (cparams.auto_fgdn and auto_flid are false): those kernels are always used.
_PROBES: Final = (
    _Probe("fused_hc_pre", "DSV4_HC_PRE"),
    _Probe("fused_hc_comb", "DSV4_HC_COMB"),
    _Probe("fused_hc_post", "DSV4_HC_POST"),
)
# Of earlier builds: 16 tokens per sequence.
_DELTA_NET: Final = _Probe("fused_gdn_ch", "GATED_DELTA_NET", 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What the scheduler reserves: bytes per buffer type, their parts, splits, nodes of the prompt batch."""

    nbytes: Mapping[str, int]
    parts: Mapping[str, Mapping[ComputePart, int]]
    splits: GraphSplits
    n_nodes: int


def reserve(model: Model, placement: Placement) -> Reserved:
    """Reserve the graphs of ``model`` as b11434 does (``llama_context::sched_reserve``): buffers grow, never shrink."""
    first, token = optimized(prompt(model, placement)), _token(model, placement)
    allocated = allocate(first)
    nbytes, by_part = _nbytes(first, allocated.nbytes), parts(first, allocated)
    for plan in () if placement.no_alloc else (token, *_again(model, placement)):
        if grown := _grown(plan, nbytes):
            nbytes |= grown
            by_part |= {name: sizes for name, sizes in parts(plan, allocate(plan)).items() if name in grown}
    return Reserved(
        nbytes=nbytes,
        parts=by_part,
        splits=GraphSplits(prefill=len(first.splits), decode=len(token.splits)),
        n_nodes=first.graph.n_nodes,
    )


def reserved_bytes(model: Model, placement: Placement) -> Mapping[str, int]:
    """Bytes per buffer type alone; where sizes alone are taken, without a look at the graph of one token."""
    first = optimized(prompt(model, placement))
    nbytes = _nbytes(first, allocate(first).nbytes)
    for plan in () if placement.no_alloc else (_token(model, placement), *_again(model, placement)):
        nbytes |= _grown(plan, nbytes)
    return nbytes


def prompt(model: Model, placement: Placement) -> Schedule:
    """The prompt batch, which is the graph that needs the most, cut into splits that no back end has seen yet."""
    batch = Batch.prefill(placement.context)
    graph = _prepared(model, placement.context, batch)
    capacity.check(model, placement.context, placement.weights.n_tensors, len(graph.tensors))
    # Sizes alone are taken with ggml_backend_sched_reserve_size, which forgets what the graph has pinned.
    return cut(graph, homes(model, placement, batch.n_tokens, pins=not placement.no_alloc))


def _grown(plan: Schedule, nbytes: Mapping[str, int]) -> dict[str, int]:
    """Bytes of the buffers that a later graph makes larger: mostly none, which is known without allocating."""
    if all(bound <= nbytes[name] for name, bound in _nbytes(plan, bounds(plan)).items()):
        return {}
    return {name: size for name, size in _nbytes(plan, allocate(plan).nbytes).items() if size > nbytes[name]}


def _token(model: Model, placement: Placement) -> Schedule:
    """One token of every sequence."""
    batch = Batch.decode(placement.context)
    return schedule(_prepared(model, placement.context, batch), homes(model, placement, batch.n_tokens))


def _again(model: Model, placement: Placement) -> Iterator[Schedule]:
    """The prompt batch that a load reserves last, where it is not the first one again."""
    context = placement.context
    if row_of(model).reserves_one_sequence and context.n_seq_max > 1:
        batch = Batch(n_tokens=context.n_tokens, n_seqs=1, n_outputs=context.n_outputs)
        yield schedule(_prepared(model, context, batch), homes(model, placement, context.n_tokens))


def _nbytes(plan: Schedule, sizes: Sequence[int]) -> dict[str, int]:
    held = zip(plan.homes.devices, sizes, strict=True)
    return {part.buffer: size for device, size in held for part in device.parts}


def attention_follows_layers(model: Model, placement: Placement) -> bool:
    """Whether every flash attention runs on its layer's device; ``-fa auto`` turns it off otherwise."""
    return _follows_layers(model, placement, _FLASH_ATTENTION)


def resolve_fused(model: Model, placement: Placement) -> Placement:
    """The placement without the fused kernels that would run away from their layer's device.

    Flash attention is left alone: only ``-fa auto`` asks. Upstream: ``llama_context::resolve_fused_ops``.
    """
    used = set(_prepared(model, placement.context, Batch.decode(placement.context)).op)
    for probe in _PROBES:
        if probe.op in used and not _follows_layers(model, placement, probe):
            placement = replace(placement, context=replace(placement.context, **{probe.switch: False}))  # type: ignore[arg-type]
    return placement


def has_delta_net(model: Model, placement: Placement) -> bool:
    """Whether prompts run the gated delta rule, if any, as one operation: the only way that is restated here."""
    context = placement.context
    if not context.build.rules.asks_about_delta_nets:
        return True
    used = _DELTA_NET.op in _prepared(model, context, Batch.decode(context)).op
    return not used or _follows_layers(model, placement, _DELTA_NET)


def _follows_layers(model: Model, placement: Placement, probe: _Probe) -> bool:
    """It looks at the device of the layer even when the cache is not offloaded."""
    if placement.is_offloaded and all(model.hparams.has_kv):
        # With every layer and its own cache on a GPU only a missing kernel can send the operation elsewhere.
        backends = frozenset(gpu.backend for gpu in placement.gpus)
        return _has_kernels(model, placement.context, probe, backends)
    n_seqs = placement.context.n_seq_max
    n_tokens = probe.n_tokens * n_seqs
    graph = _prepared(model, placement.context, Batch(n_tokens=n_tokens, n_seqs=n_seqs, n_outputs=n_tokens))
    index = {device: i for i, device in enumerate(placement.devices)}
    cpu = len(placement.devices)
    # The layer is the one that computes, also where it reads the cache of another. Attention that an architecture
    # builds by itself (minimax-m3's sparse layers) belongs to no layer: llama.cpp never asks about it.
    asked = [i for i in graph.work if graph.op[i] == probe.op and graph.tensors[i].il >= 0]
    wanted = [index.get(placement.layers[graph.tensors[i].il], cpu) for i in asked]
    known = homes(model, placement, n_tokens)
    if (told := backends_of(graph, known, asked)) is not None:
        return told == wanted
    backend = assign(graph, known)
    return [backend[i] for i in asked] == wanted


@lru_cache(maxsize=16)
def _has_kernels(model: Model, context: Context, probe: _Probe, backends: frozenset[Backend]) -> bool:
    graph = _prepared(model, context, Batch.decode(context))
    asked = [i for i, op in enumerate(graph.op[: graph.n_nodes]) if op == probe.op]
    return all(graph.supported(backend)[i] for backend in backends for i in asked)


def homes(model: Model, placement: Placement, n_tokens: int, *, pins: bool = True) -> Homes:
    """The placement in the scheduler's words, with the nodes that the graph pins or, without ``pins``, with none."""
    names = placement.devices
    index = {device: i for i, device in enumerate(names)}
    buffer_of = placement.weights.buffer_of
    n_layer_all = model.hparams.n_layer_all

    def home(node: Node) -> str:
        if node.name.startswith("blk."):
            return buffer_of[node.name]
        if node.name.startswith(SLOT_MAP):
            return buffers.CPU
        if node.name.startswith(EXPERT_BANK):
            return placement.layers[node.il]
        if node.home == CACHE:
            return placement.cache_device(node.il)
        if node.name == TOKEN_EMBEDDING and node.il == n_layer_all:
            return buffer_of[OUTPUT]
        if node.name.startswith("rope_f") and node.il >= 0:
            return placement.weights.factors.get(node.il, buffers.CPU)
        return buffer_of[node.name]

    layers = [index.get(device, len(names)) for device in placement.layers]
    return Homes(
        devices=(*placement.gpus, registry.cpu(placement.gpus)),
        home=home,
        build=placement.context.build,
        layers=layers,
        pins_norms=pins and (placement.layers[0] != buffers.CPU or n_tokens < _PIN_BELOW_TOKENS),
        pins_nodes=pins,
        op_offload=placement.context.op_offload,
        offload_min_batch=placement.context.offload_min_batch,
        n_copies=placement.n_copies,
    )


def _prepared(model: Model, context: Context, batch: Batch) -> Prepared:
    # What of a context changes where a graph runs, or which batches it is built for, and not the graph.
    shape = replace(context, op_offload=True, offload_min_batch=None, n_batch=0, n_outputs_max=0)
    if not reads_micro_batch(model):
        shape = replace(shape, n_ubatch=0)
    return _built(model, shape, batch)


@lru_cache(maxsize=16)
def _built(model: Model, context: Context, batch: Batch) -> Prepared:
    graph = families.build(model, context, batch)
    return Prepared(graph.nodes, graph.leafs, graph.on_cpu)

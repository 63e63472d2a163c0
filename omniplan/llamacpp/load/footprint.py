"""The price of given arguments: weights, caches and compute buffers per buffer type, added up as b11434 does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import RAM, BufferSize, ContextKind, Footprint, Pool, Unpriced, sum_of
from omniplan.domain.hosts import joined
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.load import checkpoints, compute, margin
from omniplan.llamacpp.load.beside import beside
from omniplan.llamacpp.load.context import Context
from omniplan.llamacpp.load.place import place, sizes_of
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.process import process
from omniplan.llamacpp.load.reading import as_read
from omniplan.llamacpp.load.unpriced import unpriced


def footprint(model: Model, machine: Machine, params: ServerParams, *, no_alloc: bool = False) -> Footprint:
    """Price ``params`` for ``model`` on ``machine``; raises ArgumentError for what llama-server would refuse.

    ``no_alloc``: as llama.cpp counts when it does not load (``llama_model_params.no_alloc``), which ``--fit`` goes by.
    """
    return placed(model, machine, params, no_alloc=no_alloc)[1]


def placed(
    model: Model, machine: Machine, params: ServerParams, *, no_alloc: bool = False
) -> tuple[Placement, Footprint]:
    """The same with the placement behind it."""
    machine, model = joined(machine, params.rpc), as_read(model, params.build)
    placement = place(model, machine, params, no_alloc=no_alloc)
    return placement, price(model, machine, params, placement)


def price(model: Model, machine: Machine, params: ServerParams, placement: Placement) -> Footprint:
    """Bytes of a resolved placement and of what ``params`` load beside it, and whether each pool holds its share."""
    context, machine = placement.context, joined(machine, params.rpc)
    reserved = compute.reserve(model, placement)
    main = sizes_of(model, placement, reserved.nbytes)
    contexts = {ContextKind.MAIN: main, **beside(model, machine, params, placement)}
    sizes = sum_of(contexts.values())
    held = tuple(pools(machine, sizes))
    build = margin.priced_build(
        params.build,
        sizes,
        lambda other: _buffers(model, machine, replace(params, build=other), no_alloc=placement.no_alloc),
    )
    gpus = tuple(machine.gpu(name) for name in placement.members)
    saved = checkpoints.largest(model, context, params)
    return Footprint(
        build=build,
        layers=placement.layers,
        contexts=contexts,
        buffers=sizes,
        graph_splits=reserved.splits,
        pools=held,
        n_ctx=context.n_ctx,
        n_ctx_seq=context.n_ctx_seq,
        n_seq_max=context.n_seq_max,
        n_ubatch=context.n_ubatch,
        flash_attn=context.flash_attn,
        n_nodes=reserved.n_nodes,
        sched_copies=placement.n_copies,
        compute_parts=reserved.parts,
        assumptions=(*params.remarks, *margin.assumptions(build), *_assumptions(model, context)),
        is_graph_known=families.is_known(model.arch, context.build),
        unpriced=(
            *margin.unpriced_build(params.build),
            *margin.unpriced_margin(build, held),
            *unpriced(model, machine, params, gpus),
            *_unpriced_kernels(model, placement),
        ),
        process=process(machine, params, contexts),
        output_buffer=_output_buffer(model, context),
        checkpoint=saved,
        n_checkpoints=checkpoints.most(params) if saved else 0,
    )


def _unpriced_kernels(model: Model, placement: Placement) -> Iterator[Unpriced]:
    if not compute.has_delta_net(model, placement):
        yield Unpriced(
            subject="--n-gpu-layers",
            what="prompts through recurrent layers on the CPU without their fused kernel, as this build has it",
            source="src/models/delta-net-base.cpp: build_delta_net_chunking",
        )


def _buffers(model: Model, machine: Machine, params: ServerParams, *, no_alloc: bool) -> Mapping[str, BufferSize]:
    """Bytes alone, of a build that may itself stand between two known ones."""
    model = as_read(model, params.build)
    placement = place(model, machine, params, no_alloc=no_alloc)
    main = sizes_of(model, placement, compute.reserved_bytes(model, placement))
    return sum_of((main, *beside(model, machine, params, placement).values()))


def _output_buffer(model: Model, context: Context) -> int:
    """Rows of logits in RAM, and of embeddings for a whole batch (``llama_context::output_reserve``)."""
    if context.pooling is None:
        return 4 * context.n_seq_max * model.hparams.n_vocab
    return 4 * max(context.n_batch, context.n_seq_max) * (model.hparams.n_vocab + model.hparams.n_embd)


def _assumptions(model: Model, context: Context) -> Iterator[Assumption]:
    yield from model.assumptions
    if not families.is_known(model.arch, context.build):
        yield Assumption(
            subject=f"graph of {model.arch}",
            statement="compute buffers and splits are those of a llama decoder with these tensors, not checked",
            source="no graph of this architecture in omniplan.llamacpp.graph.families",
        )


def pools(machine: Machine, sizes: Mapping[str, BufferSize]) -> Iterator[Pool]:
    """What each pool of ``machine`` has free, and what buffers of these sizes take of it."""
    held = {gpu.name: sizes[gpu.name].total if gpu.name in sizes else 0 for gpu in machine.gpus}
    for gpu in machine.gpus:
        yield Pool(name=gpu.name, free=gpu.room, used=held[gpu.name], members=(gpu.name,), endpoint=gpu.endpoint)
    drawing = [gpu.name for gpu in machine.gpus if gpu.draws_on_ram]
    used = host_bytes(sizes) + sum(held[name] for name in drawing)
    yield Pool(name=RAM, free=machine.ram, used=used, members=(buffers.CPU, *drawing))


def host_bytes(sizes: Mapping[str, BufferSize]) -> int:
    """Bytes in RAM, pinned or not."""
    return sum(size.total for name, size in sizes.items() if buffers.is_host(name))

"""Loads a model, mostly without its bytes, makes a context on simulated GPUs, and reads what llama.cpp counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from omniplan.certify.adapters import adapt, adapter_sizes
from omniplan.certify.devices import SimulatedBackend
from omniplan.certify.job import Asked, Job
from omniplan.certify.parameters import Structs
from omniplan.certify.projectors import usage
from omniplan.certify.remote import RemoteDevices
from omniplan.certify.values import Tally
from omniplan.domain.footprint import BufferSize, ContextKind, GraphSplits
from omniplan.errors import OmniplanError
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml.meta import NAME as META

_LAYER: Final = re.compile(r"layer +\d+ assigned to device ([^ ,]+)")
# "splits = 4 / 2"; before b11095 "graph splits = 4 (with bs=512), 2 (with bs=1)".
_SPLITS: Final = re.compile(r"splits = (\d+)(?:(?: / | \(with bs=\d+\), )(\d+))?")
_COPIES: Final = re.compile(r"sched copies = (\d+)")
_ERROR_LEVEL: Final = 4  # ggml.h: GGML_LOG_LEVEL_ERROR


class Refused(OmniplanError):
    """llama.cpp itself does not take the model or the arguments; carries the last line it logged as an error."""


def measure(ffi: Any, lib: Any, job: Job) -> Tally:
    """What llama.cpp counts for a job: bytes per buffer type, layers, splits, copies.

    Devices are registered for good, so one process measures one machine. Raises Refused.
    """
    with listening(ffi, lib) as log:
        lib.llama_backend_init()
        backend = SimulatedBackend(ffi, lib, job.gpus, no_alloc=job.no_alloc, build=job.build)
        remote = RemoteDevices(ffi, lib, job.rpc)
        backend.put_before(remote.devices, remote.types)
        structs = Structs(ffi, lib, backend, repack=job.repack)
        main = start(structs, job.main, log, no_alloc=job.no_alloc)
        adapt(structs, job, main.loaded, main.context)
        found = _read(ffi, lib, main, "".join(text for _, text in log))
        if sizes := adapter_sizes("".join(text for _, text in log)):
            found = replace(found, beside={ContextKind.ADAPTERS: sizes})
        if job.beside:
            sizes = _breakdown(ffi, lib, start(structs, job.beside, log, main, no_alloc=job.no_alloc))
            if not job.beside.path:
                sizes = {name: replace(size, model=0) for name, size in sizes.items()}
            found = replace(found, beside={**found.beside, job.beside_kind: sizes})
        if job.projector:
            sizes = usage(
                structs, parse(job.main.args, env=job.main.env), job.projector, lib.llama_n_ubatch(main.context)
            )
            if not sizes:
                raise Refused(_reason(log))
            found = replace(found, beside={**found.beside, ContextKind.PROJECTOR: sizes})
    return _by_device(found, remote.owners)


@contextmanager
def listening(ffi: Any, lib: Any) -> Iterator[list[tuple[int, str]]]:
    """The lines that the library logs meanwhile, with their levels."""
    log: list[tuple[int, str]] = []
    listener = ffi.callback(
        "void (int, const char *, void *)", lambda level, text, _: log.append((level, _string(ffi, text)))
    )
    _log(ffi, lib, listener)
    yield log
    _log(ffi, lib, ffi.NULL)


def _by_device(found: Tally, owners: Mapping[str, str]) -> Tally:
    """The same with buffers of other hosts by the names of their devices."""

    def renamed(sizes: Mapping[str, BufferSize]) -> Mapping[str, BufferSize]:
        return {owners.get(name, name): size for name, size in sizes.items()}

    beside = {kind: renamed(sizes) for kind, sizes in found.beside.items()}
    return replace(found, buffers=renamed(found.buffers), beside=beside)


def _log(ffi: Any, lib: Any, listener: Any) -> None:
    lib.llama_log_set(listener, ffi.NULL)
    # Not every library comes with the multimodal one.
    if hasattr(lib, "mtmd_log_set"):
        lib.mtmd_log_set(listener, ffi.NULL)


@dataclass(frozen=True, slots=True)
class Opened:
    """A model and its context, with the bytes by GPU that loading the one and making the other took."""

    loaded: Any
    context: Any
    weights: Mapping[str, int]
    rest: Mapping[str, int]


def start(
    structs: Structs, asked: Asked, log: Sequence[tuple[int, str]], main: Opened | None = None, *, no_alloc: bool
) -> Opened:
    """Model and context of ``asked``; of the ``main`` one's model where it names no file."""
    ffi, lib, held = structs.ffi, structs.lib, structs.backend.held
    params = parse(asked.args, env=asked.env)
    before = Counter(held)
    if asked.path:
        loaded = lib.llama_model_load_from_file(asked.path.encode(), structs.model(params, no_alloc=no_alloc))
    else:
        loaded = main.loaded if main else ffi.NULL
    between = Counter(held)
    wanted = structs.context(params, asked, main.context if main else ffi.NULL)
    context = lib.llama_init_from_model(loaded, wanted) if loaded else ffi.NULL
    if not context:
        raise Refused(_reason(log))
    return Opened(loaded, context, weights=between - before, rest=held - between)


def _string(ffi: Any, text: Any) -> str:
    return str(ffi.string(text).decode(errors="replace"))


def _reason(log: Sequence[tuple[int, str]]) -> str:
    lines = [text.strip() for level, text in log if level == _ERROR_LEVEL and text.strip()]
    telling = [line for line in lines if "failed to" not in line and "cannot be NULL" not in line]
    return (telling or lines or ["llama.cpp gave no reason"])[-1]


def _read(ffi: Any, lib: Any, started: Opened, log: str) -> Tally:
    graph, copies = _SPLITS.findall(log)[-1], _COPIES.findall(log)[-1]
    prefill, decode = graph
    return Tally(
        layers=tuple(_LAYER.findall(log)),
        buffers=dict(_breakdown(ffi, lib, started)),
        graph_splits=GraphSplits(prefill=int(prefill), decode=int(decode or prefill)),
        sched_copies=int(copies),
        n_ctx=lib.llama_n_ctx(started.context),
    )


def _breakdown(ffi: Any, lib: Any, started: Opened) -> Mapping[str, BufferSize]:
    """The map of ``llama_get_memory_breakdown``, by buffer type's name.

    Of GPUs that act as one it tells the largest; what each holds is what it was asked for.
    """
    found: dict[str, BufferSize] = {}
    for node in _walk(lib._Z26llama_get_memory_breakdownPK13llama_context(started.context).root):
        name = _string(ffi, lib.ggml_backend_buft_name(node.buft))
        if name != META:
            found[name] = BufferSize(model=node.model, context=node.context, compute=node.compute)
            continue
        for gpu in dict.fromkeys((*started.weights, *started.rest)):
            model, rest = started.weights.get(gpu, 0), started.rest.get(gpu, 0)
            found[gpu] = BufferSize(model=model, context=rest - node.compute, compute=node.compute)
    return found


def _walk(node: Any) -> Iterator[Any]:
    if node:
        yield from _walk(node.left)
        yield node
        yield from _walk(node.right)

"""What a command asks for that no figure holds yet, so that whether it fits is not known (``data/unpriced.toml``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Annotated, Final

from omniplan.documents.column import Column
from omniplan.documents.source import read_table
from omniplan.domain.footprint import Unpriced
from omniplan.domain.hosts import undescribed
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.gguf.adapter import EMBEDDING, pairs
from omniplan.llamacpp.build import Build, known
from omniplan.llamacpp.flags.forks import forks
from omniplan.llamacpp.flags.refusals import later_types
from omniplan.llamacpp.ggml.registry import BACKENDS, backend_name
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.load import expert_cache
from omniplan.llamacpp.load.second import is_known
from omniplan.llamacpp.load.speculation import second, settled
from omniplan.llamacpp.projector import memory as projector

_FILE: Final = "unpriced.toml"
ARCHITECTURE: Final = "general.architecture"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedRow:
    """One kind, as the head of the table explains it; ``companion`` is a field of Companions, ``build`` of Build."""

    subject: Annotated[str, Column(level=1)]
    what: str
    source: str
    param: str = ""
    values: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    only_adds: bool = True
    companion: str = ""
    build: str = ""

    def is_priced(self, model: Model, build: Build) -> bool:
        """Whether the file it needs has been read, or ``build`` is one whose bytes of it are known."""
        facts = ((model.companions, self.companion), (build, self.build))
        return any(getattr(holder, name) for holder, name in facts if name)

    def is_asked(self, params: ServerParams) -> bool:
        """Whether ``params`` bring it in."""
        said = attrgetter(self.param)(params) if self.param else None
        return (said in self.values if self.values else bool(said)) or any(
            name in self.flags for name, _ in params.extra
        )


@cache
def rows() -> Mapping[str, UnpricedRow]:
    """Every kind, by the flag that is shown."""
    return read_table(_FILE, Mapping[str, UnpricedRow])  # type: ignore[type-abstract]


def unpriced(model: Model, machine: Machine, params: ServerParams, gpus: Sequence[Gpu]) -> Iterator[Unpriced]:
    """Everything that ``params`` bring in, or the ``gpus`` of ``machine`` in use are, and that is not priced."""
    for row in rows().values():
        if row.is_asked(params) and not row.is_priced(model, known(params.build)):
            yield Unpriced(subject=row.subject, what=row.what, source=row.source, only_adds=row.only_adds)
    if params.fork:
        fork = forks()[params.fork]
        yield Unpriced(subject=fork.name, what=fork.unpriced, source=fork.source, only_adds=False, keeps_weights=True)
    yield from _unpriced_graph(model)
    yield from _unpriced_projector(model)
    if params.adapters and any(EMBEDDING in pairs(header) for header in model.companions.adapters):
        yield Unpriced(
            subject="--lora",
            what="where looking up an adapter's embeddings runs",
            source="src/llama-graph.cpp: build_inp_embd",
        )
    yield from _unpriced_hosts(machine, params, gpus)
    keys = [item.key for item in params.override_kv if item.key.startswith((f"{model.arch}.", "general."))]
    if keys:
        yield Unpriced(
            subject="--override-kv",
            what=f"{', '.join(keys)}, read as the file has it",
            source="src/llama-model-loader.cpp: get_key",
            only_adds=False,
        )
    if expert_cache.is_asked(params) and len(gpus) > 1 and not any(params.tensor_split):
        yield Unpriced(
            subject=expert_cache.FLAG,
            what="how GPUs share it without -ts: by what they have free after the load, here before it",
            source="src/llama-moe-cache.cpp of b11549",
            only_adds=False,
        )
    asked = second(model, settled(model, params), model.hparams.n_ctx_train)
    if asked and not is_known(asked):
        layers = "nextn layers" if asked.is_mtp else "a draft"
        yield Unpriced(
            subject="--spec-type" if asked.is_mtp else "--spec-draft-model",
            what=f"the cache and compute buffer of {layers} of {asked.model.arch}",
            source="no such graph in omniplan.llamacpp.graph.families",
        )
    yield from unpriced_devices(gpus)


def _unpriced_hosts(machine: Machine, params: ServerParams, gpus: Sequence[Gpu]) -> Iterator[Unpriced]:
    """Addresses of rpc-servers that ``machine`` knows nothing of, and what is not known of those that it knows."""
    if others := undescribed(machine, params.rpc):
        yield Unpriced(
            subject="--rpc",
            what=f"the devices of {', '.join(others)}, which no [[hosts]] of the machine describes",
            source="ggml/src/ggml-rpc/ggml-rpc.cpp",
            only_adds=False,
        )
    if params.split_mode is SplitMode.TENSOR and any(gpu.endpoint for gpu in gpus):
        yield Unpriced(
            subject="--split-mode",
            what="tensors divided over devices of several hosts",
            source="ggml/src/ggml-backend-meta.cpp",
            only_adds=False,
        )


def _unpriced_graph(model: Model) -> Iterator[Unpriced]:
    """Everything beyond the weights of an architecture that nobody has restated, and of types without known kernels."""
    if kinds := later_types(model):
        yield Unpriced(
            subject="tensor types",
            what=f"which devices compute with {' and '.join(sorted(kinds))}",
            source="ggml/include/ggml.h of b12211",
            only_adds=False,
            keeps_weights=True,
        )
    if not families.is_known(model.arch):
        yield Unpriced(
            subject=ARCHITECTURE,
            what=f"the caches and compute buffers of {model.arch}, here those of a llama decoder with its tensors",
            source="omniplan.llamacpp.graph.families",
            only_adds=False,
        )


def _unpriced_projector(model: Model) -> Iterator[Unpriced]:
    """The projectors of a file at hand whose weights are priced, but whose graph is not restated."""
    header = model.companions.projector
    for name in projector.unknown(header) if header else ():
        yield Unpriced(
            subject="--mmproj",
            what=f"the compute buffer of a projector of type {name}",
            source="omniplan.llamacpp.projector.families",
        )


def unpriced_devices(gpus: Sequence[Gpu]) -> Iterator[Unpriced]:
    """Those of ``gpus`` whose back end is not priced, back end by back end."""
    names: dict[str, list[str]] = {}
    for gpu in gpus:
        names.setdefault(backend_name(gpu), []).append(gpu.name)
    for backend, devices in names.items():
        if backend not in BACKENDS:
            yield Unpriced(
                subject=", ".join(devices),
                what=f"what the back end {backend} does otherwise than CUDA",
                source="omniplan.llamacpp.ggml.registry",
                only_adds=False,
                keeps_weights=True,
            )

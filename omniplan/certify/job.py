"""What a pricing process is asked and what it answers, as JSON on its standard input and output."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from omniplan.certify.library import BUILD, Library
from omniplan.certify.values import Tally
from omniplan.documents.record import plain, read
from omniplan.domain.footprint import ContextKind
from omniplan.domain.header import Header
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.llamacpp.build import known
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.write import write
from omniplan.llamacpp.ggml.registry import backend_name, capability, is_integrated
from omniplan.llamacpp.load.context import resolve
from omniplan.llamacpp.load.speculation import SecondContext, second, settled

# The vocabulary of headers made for tests, which older builds do not know (llama-vocab.cpp of b11053), and one that
# every build knows; no byte depends on it.
_TESTED: Final = "test"
_NO_VOCABULARY: Final = ("--override-kv", "tokenizer.ggml.model=str:no_vocab")
# The file to load for a header: its own, or a sparse stand-in.
PathOf = Callable[[Header], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One GPU of a back end to simulate: bytes ``free`` and ``total``, ``capability`` 890 for sm_89."""

    name: str
    description: str
    free: int
    total: int
    capability: int
    backend: str = "cuda"
    is_unified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One context: the model file at ``path``, llama-server's ``args`` without ``-m``, and what it would make of them.

    ``n_ctx`` is the context to ask for, ``n_outputs_max`` the rows of logits, ``n_rs_seq`` the recurrent states kept
    beside the last. ``is_mtp``: it runs nextn layers. Without a ``path`` it is of the main context's model.
    """

    path: str
    args: tuple[str, ...]
    n_ctx: int
    n_outputs_max: int
    n_rs_seq: int = 0
    is_mtp: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One pricing on a machine's GPUs: the main context, and the one of ``beside_kind`` that drafts for it, if any.

    ``adapters`` are the paths of those that its arguments name, if they are at hand.
    ``rpc`` are the addresses of rpc-servers whose devices stand before ``gpus``.
    ``projector`` is the path of the file that the main context's arguments name, if it is at hand.
    ``no_alloc``: measured as ``--fit`` does, without loading. ``library`` is who is asked, the pinned one for None.
    ``repack``: weights on the CPU are laid out anew as the processor of this host wants them.
    """

    gpus: tuple[Simulated, ...]
    main: Asked
    beside: Asked | None = None
    beside_kind: ContextKind = ContextKind.DRAFT
    projector: str = ""
    adapters: tuple[str, ...] = ()
    rpc: tuple[str, ...] = ()
    no_alloc: bool = True
    library: Library | None = None
    repack: bool = False

    @property
    def build(self) -> int:
        """The build whose command line and rules hold."""
        return self.library.build if self.library else BUILD

    @classmethod
    def of(
        cls,
        path_of: PathOf,
        model: Model,
        machine: Machine,
        args: tuple[str, ...],
        env: Mapping[str, str],
        *,
        no_alloc: bool = True,
        library: Library | None = None,
        repack: bool = False,
    ) -> Job:
        """The job of pricing ``model``; every header's bytes or sparse stand-in are where ``path_of`` says."""
        given = parse(args, env=env, build=known(library.build if library else BUILD).number)
        params = settled(model, given)
        kinds = () if params == given else ("--spec-type", ",".join(params.spec_types))
        words = _NO_VOCABULARY if model.header.metadata.get("tokenizer.ggml.model") == _TESTED else ()
        context = resolve(model, params, flash_attn=True)
        drafts = second(model, params, context.n_ctx)
        # common/fit.cpp gives every stream the whole training context when -c is left out.
        streams = context.n_stream if params.is_fitted else 1
        gpus = (
            Simulated(
                name=gpu.name,
                description=gpu.description,
                free=gpu.free,
                total=gpu.total,
                capability=capability(gpu.compute_capability),
                backend=backend_name(gpu),
                is_unified=is_integrated(gpu),
            )
            for gpu in machine.gpus
            if not gpu.endpoint
        )
        return cls(
            gpus=tuple(gpus),
            main=Asked(
                path=path_of(model.header),
                args=(*args, *kinds, *words),
                n_ctx=params.n_ctx_asked or model.hparams.n_ctx_train * streams,
                n_outputs_max=context.n_outputs_max,
                n_rs_seq=params.n_rs_seq,
                env=env,
            ),
            beside=_second(drafts, path_of) if drafts else None,
            beside_kind=drafts.kind if drafts else ContextKind.DRAFT,
            projector=path_of(projector) if (projector := model.companions.projector) else "",
            adapters=tuple(map(path_of, model.companions.adapters)),
            rpc=params.rpc,
            no_alloc=no_alloc,
            library=library,
            repack=repack,
        )

    def to_json(self) -> str:
        """The job as text."""
        return json.dumps(plain(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that ``to_json`` wrote."""
        return read(cls, json.loads(text))


def _second(drafts: SecondContext, path_of: PathOf) -> Asked:
    return Asked(
        path=path_of(drafts.model.header) if drafts.kind is ContextKind.DRAFT else "",
        args=write(drafts.params),
        n_ctx=drafts.params.n_ctx,
        n_outputs_max=resolve(drafts.model, drafts.params, flash_attn=True).n_outputs_max,
        is_mtp=drafts.is_mtp,
    )


def write_tally(tally: Tally) -> str:
    """A tally as text."""
    return json.dumps(plain(tally))


def read_tally(text: str) -> Tally:
    """The tally that ``write_tally`` wrote."""
    return read(Tally, json.loads(text))

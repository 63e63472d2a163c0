"""What a pricing process is asked and what it answers, as JSON on its standard input and output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from omniplan.certify.values import Tally
from omniplan.domain.footprint import BufferSize, GraphSplits
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml.registry import capability
from omniplan.llamacpp.load.context import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One GPU to simulate: bytes ``free`` and ``total``, ``capability`` 890 for sm_89."""

    name: str
    description: str
    free: int
    total: int
    capability: int
    is_unified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One pricing: the file at ``path``, llama-server's ``args`` without ``-m``, the machine's GPUs.

    ``n_ctx`` is the context to ask for and ``n_outputs_max`` the rows of logits, as llama-server would set them.
    """

    path: str
    gpus: tuple[Simulated, ...]
    args: tuple[str, ...]
    n_ctx: int
    n_outputs_max: int
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str, model: Model, machine: Machine, args: tuple[str, ...], env: Mapping[str, str]) -> Job:
        """The job of pricing ``model``, whose bytes or sparse stand-in are at ``path``."""
        params = parse(args, env=env)
        context = resolve(model.hparams, params, flash_attn=True)
        # common/fit.cpp gives every stream the whole training context when -c is left out.
        streams = context.n_stream if params.fit else 1
        gpus = (
            Simulated(
                name=gpu.name,
                description=gpu.description,
                free=gpu.free,
                total=gpu.total,
                capability=capability(gpu.compute_capability),
                is_unified=gpu.is_unified,
            )
            for gpu in machine.gpus
        )
        return cls(
            path=path,
            gpus=tuple(gpus),
            args=args,
            n_ctx=params.n_ctx_asked or model.hparams.n_ctx_train * streams,
            n_outputs_max=context.n_outputs_max,
            env=env,
        )

    def to_json(self) -> str:
        """The job as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that ``to_json`` wrote."""
        raw = json.loads(text)
        gpus = tuple(Simulated(**gpu) for gpu in raw.pop("gpus"))
        return cls(gpus=gpus, args=tuple(raw.pop("args")), **raw)


def write_tally(tally: Tally) -> str:
    """A tally as text."""
    return json.dumps(asdict(tally))


def read_tally(text: str) -> Tally:
    """The tally that ``write_tally`` wrote."""
    raw = json.loads(text)
    splits = raw.pop("graph_splits")
    return Tally(
        buffers={name: BufferSize(**size) for name, size in raw.pop("buffers").items()},
        layers=tuple(raw.pop("layers")),
        graph_splits=splits and GraphSplits(**splits),
        **raw,
    )

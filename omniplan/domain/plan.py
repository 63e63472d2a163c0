"""A plan: the arguments, the bytes they take, and why; everything needed to explain it on another machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.record import Record
from omniplan.domain.evidence import Assumption, Reason
from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Margin
from omniplan.domain.lever import Lever
from omniplan.domain.machine import Machine
from omniplan.domain.prediction import Prediction
from omniplan.domain.request import Request

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a plan remembers of its model: identity and size in bytes, not the header."""

    path: str
    name: str
    architecture: str
    n_layer: int
    n_layer_nextn: int
    n_expert: int
    n_expert_used: int
    n_ctx_train: int
    tensor_bytes: int
    header_only: bool

    @property
    def title(self) -> str:
        """What people call it: its own name, else its architecture."""
        return self.name or self.architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the search settled beside the layout.

    ``n_ctx`` is the total context in tokens, ``op_offload`` whether a prompt's share of weights in RAM is computed on a
    GPU, and that from ``offload_min_batch`` tokens on, None for as many as its back end says; ``head_on_cpu`` whether
    the output matrix stays in RAM. The model's heads draft ``mtp`` tokens at a time, and experts in RAM have
    ``moe_cache`` MiB of cache on the GPUs.
    """

    n_ctx: int
    n_ubatch: int
    cache_type_k: str
    cache_type_v: str
    op_offload: bool = True
    offload_min_batch: int | None = None
    head_on_cpu: bool = False
    mtp: int = 0
    moe_cache: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What one would do without a planner, for the same request.

    ``args`` pin it, without ``-m``. ``fits`` says whether it keeps the headroom that the plan keeps, ``loads`` whether
    the pools hold it at all, ``is_allowed`` whether it keeps the pins and bounds that were asked for; ``prediction``
    takes for granted that it runs.
    """

    args: tuple[str, ...]
    fits: bool
    loads: bool
    prediction: Prediction
    is_allowed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A command that does as well as the plan: ``args`` leave the placement to ``--fit``, ``why`` says why not to mind.

    ``chosen`` are the arguments that pin what --fit then chooses; footprint, margins and prediction are of these.
    """

    args: tuple[str, ...]
    chosen: tuple[str, ...]
    footprint: Footprint
    margins: tuple[Margin, ...]
    prediction: Prediction
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Record):
    """A placement with its price, its predicted speed and its reasons.

    ``baselines`` are by name: "fit" (what --fit would choose), "fit, plan's settings" (the same with the plan's
    headroom, micro-batch, loading and threads, where that differs), "all layers" (``-ngl 99``), "cpu-moe" (``-cmoe``),
    "best -ngl" (whole layers only), "nominal split" (``-ts`` by the GPUs' sizes); empty when none were asked for.
    ``fit_instead`` is there when the plan gains less over --fit than the time model is off by. ``levers`` are changes
    that would be clearly faster, the fastest first; they are searched for together with baselines. ``server_args`` are
    llama-server's arguments without ``-m``; ``environment`` what must be set beside them. ``request`` is what was asked
    for, ``settings`` what came of it; ``machine_file`` and ``calibration`` are the files or names that the machine and
    what its runs taught were read from, None for none.
    """

    version: str
    llama_cpp: str
    model: ModelFacts
    machine: Machine
    request: Request
    settings: Settings
    strategy: str
    server_args: tuple[str, ...]
    environment: Mapping[str, str]
    footprint: Footprint
    prediction: Prediction
    margins: tuple[Margin, ...]
    reasons: tuple[Reason, ...]
    assumptions: tuple[Assumption, ...]
    baselines: Mapping[str, Baseline] = FrozenMapping()
    fit_instead: Alternative | None = None
    levers: tuple[Lever, ...] = ()
    machine_file: str | None = None
    calibration: str | None = None
    schema_version: int = SCHEMA_VERSION

"""A plan: the arguments, the bytes they take, and why; everything needed to explain it on another machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from omniplan.documents.as_json import as_json
from omniplan.domain.evidence import Assumption, Reason
from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Margin
from omniplan.domain.machine import Machine
from omniplan.domain.params import DEFAULT_BUILD, LoadMode
from omniplan.domain.prediction import Objective, Prediction

SCHEMA_VERSION = 1


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, and what the search settled of it.

    ``n_ctx`` is the total context in tokens, ``n_ctx_given`` whether the user named it, ``n_ctx_least`` the least that
    was asked for where the search chose between that and a wish. ``n_prompt`` and ``n_gen`` are the request to be fast
    at, in tokens; ``objective`` says at which part of it.

    What the search chose from: ``n_ctx_wish`` the most context, ``cache_types`` the types for K and V, best first,
    ``any_ubatch`` any micro-batch. ``headroom`` is the policy in words; ``machine`` and ``calibration`` are the file or
    name they were read from, None for none.

    ``pins`` are the user's overrides as ``-ot`` takes them; ``max_patterns`` bounds the overrides of the plan, pins
    included. ``cpu_experts`` is false where no routed expert, ``cpu_weights`` where no layer's weight may be on the
    CPU. ``load_mode`` AUTO pins host memory where weights stream from it; ``head_on_cpu`` keeps the output matrix
    in RAM. ``build`` is the llama.cpp whose bytes count.
    """

    n_ctx: int
    n_ctx_given: bool = True
    n_ctx_least: int | None = None
    n_ctx_wish: int | None = None
    n_parallel: int = 1
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    cache_types: tuple[str, ...] = ()
    n_ubatch: int = 512
    any_ubatch: bool = False
    n_prompt: int = 2048
    n_gen: int = 256
    objective: Objective = Objective.REQUEST
    pins: tuple[str, ...] = ()
    max_patterns: int | None = None
    cpu_experts: bool = True
    cpu_weights: bool = True
    load_mode: LoadMode = LoadMode.AUTO
    op_offload: bool = True
    head_on_cpu: bool = False
    headroom: str = "default"
    machine: str | None = None
    calibration: str | None = None
    build: int = DEFAULT_BUILD


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
class Plan:
    """A placement with its price, its predicted speed and its reasons.

    ``baselines`` are by name: "fit" (what --fit would choose), "fit, plan's settings" (the same with the plan's
    headroom, micro-batch, loading and threads, where that differs), "all layers" (``-ngl 99``), "cpu-moe" (``-cmoe``),
    "best -ngl" (whole layers only), "nominal split" (``-ts`` by the GPUs' sizes); empty when none were asked for.
    ``fit_instead`` is there when the plan gains less over --fit than the time model is off by. ``server_args`` are
    llama-server's arguments without ``-m``; ``environment`` what must be set beside them.
    """

    version: str
    llama_cpp: str
    model: ModelFacts
    machine: Machine
    request: Request
    strategy: str
    server_args: tuple[str, ...]
    environment: dict[str, str]
    footprint: Footprint
    prediction: Prediction
    margins: tuple[Margin, ...]
    reasons: tuple[Reason, ...]
    assumptions: tuple[Assumption, ...]
    baselines: dict[str, Baseline] = field(default_factory=dict)
    fit_instead: Alternative | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """The plan as JSON, readable by ``omniplan explain`` on any machine."""
        return as_json(self)

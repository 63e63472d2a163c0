"""The verbs as functions: what ``import omniplan`` offers and what the command calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import omniplan.predict  # noqa: F401 - binds the package's name now, so that a later import cannot hide predict()
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model

if TYPE_CHECKING:
    from omniplan.domain.comparison import Comparison
    from omniplan.domain.fit import FitResult
    from omniplan.domain.footprint import Footprint
    from omniplan.domain.frontier import Frontier
    from omniplan.domain.inspection import Inspection
    from omniplan.domain.plan import Plan
    from omniplan.domain.prediction import Prediction

ModelSource = str | Path | Model


def load_model(path: str | Path) -> Model:
    """The model in the GGUF file at ``path`` (any shard of a set); raises HeaderError or UnsupportedModel."""
    from omniplan.gguf import read_header
    from omniplan.interpret import build_model

    return build_model(read_header(path))


def load_machine(name_or_path: str | Path) -> Machine:
    """A shipped profile by name, or a machine file; raises InputError with the path inside the file."""
    from omniplan.codec import machine

    return machine.load_machine(name_or_path)


def inspect(source: ModelSource) -> Inspection:
    """Facts of a model file: kinds of layers, experts, attention, quants, bytes by role, and what is odd about it."""
    from omniplan.interpret.inspect import inspect as facts

    return facts(_model(source))


def footprint(
    source: ModelSource, machine: Machine, args: Sequence[str] = (), *, env: Mapping[str, str] | None = None
) -> Footprint:
    """Price llama-server's ``args`` for a model on ``machine`` in llama.cpp b11434's own bytes.

    ``args`` are given without ``-m``; ``env`` may hold ``LLAMA_ARG_*`` variables. Weights are taken as loaded without
    mmap, as llama.cpp's own memory probe does. Raises ArgumentError for what llama-server would refuse.
    """
    from omniplan.llamacpp.args import parse
    from omniplan.llamacpp.footprint import footprint as price

    return price(_model(source), machine, parse(args, env=env or {}))


def fit(
    source: ModelSource, machine: Machine, args: Sequence[str] = (), *, env: Mapping[str, str] | None = None
) -> FitResult:
    """What llama.cpp's ``--fit on`` would choose by itself for ``args``, given the free memory of ``machine``.

    Reproduces ``common_params_fit`` of b11434, quirks included; the GPUs need not be there.
    """
    from omniplan.llamacpp.args import parse
    from omniplan.llamacpp.fit import fit as choose

    return choose(_model(source), machine, parse(args, env=env or {}))


def predict(
    source: ModelSource,
    machine: Machine,
    args: Sequence[str] = (),
    *,
    n_prompt: int = 2048,
    n_gen: int = 256,
    depth: int = 0,
    env: Mapping[str, str] | None = None,
    build: str = "",
    calibration: str | Path | None = None,
) -> Prediction:
    """Predict how fast llama-server's ``args`` run a model on ``machine``: one sequence, nothing else running.

    A prompt of ``n_prompt`` tokens and an answer of ``n_gen`` follow ``depth`` tokens already in the cache. The decode
    rate is that of the middle of the answer; ``n_prompt=0`` prices decoding at ``depth`` alone (llama-bench's tg), and
    the prompt rate is then 0. Rates are tokens per second, ``request_seconds`` and every term seconds; each Estimate
    has ``low <= value <= high``, about the span that eight of ten measured rows fell into (``docs/accuracy.md``).

    ``args`` are priced as given, without ``-m``; what ``--fit`` would change comes from ``omniplan.fit(...).args``.
    Whether the placement fits is ``omniplan.footprint``'s business; nothing is predicted about paging.

    Fields of ``machine`` that matter, all optional but a GPU's name and size (what had to be assumed is in
    ``assumptions``): ``gpus[].description``, looked up in ``data/gpus.toml`` for whatever is not stated;
    ``gpus[].bandwidth_gbs`` (nominal), ``compute_capability``, ``int8_tops`` or ``fp16_tflops``, ``link_gbs`` or the
    PCIe generation and width; ``memory.bandwidth_gbs`` with ``bandwidth_basis = "measured"``, or "spec" for channels
    times speed, or ``channels`` and ``speed_mts`` of all sockets together; ``cpu.model``, looked up in
    ``data/cpus.toml``, ``n_cores`` and ``n_sockets`` of all sockets; ``nps`` or ``numa_nodes``.

    ``build`` "2024" takes the constants of llama.cpp before CUDA graphs and fused kernels, to price old measurements.
    ``calibration`` is a machine's own file, as ``omniplan calibrate`` writes it. Raises InputError or ArgumentError.
    """
    from omniplan.errors import InputError
    from omniplan.llamacpp.args import parse
    from omniplan.predict.request import predict as price
    from omniplan.tables import calibration as constants

    for name, tokens in (("n_prompt", n_prompt), ("n_gen", n_gen), ("depth", depth)):
        if tokens < 0:
            raise InputError(f"{name}: expected 0 or more tokens, got {tokens}")
    known = constants.shipped(build) if calibration is None else constants.load(calibration, build)
    return price(
        _model(source),
        machine,
        parse(args, env=env or {}),
        n_prompt=n_prompt,
        n_gen=n_gen,
        depth=depth,
        constants=known,
    )


def compare(
    source: ModelSource,
    machine: Machine,
    groups: Sequence[Sequence[str]],
    *,
    n_prompt: int = 2048,
    n_gen: int = 256,
    env: Mapping[str, str] | None = None,
) -> Comparison:
    """Price and predict several sets of llama-server's arguments, each as given, in the order given.

    ``groups`` are sets of arguments without ``-m``; predictions are for a prompt of ``n_prompt`` and an answer of
    ``n_gen`` tokens. Raises ArgumentError with the number of the set that llama-server would refuse.
    """
    from omniplan.search.compare import compare as side_by_side

    return side_by_side(_model(source), machine, groups, n_prompt=n_prompt, n_gen=n_gen, env=env or {})


def plan(
    source: ModelSource,
    machine: Machine,
    *,
    n_ctx: int | None = None,
    n_parallel: int = 1,
    cache_type_k: str = "f16",
    cache_type_v: str = "f16",
    n_ubatch: int | None = 512,
    headroom: Headroom | str | int | None = None,
    n_prompt: int = 2048,
    n_gen: int = 256,
    objective: str = "request",
    baselines: bool = False,
) -> Plan:
    """Choose a placement that keeps ``headroom`` on every pool of ``machine``, with its price and its reasons.

    ``n_ctx`` is the total context in tokens over ``n_parallel`` slots (None: a default, recorded as an assumption).
    ``n_ubatch`` is the micro-batch in tokens, None for the one with the least predicted time of 256 to 8192.
    ``headroom`` is a policy, MiB to keep free per GPU, or text as on the command line. The plan's ``prediction`` is for
    a prompt of ``n_prompt`` and an answer of ``n_gen`` tokens; ``objective`` is what should take the least time:
    "request" (both), "decode" or "prompt". With ``baselines`` the plan carries what one would do without it, and is
    never predicted slower than a baseline that fits; this reproduces --fit, which takes a second on a large model.
    Raises Infeasible when nothing fits, with the shortfall and what would make it fit.
    """
    from omniplan.search.planner import make_plan

    return make_plan(
        _model(source),
        machine,
        n_ctx=n_ctx,
        n_parallel=n_parallel,
        cache_type_k=cache_type_k,
        cache_type_v=cache_type_v,
        n_ubatch=n_ubatch,
        headroom=_headroom(headroom),
        n_prompt=n_prompt,
        n_gen=n_gen,
        objective=objective,
        baselines=baselines,
    )


def frontier(
    source: ModelSource,
    machine: Machine,
    *,
    contexts: Sequence[int] | None = None,
    cache_types: Sequence[str] = ("f16", "q8_0"),
    ubatches: Sequence[int] = (512, 2048),
    parallels: Sequence[int] = (1,),
    n_prompt: int = 2048,
    n_gen: int = 256,
    headroom: Headroom | str | int | None = None,
) -> Frontier:
    """What context, cache type, micro-batch and slots trade against speed and bytes: a plan for every combination.

    ``contexts`` are totals in tokens over the slots (None: powers of two from 4,096 and the training context, at most
    eight); a type is that of K and V. Combinations that do not fit say why instead of raising. The default grid is at
    most 32 plans, each about a quarter of a second; the rest is as for ``plan``.
    """
    from omniplan.search.frontier import make_frontier

    return make_frontier(
        _model(source),
        machine,
        contexts=contexts,
        cache_types=cache_types,
        ubatches=ubatches,
        parallels=parallels,
        headroom=_headroom(headroom),
        n_prompt=n_prompt,
        n_gen=n_gen,
    )


def _model(source: ModelSource) -> Model:
    return source if isinstance(source, Model) else load_model(source)


def _headroom(given: Headroom | str | int | None) -> Headroom:
    if isinstance(given, Headroom):
        return given
    return Headroom() if given is None else Headroom.parse(str(given))

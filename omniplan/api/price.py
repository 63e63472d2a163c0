"""What a model holds, what arguments cost in bytes and in time, and what ``--fit`` would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.command import given
from omniplan.api.evidence import with_measured
from omniplan.api.source import build_of, calibrated, machine_of, model_of, served
from omniplan.domain.defaults import DEFAULT_ANSWER, DEFAULT_BUILD, DEFAULT_PROMPT
from omniplan.errors import InputError

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.fit import FitResult
    from omniplan.domain.footprint import Footprint
    from omniplan.domain.inspection import Inspection
    from omniplan.domain.prediction import Prediction
    from omniplan.planning.comparison import Comparison


def inspect(model: ModelSource) -> Inspection:
    """Facts of a model file: kinds of layers, experts, attention, quants, bytes by role, and what is odd about it."""
    from omniplan.gguf.model.inspect import inspect as facts

    return facts(model_of(model))


def footprint(
    model: ModelSource | None,
    machine: MachineSource,
    args: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    build: int | str = DEFAULT_BUILD,
    no_alloc: bool = False,
) -> Footprint:
    """Price llama-server's ``args`` for a model on ``machine`` in llama.cpp's own bytes.

    ``args`` may also be the whole command that starts it, with launchers and assignments before it; a ``model`` of None
    is the one that it names. ``env`` may hold ``LLAMA_ARG_*`` variables. ``build`` is any release, such as
    10505 or "b10505", an image's tag that ends with one, "latest known", or "auto" for the llama-server at hand: one
    whose bytes are not known is priced as the nearest that is, with a margin (``Footprint.build``). Weights are taken
    as loaded without mmap, as llama.cpp's own memory probe does. Raises ArgumentError for what llama-server would
    refuse, InputError for what is no build.

    Of an architecture without a graph here, the figures are those of an installed library of llama.cpp that knows it,
    as ``assumptions`` say; without one whether it fits is not known.

    Compute buffers are those of a load. ``no_alloc`` prices the probe instead that loads nothing
    (``llama_model_params.no_alloc``), as ``--fit`` and ``llama-fit-params`` print it: with pipeline copies over several
    GPUs, and with ``-nkvo``, llama.cpp forgets there which device some nodes are meant for, and mostly counts more.
    """
    from omniplan.llamacpp.flags.args import parse
    from omniplan.llamacpp.load.footprint import footprint as price

    asked = given(args, env)
    params = parse(asked.args, env=asked.env, build=build_of(build), fork=asked.fork)
    loaded, host = served(asked.model_or(model), params), asked.seen(machine_of(machine))
    priced = price(loaded, host, params, no_alloc=no_alloc)
    if priced.is_graph_known:
        return priced
    from omniplan.certify.counted import counted

    return counted(loaded, host, asked.args, env=asked.env, priced=priced)


def fit(
    model: ModelSource | None,
    machine: MachineSource,
    args: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    build: int | str = DEFAULT_BUILD,
) -> FitResult:
    """What llama.cpp's ``--fit on`` would choose by itself for ``args``, given the free memory of ``machine``.

    Reproduces ``common_params_fit`` of b11434, quirks included, by the bytes of ``build``; the GPUs need not be there.
    ``fits`` is the verdict on what it chooses.
    """
    from omniplan.llamacpp.fit.fit import fit as choose
    from omniplan.llamacpp.flags.args import parse
    from omniplan.llamacpp.load.footprint import footprint as price

    asked = given(args, env)
    params = parse(asked.args, env=asked.env, build=build_of(build), fork=asked.fork)
    known, host = served(asked.model_or(model), params), asked.seen(machine_of(machine))
    chosen = choose(known, host, params)
    priced = price(known, host, chosen.settled(params))
    return replace(chosen, fits=priced.fits, unpriced=priced.unpriced)


def predict(
    model: ModelSource | None,
    machine: MachineSource,
    args: Sequence[str] = (),
    *,
    n_prompt: int = DEFAULT_PROMPT,
    n_gen: int = DEFAULT_ANSWER,
    depth: int = 0,
    env: Mapping[str, str] | None = None,
    build: int | str = DEFAULT_BUILD,
    acceptance: float | None = None,
    hit_rate: float | None = None,
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

    With ``--spec-type`` rates are those with drafts: ``acceptance`` is the share of drafted tokens that is kept at the
    ``--spec-draft-n-max`` of ``args``, as llama-server prints it; None takes measured rows. ``speculation`` holds what
    was taken, the gain, and the best number of drafts.

    With ``--moe-cache-mib`` of a ``build`` that has it, rates are those with the cache: ``hit_rate`` is how often it
    has the expert that is asked for, as llama-server prints it at its end; None takes measured rows.
    ``cached_experts`` says what was taken, and the rate's range covers that range as well.

    ``calibration`` is a machine's own file, as ``omniplan calibrate`` writes it, or measurements: a file or a folder.
    ``measured`` is what the same took in measurements made here, and in those. Raises InputError or ArgumentError.
    """
    from omniplan.domain.request import check_count
    from omniplan.llamacpp.flags.args import parse
    from omniplan.predict.measured import model_of_header
    from omniplan.predict.request import predict as price

    for name, tokens in (("n_prompt", n_prompt), ("n_gen", n_gen), ("depth", depth)):
        check_count(name, tokens, least=0)
    for name, share in (("acceptance", acceptance), ("hit_rate", hit_rate)):
        if share is not None and not 0 <= share <= 1:
            raise InputError(f"{name}: expected a share from 0 to 1, got {share:g}")
    asked = given(args, env)
    params = parse(asked.args, env=asked.env, build=build_of(build), fork=asked.fork)
    loaded = served(asked.model_or(model), params)
    host = calibrated(asked.seen(machine_of(machine)), calibration, loaded)
    found = price(
        loaded,
        host,
        params,
        n_prompt=n_prompt,
        n_gen=n_gen,
        depth=depth,
        acceptance=acceptance,
        hit_rate=hit_rate,
    )
    return with_measured(found, model_of_header(loaded), host, params, calibration)


def compare(
    model: ModelSource | None,
    machine: MachineSource,
    groups: Sequence[Sequence[str]],
    *,
    n_prompt: int = DEFAULT_PROMPT,
    n_gen: int = DEFAULT_ANSWER,
    env: Mapping[str, str] | None = None,
    build: int | str = DEFAULT_BUILD,
) -> Comparison:
    """Price and predict several sets of llama-server's arguments, each as given, in the order given.

    ``groups`` are sets of arguments, or whole commands, as for ``footprint``; predictions are for a prompt of
    ``n_prompt`` and an answer of ``n_gen`` tokens, by the bytes of ``build``. Raises ArgumentError with the number of
    the set that llama-server would refuse.
    """
    from omniplan.planning.compare import Line, numbered
    from omniplan.planning.compare import compare as side_by_side

    if not groups:
        raise InputError(
            "compare: nothing to compare; write a command or its arguments after --, and after each further --"
        )
    host, asked = machine_of(machine), []
    for number, group in enumerate(groups, 1):
        with numbered(number):
            asked.append(given(group, env))
    lines = [Line(args=item.args, env=item.env, machine=item.seen(host), fork=item.fork) for item in asked]
    named = dict.fromkeys(item.model for item in asked if item.model)
    if model is None and len(named) != 1:
        said = f"the commands load {len(named)} models: {', '.join(named)}" if named else "no command names a model"
        raise InputError(f"compare: {said}; name the one to compare them for, MODEL")
    return side_by_side(
        model_of(next(iter(named)) if model is None else model),
        lines,
        n_prompt=n_prompt,
        n_gen=n_gen,
        build=build_of(build),
    )

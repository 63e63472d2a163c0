"""The verb that chooses: what to run, what may be chosen, and what the user has fixed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from omniplan import api
from omniplan.cli.output import show
from omniplan.cli.verbs import Verb, add_build, add_json, add_machine, add_model, add_objective, add_workload
from omniplan.errors import ExitCode, InputError


def _declare(command: argparse.ArgumentParser) -> None:
    add_model(command)
    add_machine(command)
    _declare_request(command)
    _declare_bounds(command)
    add_workload(command)
    add_objective(command)
    add_build(command)
    command.add_argument(
        "--no-baselines",
        action="store_true",
        help="leave out --fit and the other baselines, which take most of the time",
    )
    add_json(command)


def _declare_request(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ctx",
        type=_context,
        default=(None, None),
        metavar="N",
        help="context in tokens, over all slots (-c); MIN..WISH for the most that is not clearly slower than MIN",
    )
    command.add_argument("--parallel", type=int, default=1, metavar="N", help="slots (-np), default 1")
    command.add_argument(
        "--cache-type", metavar="TYPE", help="type of the K and V cache, such as q8_0; several as f16,q8_0, best first"
    )
    command.add_argument("--cache-type-k", metavar="TYPE", help="type of the K cache (-ctk)")
    command.add_argument("--cache-type-v", metavar="TYPE", help="type of the V cache (-ctv)")
    command.add_argument(
        "--ubatch", type=_tokens_or_auto, default=512, metavar="N", help="micro-batch (-ub), default 512; or auto"
    )
    command.add_argument(
        "--load-mode", default="auto", metavar="MODE", help="as llama-server's; auto pins RAM where weights stream"
    )
    command.add_argument(
        "--headroom", default="default", metavar="H", help="MiB to keep free per GPU, a share such as 10%%, or default"
    )
    command.add_argument(
        "--calibration",
        metavar="FILE",
        help="what omniplan calibrate learned; default NAME.calibration.toml beside the machine file; or none",
    )


def _declare_bounds(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--pin",
        action="append",
        default=[],
        metavar="REGEX=BUFFER",
        help="keep matching tensors there, as -ot does, and plan the rest around them; may be repeated",
    )
    command.add_argument("--no-cpu-experts", action="store_true", help="no routed experts on the CPU")
    command.add_argument("--gpu-only", action="store_true", help="no weights of any layer on the CPU")
    command.add_argument("--max-patterns", type=int, metavar="N", help="at most N overrides (-ot), pins included")


def _tokens_or_auto(text: str) -> int | None:
    return None if text == "auto" else int(text)


def _context(text: str) -> tuple[int | None, int]:
    """The least context and the wish."""
    least, dots, wish = text.partition("..")
    try:
        return (int(least), int(wish)) if dots else (None, int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected tokens such as 32768 or 16384..65536, got {text!r}") from None


def _run(options: argparse.Namespace) -> int:
    from omniplan.planning.text_plan import plan_text

    least, n_ctx = options.ctx
    types = (options.cache_type or "f16").split(",")
    if len(types) > 1 and (options.cache_type_k or options.cache_type_v):
        raise InputError(f"--cache-type {options.cache_type}: several are of K and V; leave out --cache-type-k and -v")
    plan = api.plan(
        options.model,
        options.machine,
        n_ctx=n_ctx,
        n_ctx_least=least,
        n_parallel=options.parallel,
        cache_type_k=options.cache_type_k or types[0],
        cache_type_v=options.cache_type_v or types[0],
        cache_types=types if len(types) > 1 else (),
        n_ubatch=options.ubatch,
        load_mode=options.load_mode,
        headroom=options.headroom,
        pins=options.pin,
        no_cpu_experts=options.no_cpu_experts,
        gpu_only=options.gpu_only,
        max_patterns=options.max_patterns,
        n_prompt=options.n_prompt,
        n_gen=options.n_gen,
        objective=options.objective,
        baselines=not options.no_baselines,
        calibration=_calibration(options),
        build=options.llama_cpp,
    )
    show(plan.to_json() if options.json else plan_text(plan))
    return ExitCode.of(plan.footprint.fits)


def _calibration(options: argparse.Namespace) -> str | Path | None:
    """The file named, else the one that lies beside the machine file."""
    from omniplan.predict.learned import beside

    if options.calibration is None:
        return beside(options.machine)
    return None if options.calibration == "none" else Path(options.calibration)


VERBS: Final = (Verb(name="plan", help="choose a placement, price it and give reasons", declare=_declare, run=_run),)

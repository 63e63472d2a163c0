"""The verb that chooses: what to run, what may be chosen, and what the user has fixed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from omniplan import api
from omniplan.cli.files import add_format, add_output, deliver, deliver_plan
from omniplan.cli.progress import watched
from omniplan.cli.request import add_beside, add_headroom, add_objective, add_slots, add_workload, n_tokens, request_of
from omniplan.cli.verbs import Verb, add_build, add_json, add_machine, add_model, add_report, read_model
from omniplan.domain.request import DEFAULT
from omniplan.errors import ExitCode, InputError
from omniplan.units import tokens

if TYPE_CHECKING:
    from omniplan.domain.params import Override

_NONE: Final = argparse.SUPPRESS


def _declare(command: argparse.ArgumentParser) -> None:
    add_model(command)
    add_machine(command)
    _declare_request(command)
    add_beside(command)
    _declare_bounds(command)
    add_workload(command)
    add_objective(command)
    add_build(command)
    command.add_argument(
        "--no-baselines",
        dest="baselines",
        action="store_false",
        default=_NONE,
        help="leave out --fit and the other baselines, which take most of the time",
    )
    add_format(command, default=None)
    add_output(command, "write the answer here instead of printing it")
    add_report(command)
    add_json(command)


def _declare_request(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ctx",
        type=_context,
        default={},
        metavar="N",
        help="context in tokens, over all slots (-c), such as 32k; MIN..WISH for the most hardly slower than MIN",
    )
    add_slots(command)
    command.add_argument(
        "--cache-type",
        dest="types",
        metavar="TYPE",
        help="type of the K and V cache, such as q8_0; several as f16,q8_0, best first",
    )
    command.add_argument("--cache-type-k", dest="type_k", metavar="TYPE", help="type of the K cache (-ctk)")
    command.add_argument("--cache-type-v", dest="type_v", metavar="TYPE", help="type of the V cache (-ctv)")
    command.add_argument(
        "--ubatch",
        dest="n_ubatch",
        type=_tokens_or_auto,
        default=_NONE,
        metavar="N",
        help=f"micro-batch (-ub), default {DEFAULT.n_ubatch}; or auto",
    )
    command.add_argument(
        "--load-mode", default=_NONE, metavar="MODE", help="as llama-server's; auto pins RAM where weights stream"
    )
    add_headroom(command)
    command.add_argument(
        "--calibration",
        metavar="FILE",
        help="what omniplan calibrate learned, or a file or folder of measurements; default NAME.calibration.toml "
        "beside the machine file; or none",
    )


def _declare_bounds(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--pin",
        dest="pins",
        type=_pins,
        action="extend",
        default=_NONE,
        metavar="REGEX=BUFFER",
        help="keep matching tensors there, as -ot does, and plan the rest around them; may be repeated",
    )
    command.add_argument(
        "--no-cpu-experts",
        dest="cpu_experts",
        action="store_false",
        default=_NONE,
        help="no routed experts on the CPU",
    )
    command.add_argument(
        "--gpu-only",
        dest="cpu_weights",
        action="store_false",
        default=_NONE,
        help="no weights of any layer on the CPU",
    )
    command.add_argument(
        "--max-patterns",
        type=int,
        default=_NONE,
        metavar="N",
        help="at most N overrides (-ot), pins included",
    )


def _tokens_or_auto(text: str) -> int | None:
    return None if text == "auto" else n_tokens(text)


def _context(text: str) -> dict[str, int]:
    """The fields that a context says: the wish, and the least where there is one."""
    least, dots, wish = text.partition("..")
    words = {"n_ctx_least": least, **({"n_ctx": wish} if wish else {})} if dots else {"n_ctx": text}
    try:
        return {name: tokens(word) for name, word in words.items()}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected tokens such as 32768, 32k or 16k..64k, got {text!r}") from None


def _pins(text: str) -> tuple[Override, ...]:
    from omniplan.errors import ArgumentError
    from omniplan.llamacpp.flags.overrides import parse_overrides

    try:
        return parse_overrides(text)
    except ArgumentError as error:
        raise InputError(f"--pin {text}: {error.problem}; {error.remedy}") from error
    except ValueError as error:
        raise InputError(f"--pin {text}: expected REGEX=BUFFER such as 'blk\\.[0-9]\\.=CUDA0': {error}") from error


def _cache_types(options: argparse.Namespace) -> dict[str, Any]:
    """The fields that the three options for the cache's types say."""
    types = tuple((options.types or DEFAULT.cache_type_k).split(","))
    if len(types) == 1:
        return {"cache_type_k": options.type_k or types[0], "cache_type_v": options.type_v or types[0]}
    if options.type_k or options.type_v:
        raise InputError(f"--cache-type {options.types}: several are of K and V; leave out --cache-type-k and -v")
    return {"cache_types": types}


def _run(options: argparse.Namespace) -> int:
    from omniplan.cli.terminal import rendered
    from omniplan.planning.text_plan import plan_screen

    if options.into and not options.as_:
        raise InputError(
            f"--into {options.into}: its format is not said; say what the file is with --as, such as --as llama-swap"
        )
    if options.as_ and options.json:
        raise InputError(f"--as {options.as_}: leave out --json; one run prints one thing")
    request = request_of(options, **options.ctx, **_cache_types(options))
    model = read_model(options.model)
    plan = api.plan(model, options.machine, request, calibration=_calibration(options))
    if options.report:
        with watched() as progress:
            api.write_report(api.report(plan, model=model, progress=progress), options.report)
    if options.as_:
        deliver_plan(plan, options)
    elif options.json:
        deliver(plan.to_json(), options.output)
    else:
        deliver(rendered(plan_screen(plan), options), options.output)
    return ExitCode.of(plan.footprint.fits)


def _calibration(options: argparse.Namespace) -> str | Path | None:
    """The file named, else the one that lies beside the machine file."""
    from omniplan.predict.learned import beside

    if options.calibration is None:
        return beside(options.machine) if isinstance(options.machine, str) else None
    return None if options.calibration == "none" else Path(options.calibration)


VERBS: Final = (Verb(name="plan", help="choose a placement, price it and give reasons", declare=_declare, run=_run),)

"""What llama.cpp itself says of a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import build_of, served

if TYPE_CHECKING:
    from omniplan.api.source import ModelSource
    from omniplan.certify.values import Certificate
    from omniplan.domain.plan import Plan


def certify(
    plan: Plan | str | Path,
    *,
    model: ModelSource | None = None,
    fit_params: str | None = None,
    simulate: bool = False,
    timeout: float = 60,
    build: int | str | None = None,
) -> Certificate:
    """Ask llama.cpp what a plan takes, before anything is loaded, and compare figure by figure.

    ``fit_params`` names a llama-fit-params binary, which counts on the devices that are really there, in a fraction of
    a second; None takes the one on PATH. Without one, or with ``simulate``, the library inside xllamacpp (extra
    ``certify``) counts on simulated GPUs of the plan's machine, in one to a few seconds.

    ``plan`` may be a plan file; ``model`` is the plan's model where it lies elsewhere now. ``build`` prices its
    arguments anew, as another build than it was made for. Raises InputError when
    neither can be asked, when the binary sees other devices than the plan's, or after ``timeout`` seconds; what
    llama.cpp refuses is ``Certificate.refused``.
    """
    from omniplan.api.documents import load_plan
    from omniplan.certify import fit_params as tool
    from omniplan.certify.certificate import certify as count
    from omniplan.domain.plan import Plan
    from omniplan.llamacpp.flags.args import parse
    from omniplan.llamacpp.load.footprint import footprint

    known = plan if isinstance(plan, Plan) else load_plan(plan)
    binary = None if simulate else tool.find(fit_params)
    params = parse(
        known.server_args, env=known.environment, build=build_of(known.llama_cpp if build is None else build)
    )
    ran = served(model or known.model.path, params)
    if build is not None:
        known = replace(known, llama_cpp=f"b{params.build}", footprint=footprint(ran, known.machine, params))
    return count(known, ran, binary=binary, timeout=timeout)

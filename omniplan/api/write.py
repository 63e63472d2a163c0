"""Plans as the files people run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omniplan.api.source import build_of

if TYPE_CHECKING:
    from omniplan.domain.plan import Plan


def emit(
    plan: Plan,
    *,
    format: str = "shell",
    section: str | None = None,
    into: str | None = None,
    model_path: str | None = None,
    models_dir: str | None = None,
    llama_cpp: int | str | None = None,
    ttl: int = 0,
    host: str | None = None,
) -> str:
    """``plan`` as a file: argv, shell, models.conf, preset, llama-swap, compose, systemd, env or k8s.

    ``section`` names its section, model, service or Deployment (None: after the model's file); one that begins with
    ``bench-`` follows the rules of benchmarks in models.conf. ``into`` is the text of a file that has several: the
    section takes the place of the one with its name, or comes last, and no other byte changes. ``model_path`` is where
    the model is on the machine that runs it, ``models_dir`` the folder that a container sees as ``/models`` (None: the
    nearest one named ``models``, else the model's own). ``llama_cpp`` is a build such as "b8022" or "auto", whose
    flags are written; ``ttl`` the seconds after which llama-swap unloads an idle model, 0 for never.
    ``host`` is the address of another machine that the plan uses: then it is what runs there, rpc-server as shell,
    compose or systemd.

    Raises InputError for what the format cannot carry, and ArgumentError for a flag that the build lacks.
    """
    from omniplan.formats.format import Options
    from omniplan.formats.launch import launch
    from omniplan.formats.registry import render
    from omniplan.formats.rpc_server import render as remote
    from omniplan.llamacpp.build import release

    build = build_of(plan.llama_cpp if llama_cpp is None else llama_cpp)
    if host is not None:
        return remote(plan, host, format, release(build))
    item = launch(plan, id=section, model=model_path, build=build)
    return render([item], format, into=into, options=Options(models_dir=models_dir, ttl=ttl))

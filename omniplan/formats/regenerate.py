"""The command that makes a file again. It is a line to type, so this alone knows words of the command below it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from omniplan.domain.build import DEFAULT_NAME
from omniplan.domain.request import DEFAULT, Request
from omniplan.llamacpp.flags.write import override_text

if TYPE_CHECKING:
    from omniplan.formats.launch import Launch

# Options of ``omniplan plan`` by the field of a request that they say, and those that are there for what is not.
_VALUES: Final = {
    "n_ctx": "--ctx",
    "n_parallel": "--parallel",
    "cache_types": "--cache-type",
    "cache_type_k": "--cache-type-k",
    "cache_type_v": "--cache-type-v",
    "n_ubatch": "--ubatch",
    "mmproj": "--mmproj",
    "draft": "--draft",
    "moe_cache": "--moe-cache",
    "load_mode": "--load-mode",
    "headroom": "--headroom",
    "max_patterns": "--max-patterns",
    "n_prompt": "--n-prompt",
    "n_gen": "--n-gen",
    "objective": "--objective",
    "build": "--llama-cpp",
}
_SWITCHES: Final = {"cpu_experts": "--no-cpu-experts", "cpu_weights": "--gpu-only", "baselines": "--no-baselines"}
# The option of every field of a request.
OPTIONS: Final = {**_VALUES, **_SWITCHES, "n_ctx_least": "--ctx", "pins": "--pin", "mtp": "--mtp", "lora": "--lora"}


def options_of(request: Request) -> Iterator[str]:
    """The options of ``omniplan plan`` that ask for ``request``, those that are not the default."""
    least, wish = request.n_ctx_least, request.n_ctx
    words = {
        "n_ctx": f"{least}..{wish or ''}" if least else str(wish),
        "cache_types": ",".join(request.cache_types),
        "n_ubatch": "auto" if request.n_ubatch is None else str(request.n_ubatch),
        "headroom": request.headroom.text,
        "build": f"b{request.build}",
    }
    for field, option in _VALUES.items():
        value = getattr(request, field)
        if value != getattr(DEFAULT, field) or (field == "n_ctx" and least):
            yield from (option, words.get(field, str(value)))
    yield from (word for pin in request.pins for word in (OPTIONS["pins"], override_text(pin)))
    yield from (word for path in request.lora for word in (OPTIONS["lora"], path))
    if request.mtp != 0:
        yield from (OPTIONS["mtp"], *([] if request.mtp is None else [str(request.mtp)]))
    yield from (option for field, option in _SWITCHES.items() if not getattr(request, field))


def plan_words(model: str, machine: str, request: Request) -> Iterator[str]:
    """What plans ``request`` for a ``model`` on a ``machine``, as the command takes them."""
    yield from ("omniplan", "plan", model, "--machine", machine, *options_of(request))


def stack_command(machine: str, build: str) -> str:
    """What places a stack on ``machine``, for a ``build`` that its file may not say."""
    other = [] if build == DEFAULT_NAME else ["--llama-cpp", build]
    return shlex.join(["omniplan", "stack", "STACK.toml", "--machine", machine, *other])


def command_of(item: Launch) -> str:
    """What makes the file of ``item``: one command, or two where it is for another place or build than the plan."""
    if item.origin:
        return f"{item.origin} --as {item.format}"
    plan = item.plan
    words = [*plan_words(plan.model.path, plan.machine_file or plan.machine.name, plan.request)]
    words += ["--calibration", plan.calibration] if plan.calibration else []
    file = ["--as", item.format, "--section", item.id]
    other = ["--model", item.model] if item.model != plan.model.path else []
    other += ["--llama-cpp", item.build.name] if item.build.name != plan.llama_cpp else []
    if not other:
        return shlex.join([*words, *file])
    emit = ["omniplan", "emit", "PLAN.json", *file, *other]
    return f"{shlex.join(words)} --json > PLAN.json && {shlex.join(emit)}"

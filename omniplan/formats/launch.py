"""What every file format writes: one llama-server command of a plan, and the lines that say where it comes from."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from omniplan.domain.evidence import ReasonVerdict
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.formats.regenerate import command_of
from omniplan.formats.remote import WITH_RPC, safety, servers, starting
from omniplan.gguf.place import is_path
from omniplan.llamacpp.build import Build, build_number, release
from omniplan.llamacpp.flags.args import Flag
from omniplan.llamacpp.flags.dialect import spoken
from omniplan.text.speed import digits, rate
from omniplan.text.verdict import verdict_line
from omniplan.units import gib, mib

_WIDTH: Final = 110
# A command stays on one line, to be copied as it is.
_REGENERATE: Final = "regenerate: "
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# Bytes per second a model is reckoned to load with, from a slow disk: nothing is killed for loading from one.
LOADED_PER_SECOND: Final = 250_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One command to write down.

    ``id`` names its section, service or unit; ``model`` is the path on the machine that runs it; ``args`` are the
    plan's arguments without ``-m``, ``flags`` the same as ``build`` spells them. ``format`` is what it is written
    as. In a container, ``folder`` of the machine is what holds the model, which is at ``inside`` there. ``origin``
    is the command that makes it, where that is not the one of the plan alone.
    """

    plan: Plan
    id: str
    model: str
    args: tuple[str, ...]
    flags: tuple[Flag, ...]
    build: Build
    format: str = ""
    folder: str = ""
    inside: str = ""
    origin: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        """llama-server's arguments as the build spells them, the model first."""
        return ("-m", self.inside or self.model, *(arg for flag in self.flags for arg in flag.args))

    @property
    def environment(self) -> Mapping[str, str]:
        """What must be set beside the arguments."""
        return self.plan.environment

    def with_args(self, *args: str) -> Launch:
        """The same command with other arguments of the plan's build."""
        return replace(self, args=args, flags=spoken(args, self.build))


def launch(plan: Plan, *, id: str | None = None, model: str | None = None, build: int | None = None) -> Launch:
    """The command of ``plan``, for ``model`` on the machine that runs it, in the words of ``build``, else the plan's.

    Raises InputError for a path that is none or no text, and ArgumentError for a flag the build lacks.
    """
    path = plan.model.path if model is None else model
    if not is_path(path):
        raise InputError(
            f"model path {path}: is an address; download it, and give its path on the machine that runs it"
        )
    if "\0" in path or path.encode("utf-8", "replace") != path.encode("utf-8", "surrogatepass"):
        raise InputError(f"model path {printable(path)}: not UTF-8 text, which files cannot hold; rename the model")
    if not path:
        raise InputError("model path: empty; give the one on the machine that runs it")
    chosen = default_id(plan) if id is None else id
    spoken_by = release(build_number(plan.llama_cpp) if build is None else build)
    args = plan.server_args
    return Launch(plan=plan, id=chosen, model=path, args=args, flags=spoken(args, spoken_by), build=spoken_by)


def default_id(plan: Plan) -> str:
    """An id from the model's file name, such as ``glm-4-7-flash-q8_0``."""
    stem = re.sub(r"(-\d{5}-of-\d{5})?(\.gguf)?$", "", plan.model.path.replace("\\", "/").rpartition("/")[2])
    return re.sub(r"[^a-z0-9_]+", "-", stem.lower()).strip("-") or "model"


def printable(text: str) -> str:
    """``text`` on one line: control characters and what is not text escaped."""
    escaped = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    return escaped.encode("utf-8", "backslashreplace").decode()


def rationale(item: Launch) -> list[str]:
    """Who made this, from what, and why, one statement after another, without comment marks."""
    return [line for text in _statements(item) for line in _wrapped(text)]


def _wrapped(text: str) -> list[str]:
    if text.startswith(_REGENERATE):
        return [text]
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def commented(lines: list[str]) -> list[str]:
    """``lines`` as comments."""
    return [f"# {line}".rstrip() for line in lines]


def _statements(item: Launch) -> Iterator[str]:
    plan = item.plan
    if missing := verdict_line(plan.footprint.unpriced, fits=plan.footprint.fits):
        yield printable(missing)
    yield printable(
        f"omniplan {plan.version} for llama.cpp {item.build.name}: "
        f"{plan.model.title} on {plan.machine.name}, {plan.strategy}"
    )
    yield printable(_REGENERATE + command_of(item))
    yield printable(f"architecture: {_architecture(plan)}")
    yield f"memory: {_memory(plan)} (source: {plan.footprint.source})"
    yield f"speed: {_speed(plan)} (source: time model, not measured)"
    environment = " ".join(f"{name}={value}" for name, value in item.environment.items())
    if environment:
        yield printable(f"environment: {environment}")
    for server in servers(plan, item.build):
        yield from map(printable, (starting(server), WITH_RPC, *safety(server.host.address)))
    for reason in plan.reasons:
        if reason.verdict is ReasonVerdict.CHOSEN and reason.subject != environment:
            yield printable(f"{reason.subject}: {reason.statement} (source: {reason.source})")
    for assumption in plan.assumptions:
        yield printable(f"assumed: {assumption.subject}: {assumption.statement} (source: {assumption.source})")


def _architecture(plan: Plan) -> str:
    model = plan.model
    nextn = f" and {model.n_layer_nextn} nextn" if model.n_layer_nextn else ""
    kind = f"MoE, {model.n_expert} experts, {model.n_expert_used} used" if model.n_expert else "dense"
    size = gib(model.tensor_bytes)
    return (
        f"{model.architecture}, {model.n_layer}{nextn} layers, {kind}, trained for {model.n_ctx_train:,} tokens, "
        f"{size} of tensors (source: GGUF header of {model.path})"
    )


def _memory(plan: Plan) -> str:
    return ", ".join(
        f"{pool.name} {mib(pool.used)}" + (f" of {mib(pool.free)}" if pool.free is not None else "")
        for pool in plan.footprint.pools
    )


def _speed(plan: Plan) -> str:
    prediction = plan.prediction
    prompt = f", prompt {rate(prediction.prompt_tokens_per_second)}" if prediction.prompt_terms else ""
    return f"~estimated {rate(prediction.decode_tokens_per_second)}{prompt}"


def speed_label(plan: Plan) -> str:
    """A speed for a menu: marked as estimated, as a range."""
    estimate = plan.prediction.decode_tokens_per_second
    return f"~estimated {digits(estimate.low)}-{digits(estimate.high)} t/s"

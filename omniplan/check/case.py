"""One command with its model and its machine, and what follows from them, computed once and only when asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from omniplan.check.options import GivenOption, Reading, canonical, read
from omniplan.check.tools import as_server
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import Footprint
from omniplan.domain.header import Header
from omniplan.domain.headroom import Headroom, shortfall
from omniplan.domain.hosts import joined
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Companions, Model
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Prediction
from omniplan.domain.roles import Role
from omniplan.errors import ArgumentError, OmniplanError
from omniplan.formats.command import Command, Word
from omniplan.llamacpp.fit.fit import fit
from omniplan.llamacpp.flags.forks import fork_of
from omniplan.llamacpp.flags.refusals import devices_in_use
from omniplan.llamacpp.flags.table import spellings
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load.context import CELL_PAD
from omniplan.llamacpp.load.footprint import footprint
from omniplan.machines.probe.order import seen_by
from omniplan.predict.request import is_known, predict_priced
from omniplan.units import GIB, pad

DEFAULT: Final = Headroom()
# What "it would fit" must leave free: more than any usual policy of a plan, so that a plan is never contradicted.
ROOMY: Final = Headroom(growth_fraction=0.10, growth_least=GIB, growth_display=GIB)
# How an emitted file says which build it is for, and how images and folders of releases do.
_WRITTEN: Final = re.compile(r"^# omniplan \S+ for llama\.cpp b(\d{1,6})\b")
_OFFICIAL: Final = "ggml-org/llama.cpp"
_RELEASE: Final = re.compile(r"(?<![\w.])b(\d{4,6})(?![\w.])")
# A router's models have options of their own, the others only tell something.
_LOADS_NOTHING: Final = ("models-preset", "models-dir", "help", "version", "list-devices", "cache-list")
_MODELS: Final = ("model", "hf-repo", "hf-file", "model-url", "docker-repo")
# As in a plan: one request of a prompt of 2048 tokens and an answer of 256.
_WORKLOAD: Final = (2048, 256, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A further model file that a command loads: the flag, the file's bytes, its header and model if it has them."""

    option: GivenOption
    nbytes: int
    header: Header | None
    model: Model | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A command and what is known around it.

    ``model_problem`` is why the model file that is there cannot be read; ``comments`` are the texts around the
    command with their lines.
    """

    command: Command
    model: Model | None = None
    given_machine: Machine | None = None
    given_build: int | None = None
    model_problem: OmniplanError | None = None
    companions: tuple[Companion, ...] = ()
    adapters: tuple[Header, ...] = ()
    comments: tuple[Word, ...] = ()

    @cached_property
    def served(self) -> Model | None:
        """The model with what the command loads beside it, as far as that is there."""
        rows = {item.option.row.key: item for item in self.companions if item.option.row}
        draft, projector = rows.get("spec-draft-model"), rows.get("mmproj")
        if self.model is None or not (rows or self.adapters):
            return self.model
        beside = Companions(
            draft=draft.model if draft else None,
            projector=projector.header if projector else None,
            adapters=self.adapters,
        )
        return replace(self.model, companions=beside)

    @cached_property
    def reading(self) -> Reading:
        """The command option by option."""
        return read(as_server(self.command), build=self.build, fork=self.fork)

    @property
    def params(self) -> ServerParams:
        """The parameters as written."""
        return self.reading.params

    def knows(self, flag: str) -> bool:
        """Whether llama-server has that flag."""
        return canonical(flag) in spellings()

    @cached_property
    def is_router(self) -> bool:
        """Whether the server starts without a model, to load what it is asked for."""
        has_model = any(option.row and option.row.key in _MODELS for option in self.reading.options)
        return bool(self.command.program) and not has_model and not self.reading.open

    @cached_property
    def slots(self) -> tuple[int, int]:
        """Tokens of the whole context and of one sequence, rounded as llama.cpp does, 0 where nothing says."""
        if self.priced is not None:
            return self.priced.n_ctx, self.priced.n_ctx_seq
        params = self.params
        total = pad(params.n_ctx, CELL_PAD)
        each = total if params.is_kv_unified else pad(total // params.n_seq_max, CELL_PAD)
        return (total, total) if params.is_kv_unified else (each * params.n_seq_max, each)

    @cached_property
    def is_open(self) -> bool:
        """Whether a variable decides something that is priced, so that nothing can be computed."""
        return any(option.row is None or option.row.param or option.row.sets for option in self.reading.open)

    def may_have(self, key: str) -> bool:
        """Whether a variable may set that row's flag, or this is no command that loads a model."""
        if self.is_router or any(option.row and option.row.key in _LOADS_NOTHING for option in self.reading.options):
            return True
        unknown = any(option.row is None or option.row.key == key for option in self.reading.open)
        names = [option.variable for option in self.reading.options]
        return unknown or all(name and not name.startswith("LLAMA_ARG_") for name in names)

    def option(self, key: str) -> GivenOption | None:
        """The option of that row of the flags table which counts: the last on the command line, else a variable.

        One that a variable decides is none.
        """
        return next((option for option in reversed(self.options(key)) if option not in self.reading.open), None)

    def options(self, key: str) -> tuple[GivenOption, ...]:
        """All options of that row."""
        return tuple(option for option in self.reading.options if option.row and option.row.key == key)

    @cached_property
    def machine(self) -> Machine | None:
        """The machine as the command sees it: CUDA_VISIBLE_DEVICES chooses and orders its GPUs, --rpc adds hosts'."""
        seen = self._visible
        return None if seen is None else joined(seen, self.params.rpc)

    @property
    def _visible(self) -> Machine | None:
        return None if self.given_machine is None else seen_by(self.given_machine, self.command.env)

    @cached_property
    def gpus(self) -> tuple[Gpu, ...]:
        """GPUs of the machine that compute for this command, in split order; none without a machine."""
        if self.machine is None:
            return ()
        names = devices_in_use(self.params, self.machine.gpus)
        return tuple(gpu for name in names for gpu in self.machine.gpus if gpu.name == name)

    def price(self, params: ServerParams) -> Footprint | None:
        """What ``params`` take, None where they are refused or model or machine is not at hand."""
        known = self._prices.get(params)
        if known is None and self.served is not None and self.machine is not None and not self.is_open:
            try:
                known = self._prices[params] = footprint(self.served, self.machine, params)
            except ArgumentError:
                return None
        return known

    @cached_property
    def _prices(self) -> dict[ServerParams, Footprint]:
        return {}

    @cached_property
    def fitted(self) -> FitResult | None:
        """What --fit does to the arguments, None when it is off, or model or machine is not at hand."""
        if self.served is None or self.machine is None or not self.params.fit or self.is_open or self.fork:
            return None
        try:
            return fit(self.served, self.machine, self.params)
        except ArgumentError:
            return None

    @cached_property
    def settled(self) -> ServerParams:
        """The parameters that the server runs with: as written, changed by --fit where that acts."""
        if self.fitted is None or not self.fitted.changed:
            return self.params
        return self.fitted.settled(self.params)

    @cached_property
    def priced(self) -> Footprint | None:
        """What the server will take."""
        return self.price(self.settled)

    def speed(self, params: ServerParams) -> Prediction | None:
        """How fast ``params`` run, None as for ``price``."""
        priced = self.price(params)
        if priced is None or self.served is None or self.machine is None or not is_known(params) or self.fork:
            return None
        return predict_priced(self.served, self.machine, params, priced, *_WORKLOAD)

    def fits(self, params: ServerParams, policy: Headroom = ROOMY) -> bool:
        """Whether every pool is known to keep ``policy``, without a prompt cache."""
        priced = self.price(params)
        if priced is None or self.machine is None or priced.unpriced:
            return False
        return not shortfall(policy.margins(self.machine, priced, 0))

    @cached_property
    def build(self) -> int:
        """The release that runs the command: the one given, else by image, folder or a comment of omniplan's own."""
        if self.given_build is not None:
            return self.given_build
        found = (_RELEASE.search(self.command.program), *(_WRITTEN.search(word.text) for word in self.comments))
        return next((int(match[1]) for match in found if match), DEFAULT_BUILD)

    @cached_property
    def fork(self) -> str:
        """The fork of llama.cpp that its program or its flags tell, "" for llama.cpp and its releases."""
        program = self.command.program
        if self.given_build is not None or _OFFICIAL in program or _RELEASE.search(program):
            return ""
        return fork_of(self.command.args, program)

    def lacks(self, flag: str) -> bool:
        """Whether that release is known not to take ``flag``; of a fork nobody knows."""
        return not self.fork and spellings()[flag].is_lacking(self.build)

    @property
    def host_weights(self) -> int:
        """Bytes of weights that a token reads from RAM."""
        if self.priced is None:
            return 0
        return sum(size.model for name, size in self.priced.buffers.items() if buffers.is_host(name))

    @cached_property
    def is_moe(self) -> bool:
        """Whether the model has routed experts."""
        return self.model is not None and Role.ROUTED_EXPERT in self.model.roles.values()

"""What ``--fit`` of b11434 does for the free memory of a machine that need not be there (``common/fit.cpp``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import BufferSize
from omniplan.domain.hosts import joined, own_gpus
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import MAX_DEVICES, NEVER_SHRINK, LoadMode, Override, ServerParams, SplitMode
from omniplan.errors import ArgumentError
from omniplan.llamacpp.fit.fit_layers import Layout, Shares, WrappedAround
from omniplan.llamacpp.fit.used import Used
from omniplan.llamacpp.flags import refusals
from omniplan.llamacpp.flags.refusals import devices_in_use
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load.second import is_known, measured
from omniplan.llamacpp.load.speculation import SecondContext, second, settled
from omniplan.llamacpp.projector import memory as projector

_ALL_EXPERTS: Final = Override(r"blk\.\d+\.ffn_(up|down|gate_up|gate)_(ch|)exps", buffers.CPU)


_NO_BYTES: Final[dict[str, Any]] = {
    "fit_target": (),
    "load_mode": LoadMode.AUTO,
    "n_threads": -1,
    "n_threads_batch": -1,
}


class _GaveUp(Exception):
    """Fit leaves the parameters as they are from here on."""


def fit(model: Model, machine: Machine, params: ServerParams) -> FitResult:
    """The context, layers, split and overrides that ``--fit on`` chooses for ``params`` on ``machine``.

    Raises ArgumentError for what llama-server would refuse.
    """
    params, machine = settled(model, params), joined(machine, params.rpc)
    refusals.check(params, model, machine.gpus)
    fitter = _Fitter(model, machine, replace(params, fit_target=_margins(model, machine, params)))
    if len(fitter.names) > MAX_DEVICES:
        # common/common.h: fit_params_target has room for llama_max_devices().
        problem = f"llama.cpp has room for {MAX_DEVICES} devices, and there are {len(fitter.names)}"
        raise ArgumentError("--fit", problem, remedy=f"name at most {MAX_DEVICES} with -dev")
    failure = ""
    try:
        fitter.run()
    except _GaveUp as reason:
        failure = str(reason)
    chosen = fitter.chosen
    return FitResult(
        n_ctx=fitter.n_ctx,
        n_gpu_layers=chosen.n_gpu_layers if chosen else -1,
        tensor_split=chosen.tensor_split if chosen else (),
        overrides=chosen.overrides if chosen else (),
        changed=chosen is not None or fitter.n_ctx != fitter.n_ctx_before,
        failure=failure,
        probes=fitter.probes,
    )


def _margins(model: Model, machine: Machine, params: ServerParams) -> tuple[int, ...]:
    """The margins with what llama-server keeps free for a projector (server-context.cpp: load_model).

    The quirk: by place among all devices as they are registered, the CPU behind the host's own GPUs and before those of
    other hosts, while margins belong to the devices in use.
    """
    kept = projector.set_aside(model, machine, params)
    own_names = [gpu.name for gpu in own_gpus(machine)]
    places = (*own_names, buffers.CPU, *(gpu.name for gpu in machine.gpus if gpu.endpoint))
    own = [kept.get(name, 0) for name in places[: len(params.fit_target)]]
    rest = len(params.fit_target) - len(own)
    return tuple(margin + more for margin, more in zip(params.fit_target, (*own, *(0,) * rest), strict=True))


@dataclass(slots=True)
class _Fitter:
    """One run of fit; the steps are numbered as in common/fit.cpp."""

    model: Model
    machine: Machine
    params: ServerParams
    probes: int = 0
    chosen: Layout | None = None
    names: tuple[str, ...] = ()
    targets: list[int] = field(default_factory=list)
    n_ctx: int = 0
    n_ctx_before: int = 0
    known: dict[Layout, Used] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = devices_in_use(self.params, self.machine.gpus)
        self.targets = [
            self.machine.gpu(name).free - margin
            for name, margin in zip(self.names, self.params.fit_target, strict=False)
        ]
        trained = self.model.hparams.n_ctx_train * (self._n_streams if self.params.is_fitted else 1)
        self.n_ctx = self.n_ctx_before = self.params.n_ctx_asked or trained

    @property
    def _n_streams(self) -> int:
        return 1 if self.params.is_kv_unified else self.params.n_seq_max

    def run(self) -> None:
        """Steps 1 to 4; raises _GaveUp where fit does."""
        if self.params.split_mode is SplitMode.TENSOR:
            raise _GaveUp("--fit is not implemented for -sm tensor")
        full = self._measure(self.params)
        if not self._needs_change(full):
            return
        if self._shrink_context(full):
            return
        self._refuse_what_is_set()
        self._assign_layers()

    def _measure(self, params: ServerParams) -> Used:
        self.probes += 1
        # These change no bytes, and runs that differ in nothing else measure the same layouts.
        asked = replace(params, n_ctx=self.n_ctx, **_NO_BYTES)
        return Used(self.model, self.machine, asked, self.names, self._drafting())

    def _drafting(self) -> Mapping[str, BufferSize]:
        """What the context that drafts adds to every measurement: laid out as asked, whatever the main model's layout.

        The main model is fitted alone where llama.cpp cannot measure it.
        """
        asked = second(self.model, replace(self.params, **_NO_BYTES), self.n_ctx)
        if asked is None or not is_known(asked):
            return {}
        try:
            return _drafted(asked, self.machine)
        except ArgumentError:
            return {}

    def _needs_change(self, full: Used) -> bool:
        """Step 1: whether any device misses its target."""
        if not self.names:
            memory = self.machine.memory
            return memory is not None and memory.total - full.host < self.params.fit_target[0]
        return any(full.exceeds(index, target) for index, target in enumerate(self.targets))

    def _shrink_context(self, full: Used) -> bool:
        """Step 2: less context, when it was left to fit; true when that alone is enough."""
        least = self.params.fit_ctx * self._n_streams
        is_auto = self.params.n_ctx_asked == 0 and self.params.fit_ctx != NEVER_SHRINK
        if not is_auto or self.n_ctx <= least:
            return self._no_devices()
        used = sum(full) if self.names else full.host
        target = sum(self.targets) if self.names else self._host_target()
        if used <= target:
            return self._no_devices()
        if len(self.names) > 1:
            target -= self._expected_waste(full)
        most = self.n_ctx
        self.n_ctx = least
        smallest = self._measure(self.params)
        floor = sum(smallest) if self.names else smallest.host
        if target <= floor:
            return self._no_devices()
        self.n_ctx += (most - least) * (target - floor) // (used - floor)
        self.n_ctx = max(self.n_ctx - self.n_ctx % (256 * self._n_streams), least)
        return len(self.names) <= 1

    def _host_target(self) -> int:
        memory = self.machine.memory
        return (memory.total if memory else 0) - self.params.fit_target[0]

    def _no_devices(self) -> bool:
        if not self.names:
            raise _GaveUp("the model does not fit into RAM with less context")
        return False

    def _expected_waste(self, full: Used) -> int:
        """Whole layers cannot be cut: fit expects half a layer lost per device, a sixth for experts."""
        per_layer = full.model // self._n_layer
        return (len(self.names) + 1) * per_layer // (6 if self.model.hparams.n_expert else 2)

    @property
    def _n_layer(self) -> int:
        # The quirk: layers without nextn here, with nextn in the loader.
        h = self.model.hparams
        return h.n_layer_all if self.params.load_mtp else h.n_layer

    def _refuse_what_is_set(self) -> None:
        params = self.params
        if params.n_gpu_layers != -1:
            raise _GaveUp(f"-ngl is set to {params.n_gpu_layers}")
        if len(self.names) > 1 and any(params.tensor_split):
            raise _GaveUp("-ts is set")
        if len(self.names) > 1 and params.split_mode is SplitMode.ROW:
            raise _GaveUp("-sm row cannot be fitted")
        if params.overrides:
            raise _GaveUp("-ot, -cmoe, -ncmoe or -ncffn is set")

    def _assign_layers(self) -> None:
        """Steps 3 and 4."""
        is_moe = self.model.hparams.n_expert > 0
        has_surplus = False
        if is_moe:
            without = self._measure(replace(self.params, overrides=(_ALL_EXPERTS,)))
            has_surplus = without.is_less_than(sum(self.targets))
        memories = tuple(self.machine.gpu(name).buffer_type for name in self.names)
        shares = Shares(names=memories, n_layer=self._n_layer, is_moe=is_moe, targets=self.targets)
        layout = shares.fill_back_to_front(self._used_by)
        if has_surplus:
            try:
                layout = shares.fill_front_to_back(layout, self._used_by)
            except WrappedAround:
                raise _GaveUp(
                    "the first of several GPUs can take every layer, and llama.cpp's counts of the others wrap around"
                ) from None
        self.chosen = layout

    def _used_by(self, layout: Layout) -> Used:
        if layout not in self.known:
            self.known[layout] = self._measure(self._with(layout))
        return self.known[layout]

    def _with(self, layout: Layout) -> ServerParams:
        split = tuple(float(count) for count in layout.tensor_split)
        return replace(self.params, n_gpu_layers=layout.n_gpu_layers, tensor_split=split, overrides=layout.overrides)


@lru_cache(maxsize=64)
def _drafted(asked: SecondContext, machine: Machine) -> Mapping[str, BufferSize]:
    return measured(asked, machine, no_alloc=True)

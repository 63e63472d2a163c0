"""What llama.cpp's ``--fit`` would choose by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omniplan.documents.record import Record
from omniplan.domain.footprint import Unpriced
from omniplan.domain.params import NEVER_SHRINK, Override, ServerParams


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult(Record):
    """The parameters after ``--fit`` (``common_fit_params``).

    ``n_gpu_layers`` is -1 and ``tensor_split``, ``overrides`` are empty where fit left them alone; ``overrides`` in
    order. ``failure`` is fit's own complaint when it gave up: the load goes on all the same.
    ``probes`` counts the memory measurements it would take. ``fits`` says whether the pools hold what it chooses, None
    where that is not known, as ``unpriced`` says.
    """

    n_ctx: int
    n_gpu_layers: int
    tensor_split: tuple[int, ...]
    overrides: tuple[Override, ...]
    changed: bool
    failure: str = ""
    probes: int = 0
    fits: bool | None = None
    unpriced: tuple[Unpriced, ...] = ()

    @property
    def args(self) -> tuple[str, ...]:
        """The choice as llama-server arguments, as llama-fit-params prints it."""
        args = ["-c", str(self.n_ctx)]
        if self.n_gpu_layers >= 0:
            args += ["-ngl", str(self.n_gpu_layers)]
        if self.tensor_split:
            args += ["-ts", ",".join(str(count) for count in self.tensor_split)]
        if self.overrides:
            args += ["-ot", ",".join(f"{item.pattern}={item.buffer_type}" for item in self.overrides)]
        return tuple(args)

    def settled(self, params: ServerParams) -> ServerParams:
        """``params`` with the choice made: what llama-server then loads."""
        return replace(
            params,
            n_ctx=self.n_ctx,
            n_ctx_given=True,
            fit_ctx=params.fit_ctx if self.n_ctx else NEVER_SHRINK,
            n_gpu_layers=self.n_gpu_layers if self.n_gpu_layers >= 0 else params.n_gpu_layers,
            tensor_split=tuple(map(float, self.tensor_split)) or params.tensor_split,
            overrides=(*params.overrides, *self.overrides),
        )

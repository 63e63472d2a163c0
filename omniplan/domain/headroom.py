"""The headroom policy: what a plan must leave free on every pool."""

from __future__ import annotations

from dataclasses import dataclass, fields

from omniplan.domain.machine import Gpu
from omniplan.errors import InputError
from omniplan.units import GIB, MIB

CUDA_CONTEXT = "cuda_context"
_SHARE = "growth_fraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Bytes kept free per GPU and in RAM.

    ``context`` is the CUDA context of one process; it is dropped where the machine already reserves it. ``growth`` is
    for what llama.cpp allocates outside its three columns (pools, cuBLAS, CUDA graphs): a share of the GPU, at least
    ``growth_least``, and ``growth_display`` on the GPU that drives a screen. A GPU that knows from runs what is in use
    ``beside`` a model keeps that instead of ``context``.
    """

    # The GLM diary's four runs: nvidia-smi minus llama.cpp's buffers is 462 to 467 MiB per GPU.
    context: int = 500 * MIB
    # VMM pools grow in 2 MiB steps, cuBLAS takes 4 or 32 MiB, CUDA graphs tens of MiB (llama.cpp b11434 ggml-cuda.cu).
    growth_fraction: float = 0.02
    growth_least: int = 256 * MIB
    # The diary's display GPU failed at inference with less (13+6 layers of gpt-oss-120b).
    growth_display: int = GIB
    ram: int = 2 * GIB

    @classmethod
    def parse(cls, text: str) -> Headroom:
        """A policy from ``"1024"`` (MiB per GPU), ``"10%"`` (of each GPU) or ``"default"``; raises InputError.

        Any other is ``"context=524288000,growth_least=0,..."``: the fields that differ from the default, in bytes.
        """
        if text == "default":
            return cls()
        if "=" in text:
            return cls._of_fields(text)
        number, is_share = (text[:-1], True) if text.endswith("%") else (text, False)
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value < (100 if is_share else 1 << 30):
            raise InputError(f"--headroom {text}: expected MiB per GPU such as 1024, or a share such as 10%")
        if is_share:
            return cls(growth_fraction=value / 100, growth_least=0, growth_display=0)
        return cls(growth_fraction=0.0, growth_least=int(value * MIB), growth_display=0)

    @classmethod
    def _of_fields(cls, text: str) -> Headroom:
        kinds = {item.name: float if item.name == _SHARE else int for item in fields(cls)}
        try:
            given = dict(part.split("=", 1) for part in text.split(","))
            values = {name: kinds[name](value) for name, value in given.items()}
        except (KeyError, ValueError):
            values = {"": -1}
        if any(not value >= 0 for value in values.values()) or not values.get(_SHARE, 0) < 1:
            raise InputError(f"--headroom {text}: expected NAME=BYTES of {', '.join(kinds)}; {_SHARE} is below 1")
        return cls(**values)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The shortest text that ``parse`` makes this policy from."""
        default = Headroom()
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        parts = (f"{name}={value!r}" for name, value in given.items() if value != getattr(default, name))
        texts = ("default", f"{self.growth_least / MIB:.15g}", f"{100 * self.growth_fraction:.15g}%", ",".join(parts))
        return next(text for text in texts if Headroom.parse(text) == self)

    def context_of(self, gpu: Gpu) -> int:
        """Bytes kept for the CUDA context on ``gpu``, beyond what the machine already counts as in use."""
        if gpu.beside is not None:
            return max(0, gpu.beside - (gpu.total - gpu.free))
        already = sum(item.size for item in gpu.reserved if item.kind == CUDA_CONTEXT)
        return max(0, self.context - already)

    def growth_of(self, gpu: Gpu) -> int:
        """Bytes kept for growth on ``gpu``."""
        share = int(gpu.total * self.growth_fraction)
        return max(share, self.growth_least, self.growth_display if gpu.is_display else 0)

    def budget_of(self, gpu: Gpu) -> int:
        """Bytes a plan may use on ``gpu``."""
        return max(0, gpu.free - self.context_of(gpu) - self.growth_of(gpu))
